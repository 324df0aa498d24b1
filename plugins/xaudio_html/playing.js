// What the component does with sound: play, seek, switch, loop.

const Playing = (Base) => class extends Base {
  position() {
    return this.deck?.playing ? this.deck.position() : this.paused;
  }

  /** The sounds of the explanation that is shown, decoded unless they are. */
  async supply() {
    this.deck ??= new Deck(sharedContext(), () => this.finish());
    this.deck.speed = this.speed;
    if (this.loaded === this.index) return;
    const index = this.index;
    const sounds = Object.entries(this.explanation.sounds).filter(([, { data }]) => data !== null);
    await this.deck.load(new Map(sounds.map(([part, { data }]) => [part, bytesOf(this.elements[data])])));
    this.loaded = index;
    this.deck.part = this.voice;
  }

  /** Whether it plays, or will as soon as the device is ready. */
  get underway() {
    return !!(this.deck?.playing || this.starting);
  }

  async toggle() {
    return this.underway ? this.pause() : this.from(this.paused);
  }

  /** Play from a position in seconds; until a device is ready, which may take seconds, it can be paused as if it played. */
  async from(position) {
    const turn = Symbol("turn");
    try {
      this.problem.hidden = true;
      for (const other of everyone()) if (other !== this) other.pause();
      this.starting = turn;
      this.state();
      await this.supply();
      await this.deck.context.resume();
      if (this.starting !== turn) return; // paused, or begun anew, in the meantime
      this.starting = null;
      this.deck.loop = this.looping ? this.region ?? [0, this.duration] : null;
      this.deck.start(position >= this.duration ? 0 : position);
      this.started = true;
      this.state();
      this.say(`Playing ${this.explanation.sounds[this.voice].label} from ${this.clock(position)} seconds.`);
      this.follow();
    } catch (error) {
      this.starting = null;
      this.state();
      this.complain(error);
    }
  }

  pause() {
    if (!this.underway) return;
    this.paused = this.position();
    this.starting = null;
    this.deck?.stop();
    this.state();
    this.say(`Paused at ${this.clock(this.paused)} seconds.`);
  }

  finish() {
    this.paused = 0;
    this.state();
    this.say("The end.");
  }

  seek(position) {
    const place = Math.min(this.duration, Math.max(0, position));
    if (this.deck?.playing) {
      this.deck.start(place);
    } else {
      this.paused = place;
      this.started = true;
      this.place();
    }
  }

  hear(part) {
    const sound = this.explanation.sounds[part];
    if (!sound || sound.data === null) {
      if (sound) this.say(`${sound.label} is silent: ${sound.reason}.`);
      return;
    }
    this.voice = part;
    if (part !== "original") this.other = part;
    this.voices.querySelector(`.xa-choose-part input[value=${part}]`).checked = true;
    this.deck?.hear(part);
    this.tell();
    this.state();
    this.say(`${sound.label}.`);
  }

  /** Play slower or faster, deeper or higher with it; 1 is as recorded. */
  atSpeed(speed) {
    this.speed = speed;
    if (!this.deck) return;
    const { playing } = this.deck;
    const position = this.position();
    this.deck.speed = speed;
    if (playing) this.deck.start(position);
  }

  exchange() {
    const { sounds } = this.explanation;
    const parts = [this.other, ...ORDER.slice(1)].filter((part) => sounds[part] && sounds[part].data !== null);
    this.hear(this.voice === "original" && parts.length ? parts[0] : "original");
  }

  loop(on) {
    this.looping = on;
    if (this.deck?.playing) this.deck.resume(on ? this.region ?? [0, this.duration] : null);
    this.state();
    const ends = (this.region ?? [0, this.duration]).map((time) => this.clock(time));
    this.say(on ? `Loop from ${ends[0]} to ${ends[1]} seconds.` : "No loop.");
  }

  /** Choose what is looped; a region too short to be meant is none. */
  enclose(first, last) {
    const ends = [Math.max(0, Math.min(first, last)), Math.min(this.duration, Math.max(first, last))];
    this.region = ends[1] - ends[0] >= 0.02 ? ends : null;
    this.loop(this.region !== null);
    if (this.region && !this.deck?.playing) this.seek(this.region[0]);
  }

  state() {
    const [name, label] = this.underway ? ["pause", "Pause"] : ["play", "Play"];
    this.play.replaceChildren(icon(name), make("span", { class: "xa-label" }, label));
    this.looper.setAttribute("aria-pressed", this.looping);
    this.swap.setAttribute("aria-pressed", this.voice !== "original");
    this.place();
  }

  /** Move the play head with the sound, frame by frame. */
  follow() {
    cancelAnimationFrame(this.frame);
    const step = () => {
      if (!this.deck.playing) return;
      const [low, high] = this.range?.time ?? [0, this.duration];
      const position = this.position();
      if (this.picture && !calm.matches && (position > high || position < low)) this.show("time", position - 0.05 * (high - low), high - low);
      this.place();
      this.frame = requestAnimationFrame(step);
    };
    step();
  }
};
