// The microphone: a level, a countdown, and a recording that ends by itself after the word.

import { by, guarded, speak } from "./dom.js";

const COUNT = ["3", "2", "1"];
const BEAT = 500; // milliseconds of each
const LONGEST = 4; // seconds
const SILENCE = 0.7; // seconds after a word that end the recording
const WORD = 0.12; // seconds above the noise that make a word
const ABOVE = 4; // times the noise
const PATIENCE = 6000; // milliseconds until the sound device is there
const PROCESSING = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };

const sleep = (milliseconds) => new Promise((resolve) => { setTimeout(resolve, milliseconds); });

let running = null;

/** Let the button record; done(samples, rate) gets what was said. */
export function recordWith(done) {
  const press = guarded(async () => {
    if (running) running.stop();
    else await record(done);
  });
  by("record").addEventListener("click", press);
  return press;
}

async function record(done) {
  if (!navigator.mediaDevices) throw new Error("This browser gives no microphone to this address. Open the page at 127.0.0.1 or localhost.");
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ audio: PROCESSING });
  } catch (error) {
    const why = error.name === "NotAllowedError" ? "was not allowed. Allow it next to the address of this page" : "could not be used";
    throw new Error(`The microphone ${why} (${error.message}).`);
  }
  const context = new AudioContext();
  try {
    const samples = await heard(context, stream);
    if (samples.length) await done(samples, context.sampleRate);
  } finally {
    running = null;
    for (const track of stream.getTracks()) track.stop();
    context.close();
    show("Record a word", "");
    by("level").hidden = true;
  }
}

/** Samples from the end of the countdown to the end of the word. */
async function heard(context, stream) {
  await context.audioWorklet.addModule("static/recorder.js");
  const node = new AudioWorkletNode(context, "xaudio-recorder", { numberOfOutputs: 0 });
  context.createMediaStreamSource(stream).connect(node);
  await Promise.race([context.resume(), sleep(PATIENCE).then(() => {
    if (context.state !== "running") throw new Error("This browser does not start its sound: connect a loudspeaker or headphones, and try again.");
  })]);
  const taken = new Taken(context.sampleRate);
  node.port.onmessage = ({ data }) => taken.take(data);
  by("level").hidden = false;
  running = taken;
  show("Stop", "");
  for (const number of COUNT) {
    by("count").textContent = number;
    await Promise.race([sleep(BEAT), taken.ended]);
  }
  show("Stop", "Speak now");
  taken.begin();
  await taken.ended;
  node.port.onmessage = null;
  performance.mark("recorded");
  return taken.samples();
}

function show(label, count) {
  by("record").textContent = label;
  by("record").classList.toggle("on", label === "Stop");
  by("count").textContent = count;
  if (count) speak(count);
}

/** Blocks of a recording; it ends when a word is over, or too long. */
class Taken {
  constructor(rate) {
    Object.assign(this, { rate, blocks: [], recording: false, noise: 0.003, spoken: 0, quiet: 0, seconds: 0 });
    this.ended = new Promise((resolve) => { this.stop = resolve; });
  }

  begin() {
    this.recording = true;
  }

  take(block) {
    const level = Math.sqrt(block.reduce((sum, value) => sum + value * value, 0) / block.length);
    by("level").firstElementChild.style.width = `${Math.min(100, Math.max(0, 100 + (20 * Math.log10(level + 1e-6)) * 1.6))}%`;
    if (!this.recording) {
      this.noise = Math.max(0.0005, Math.min(this.noise, 2 * level));
      return;
    }
    this.blocks.push(block);
    const length = block.length / this.rate;
    this.seconds += length;
    const loud = level > ABOVE * this.noise && level > 0.004;
    this.spoken += loud ? length : 0;
    this.quiet = loud ? 0 : this.quiet + length;
    if (this.seconds >= LONGEST || (this.spoken > WORD && this.quiet > SILENCE)) this.stop();
  }

  samples() {
    const whole = new Float32Array(this.blocks.reduce((sum, block) => sum + block.length, 0));
    this.blocks.forEach((block, index) => whole.set(block, index * block.length));
    return whole;
  }
}
