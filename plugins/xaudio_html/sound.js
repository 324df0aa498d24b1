// The parts of a sound, all running in step; which one is heard is a matter of gain.

const LEAD = 0.03; // seconds from now to a start, so that all parts start together
const FADE = 0.012; // seconds of a crossfade: too short to hear, long enough not to click
const EDGE = 0.004; // seconds of a fade at either end of a loop

let shared = null;

/** The page's one audio context, made at the first press of play, as browsers ask. */
function sharedContext() {
  if (!window.AudioContext) throw new Problem("Nothing can be heard: this browser lacks Web Audio.");
  shared ??= new AudioContext({ latencyHint: "interactive" });
  return shared;
}

/** Plays the parts of one explanation at a time. */
class Deck {
  constructor(context, ended) {
    this.context = context;
    this.ended = ended;
    this.output = context.createGain(); // all that is heard passes here
    this.output.connect(context.destination);
    this.buffers = new Map();
    this.part = "original";
    this.loop = null;
    this.speed = 1;
    this.run = null;
    this.before = null;
  }

  /** Decode parts, given as a map from name to bytes; they are heard from the next start. */
  async load(sounds) {
    const decoded = await Promise.all(
      [...sounds].map(async ([part, bytes]) => [part, await this.context.decodeAudioData(bytes.buffer)]),
    ).catch(() => {
      throw new Problem("Nothing can be heard: the sound on this page is damaged, or the browser cannot read FLAC.");
    });
    this.buffers = new Map(decoded);
  }

  get duration() {
    return Math.max(0, ...[...this.buffers.values()].map((buffer) => buffer.duration));
  }

  get playing() {
    return this.run !== null;
  }

  /** The time of the context that leaves the loudspeaker now: what is computed already is heard later. */
  heard() {
    const late = this.context.outputLatency || this.context.baseLatency || 0;
    const plain = this.context.currentTime - late;
    const stamp = this.context.getOutputTimestamp?.();
    if (!stamp?.performanceTime) return plain;
    const exact = stamp.contextTime + (performance.now() - stamp.performanceTime) / 1000;
    return Math.abs(exact - plain) < 0.1 ? exact : plain; // some devices report nonsense
  }

  /** Position in the recording, in seconds, of what is heard at a time of the context. */
  position(time = this.heard()) {
    const run = this.run && time < this.run.when && this.before ? this.before : this.run;
    if (!run) return 0;
    const place = run.offset + run.speed * Math.max(0, time - run.when);
    if (!run.loop) return Math.min(place, this.duration);
    const [start, end] = run.loop;
    return start + ((place - start) % (end - start));
  }

  /** Start at a position; what plays fades out while this fades in. */
  start(position) {
    this.begin(this.context.currentTime + LEAD, position);
  }

  /** Go on where it plays, to the sample, with other sounds or another loop. */
  resume(loop = this.loop) {
    const when = this.context.currentTime + LEAD;
    const position = this.position(when);
    this.loop = loop;
    this.begin(when, position);
  }

  begin(when, position) {
    const loop = this.loop;
    const offset = loop && !(position >= loop[0] && position < loop[1]) ? loop[0] : Math.min(position, this.duration);
    const master = new GainNode(this.context, { gain: 0 });
    master.connect(this.output);
    master.gain.setValueAtTime(0, when);
    master.gain.linearRampToValueAtTime(1, when + FADE);
    const run = { when, offset, loop, master, speed: this.speed, gains: new Map(), sources: [] };
    for (const [part, buffer] of this.buffers) {
      const gain = new GainNode(this.context, { gain: part === this.part ? 1 : 0 });
      const played = { buffer: loop ? this.cut(buffer, loop) : buffer, loop: !!loop, playbackRate: this.speed };
      const source = new AudioBufferSourceNode(this.context, played);
      source.connect(gain).connect(master);
      source.start(when, loop ? offset - loop[0] : offset);
      run.gains.set(part, gain);
      run.sources.push(source);
    }
    if (run.sources.length) {
      run.sources[0].onended = () => {
        if (this.run !== run) return;
        this.silence(this.context.currentTime);
        this.ended();
      };
    }
    const running = this.run;
    this.silence(when);
    this.before = running;
    this.run = run;
  }

  /** Hear another part at the same position. */
  hear(part) {
    this.part = part;
    if (!this.run) return;
    const now = this.context.currentTime;
    for (const [name, { gain }] of this.run.gains) {
      gain.cancelScheduledValues(now);
      gain.setValueAtTime(gain.value, now);
      gain.linearRampToValueAtTime(name === part ? 1 : 0, now + FADE);
    }
  }

  stop() {
    this.silence(this.context.currentTime);
  }

  silence(when) {
    if (!this.run) return;
    const { gain } = this.run.master;
    gain.cancelScheduledValues(when);
    // From wherever its fade-in is by then, so that there is no step.
    gain.linearRampToValueAtTime(Math.min(1, Math.max(0, (when - this.run.when) / FADE)), when);
    gain.linearRampToValueAtTime(0, when + FADE);
    for (const source of this.run.sources) source.stop(when + FADE);
    this.run = null;
    this.before = null;
  }

  /** A region as a sound of its own, faded at its edges so that going round does not click. */
  cut(buffer, [start, end]) {
    const rate = buffer.sampleRate;
    const first = Math.round(start * rate);
    const samples = buffer.getChannelData(0).slice(first, Math.max(first + 1, Math.round(end * rate)));
    const fade = Math.min(Math.round(EDGE * rate), samples.length >> 1);
    for (let i = 0; i < fade; i += 1) {
      const weight = 0.5 - 0.5 * Math.cos((Math.PI * (i + 0.5)) / fade);
      samples[i] *= weight;
      samples[samples.length - 1 - i] *= weight;
    }
    const cut = new AudioBuffer({ length: samples.length, sampleRate: rate });
    cut.copyToChannel(samples, 0);
    return cut;
  }
}
