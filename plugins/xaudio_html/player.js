// The component: one recording with its explanations, seen and heard at the same place.

const NEAR = "800px"; // how far below the window pictures are drawn already
const KEPT = 24; // up to so many components on a page, pictures are kept; beyond, only those near the window
const TURN = 1.5; // zoom of one press
const ORDER = ["original", "positive", "negative", "complement"];
const BRIEF = { original: "Recording", positive: "For", negative: "Against", complement: "Rest" };
const SIGNS = [["both", "Both"], ["positive", "For"], ["negative", "Against"], ["none", "None"]];
const COLOURS = ["for", "against", "paper", "quiet", "loud", "wave", "line", "frame", "text", "faint"];

const calm = matchMedia("(prefers-reduced-motion: reduce)");
const paper = matchMedia("print");
const dark = matchMedia("(prefers-color-scheme: dark)");
const everyone = () => [...document.querySelectorAll("xaudio-player")];

class XaudioPlayer extends HTMLElement {
  connectedCallback() {
    if (this.watcher) return;
    this.watcher = new IntersectionObserver(
      ([...entries]) => (entries.at(-1).isIntersecting ? this.appear() : this.leave()),
      { rootMargin: NEAR },
    );
    this.watcher.observe(this);
    new ResizeObserver(() => this.redraw()).observe(this);
  }

  /** Read the page's data and put the controls into place, once. */
  build() {
    if (this.facts) return;
    this.elements = [...this.querySelectorAll('script[type="application/octet-stream"]')];
    this.facts = JSON.parse(this.querySelector('script[type="application/json"]').textContent);
    this.texts = [...this.querySelectorAll(".xa-facts")];
    Object.assign(this, { index: 0, voice: "original", other: "positive", signs: "both", region: null, looping: false });
    Object.assign(this, { paused: 0, deck: null, loaded: -1, picture: null, range: null, cursor: null, pointers: new Map() });
    this.stage = make("div", { class: "xa-stage" });
    this.texts[0].before(this.stage);
    this.addEventListener("keydown", (event) => this.press(event));
    this.furnish();
  }

  get explanation() {
    return this.facts.explanations[this.index];
  }

  // The elements.

  furnish() {
    this.play = button("play", "Play", () => this.toggle(), { seen: true, title: "Play or pause (Space)" });
    this.swap = button("swap", "A/B", () => this.exchange(), { seen: true, title: "Recording or explanation, at the same position (A)" });
    this.looper = button("loop", "Loop", () => this.loop(!this.looping), { seen: true, title: "Loop what is selected (L)" });
    this.swap.setAttribute("aria-label", "A/B: recording or explanation");
    this.time = make("span", { class: "xa-time" });
    const zoom = make(
      "div", { class: "xa-zoom", role: "group", "aria-label": "Zoom" },
      button("wider", "Zoom out", () => this.zoom(1 / TURN)),
      button("closer", "Zoom in", () => this.zoom(TURN)),
      button("whole", "See the whole", () => this.whole()),
    );
    this.choices = make("div", { class: "xa-selectors" });
    this.voices = make("div", { class: "xa-voices" });
    this.canvas = make("canvas", { class: "xa-canvas", "aria-hidden": "true" });
    this.head = make("div", { class: "xa-head", hidden: true });
    this.mark = make("div", { class: "xa-region", hidden: true });
    this.lineX = make("div", { class: "xa-line xa-line-x", hidden: true });
    this.lineY = make("div", { class: "xa-line xa-line-y", hidden: true });
    this.board = make(
      "div", { class: "xa-plot", tabindex: "0", role: "application", "aria-roledescription": "picture with a cursor" },
      this.canvas, this.mark, this.lineX, this.lineY, this.head,
    );
    this.readout = make("p", { class: "xa-readout" });
    this.key = make("div", { class: "xa-legend" });
    this.remark = make("p", { class: "xa-remark" });
    this.problem = make("p", { class: "xa-problem", role: "alert", hidden: true });
    this.live = make("div", { class: "xa-unseen", "aria-live": "polite" });
    this.swatches = make("div", { hidden: true }, ...COLOURS.map((name) => make("i", { class: `xa-colour xa-colour-${name}` })));
    this.stage.append(
      this.choices,
      make("div", { class: "xa-bar" }, this.play, this.swap, this.looper, this.time, zoom),
      this.voices, this.remark, this.problem, this.board,
      make("p", { class: "xa-undrawn" }, "This picture was not drawn before printing: print with the button at the top of the page."),
      make("div", { class: "xa-under" }, this.readout, this.key),
      keyList(), this.live, this.swatches,
    );
    this.plot = new Plot(this.canvas);
    this.point();
  }

  /** The elements that depend on which explanation is shown. */
  name() {
    const { question, summary, sounds } = this.explanation;
    const { choices } = this.facts;
    const asked = this.querySelector(".xa-question");
    if (asked) asked.textContent = `: why ${question}?`;
    this.texts.forEach((text, index) => text.classList.toggle("xa-away", index !== this.index));
    this.choices.replaceChildren(
      ...Object.entries(choices).map(([dimension, values]) =>
        selector(dimension, [...new Set(values)], values[this.index], (value) => this.select(dimension, value))),
    );
    const parts = ORDER.filter((part) => sounds[part]).map((part) => ({
      value: part, label: BRIEF[part], long: sounds[part].label, disabled: sounds[part].data === null,
    }));
    this.voices.replaceChildren(
      choice("Hear", "part", parts, this.voice, (part) => this.hear(part)),
      choice("See", "signs", SIGNS.map(([value, label]) => ({ value, label, long: `See ${label.toLowerCase()}` })), this.signs,
        (signs) => this.see(signs)),
    );
    this.board.setAttribute("aria-label", `Relevance of ${this.facts.name} for ${question}. ${summary} Arrow keys move a cursor.`);
    this.tell();
    this.legend();
  }

  legend() {
    const limit = this.explanation.picture.limit;
    const { question } = this.explanation;
    this.scale = make("canvas", { class: "xa-scale", width: "360", height: "16", "aria-hidden": "true" });
    this.key.replaceChildren(
      make("span", { class: "xa-end" }, make("i", { class: "xa-swatch xa-colour-against" }), `against ${question}`),
      make("span", { class: "xa-range" }, signed(-limit), this.scale, signed(limit)),
      make("span", { class: "xa-end" }, make("i", { class: "xa-swatch xa-colour-for" }), `for ${question}`),
    );
  }

  /** The sentence on the sound that is chosen, and why others are silent. */
  tell() {
    const { sounds } = this.explanation;
    const heard = sounds[this.voice];
    const silent = ORDER.filter((part) => sounds[part]?.reason).map((part) => `${BRIEF[part]} is silent: ${sounds[part].reason}.`);
    const first = heard ? `${heard.label}${heard.remark ? ` (${heard.remark})` : ""}.` : "";
    this.remark.textContent = [first, ...silent].join(" ");
  }

  complain(error) {
    this.problem.textContent = error instanceof Problem ? error.message : `Something went wrong: ${error.message}`;
    this.problem.hidden = false;
  }

  say(text) {
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => (this.live.textContent = text), 120);
  }

  // What is shown.

  async appear() {
    try {
      this.build();
      await this.ready();
    } catch (error) {
      this.complain(error);
    }
  }

  leave() {
    if (!this.picture || this.deck?.playing || everyone().length <= KEPT) return;
    this.picture = null;
    this.canvas.width = this.canvas.height = 0;
    this.classList.remove("xa-drawn");
  }

  /** The picture, unpacked unless it is there; drawn when this ends. */
  async ready() {
    this.build();
    if (!this.picture) await this.choose(this.index);
  }

  async choose(index) {
    this.index = index;
    const { sounds, picture } = this.explanation;
    if (!sounds[this.voice] || sounds[this.voice].data === null) this.voice = "original";
    this.name();
    const turn = (this.turn = Symbol("turn"));
    try {
      const found = await pictureOf(this.elements, this.facts.waveform, picture);
      if (this.turn !== turn) return; // another one was chosen in the meantime
      const alike = this.picture && found.across.name === this.picture.across.name && !found.up === !this.picture.up;
      this.picture = found;
      if (!alike || !this.range) Object.assign(this, { range: wholeOf(found), cursor: null });
      this.redraw();
      this.point();
      if (!performance.getEntriesByName("xaudio-first-picture").length) performance.mark("xaudio-first-picture");
      if (this.deck?.playing) await this.supply().then(() => this.deck.resume());
    } catch (error) {
      this.complain(error);
    }
  }

  /** Change one thing and keep the others, as far as there is such an explanation. */
  select(dimension, value) {
    const { choices } = this.facts;
    const names = Object.keys(choices);
    const kept = (index) => names.filter((name) => choices[name][index] === choices[name][this.index]).length;
    const fitting = choices[dimension].map((_, index) => index).filter((index) => choices[dimension][index] === value);
    const best = fitting.reduce((one, other) => (kept(other) > kept(one) ? other : one));
    this.choose(best);
    this.choices.querySelectorAll("select")[names.indexOf(dimension)].focus();
    this.say(`${dimension}: ${value}. ${this.explanation.summary}`);
  }

  see(signs) {
    this.signs = signs;
    this.voices.querySelector(`.xa-choose-signs input[value=${signs}]`).checked = true;
    this.redraw();
  }

  redraw() {
    const width = this.board?.clientWidth;
    if (!this.picture || !width) return;
    const colours = Object.fromEntries(
      [...this.swatches.children].map((swatch, index) => [
        COLOURS[index], getComputedStyle(swatch).backgroundColor.match(/[\d.]+/g).slice(0, 3).map(Number),
      ]),
    );
    this.layout = layoutOf(this.picture, width);
    const sharp = Math.min(2, devicePixelRatio || 1);
    this.plot.draw(this.picture, this.range, this.layout, this.signs, colours, paper.matches ? 2 : sharp);
    this.shade(colours);
    this.classList.add("xa-drawn");
    this.place();
  }

  shade({ for: pro, against, paper: base }) {
    const pen = this.scale.getContext("2d");
    for (let i = 0; i < 360; i += 1) {
      const share = (i + 0.5) / 180 - 1;
      pen.fillStyle = css(mixed(base, share > 0 ? pro : against, Math.abs(share) ** OPACITY));
      pen.fillRect(i, 0, 1, 16);
    }
  }

  /** Put play head, loop and cursor where they belong. */
  place() {
    if (!this.layout) return;
    const { lanes, height } = this.layout;
    const timed = lanes.filter((lane) => lane.axis === "time");
    const [top, bottom] = [timed[0].top, timed.at(-1).top + timed.at(-1).height];
    const position = this.position();
    const x = this.across(timed[0], position);
    this.head.hidden = !this.within(timed[0], x) || (!this.started && position === 0);
    span(this.head, x, top, bottom);
    this.mark.hidden = !this.region;
    if (this.region) {
      const ends = this.region.map((time) => Math.min(timed[0].left + timed[0].width, Math.max(timed[0].left, this.across(timed[0], time))));
      span(this.mark, ends[0], top, bottom);
      this.mark.style.width = `${ends[1] - ends[0]}px`;
      this.mark.classList.toggle("xa-off", !this.looping);
    }
    const { cursor } = this;
    this.lineX.hidden = this.lineY.hidden = true;
    if (cursor) {
      const own = lanes.filter((lane) => lane.axis === cursor.axis);
      const at = this.across(own[0], cursor.x);
      this.lineX.hidden = !this.within(own[0], at);
      span(this.lineX, at, own[0].top, own.at(-1).top + own.at(-1).height);
      const map = lanes.find((lane) => lane.kind === "map");
      if (map && cursor.y !== undefined && cursor.axis === map.axis) {
        const [low, high] = this.range.up;
        const y = map.top + map.height * (1 - (cursor.y - low) / (high - low));
        this.lineY.hidden = y < map.top || y > map.top + map.height;
        Object.assign(this.lineY.style, { transform: `translateY(${y}px)`, left: `${map.left}px`, width: `${map.width}px` });
      }
    }
    this.time.textContent = `${position.toFixed(2)} / ${this.duration.toFixed(2)} s`;
    this.board.style.minHeight = `${height}px`;
  }

  get duration() {
    return this.facts.waveform.count / this.facts.waveform.rate;
  }

  across(lane, value) {
    const [low, high] = this.range[lane.axis];
    return lane.left + ((value - low) / (high - low)) * lane.width;
  }

  within(lane, x) {
    return x >= lane.left - 0.5 && x <= lane.left + lane.width + 0.5;
  }

  // Zoom.

  /** Zoom by a factor about a value, or about the cursor, the play head or the middle. */
  zoom(factor, axis = this.axis, about = undefined) {
    if (!this.picture) return;
    const whole = wholeOf(this.picture)[axis];
    const [low, high] = this.range[axis];
    const marks = { time: this.started ? this.position() : undefined };
    const pointed = axis === "up" ? this.cursor?.y : this.cursor?.axis === axis ? this.cursor.x : marks[axis];
    const seen = (value) => value >= low && value <= high;
    const centre = [about, pointed, (low + high) / 2].find((value) => value !== undefined && seen(value));
    const cells = axis === "up" ? this.picture.up : axis === "across" || this.picture.across.name === "time" ? this.picture.across : this.picture.samples;
    const least = Math.min(whole[1] - whole[0], (8 * (cells.edges[cells.count] - cells.edges[0])) / cells.count);
    const width = Math.min(whole[1] - whole[0], Math.max(least, (high - low) / factor));
    this.show(axis, centre - ((centre - low) / (high - low)) * width, width);
    this.say(`In view: ${this.range[axis].map((value) => quantity(value, this.unit(axis))).join(" to ")}`);
  }

  show(axis, low, width) {
    const whole = wholeOf(this.picture)[axis];
    const start = Math.min(Math.max(whole[0], low), whole[1] - width);
    this.range[axis] = [start, start + width];
    cancelAnimationFrame(this.soon);
    this.soon = requestAnimationFrame(() => this.redraw());
  }

  pan(share, axis = this.axis) {
    const [low, high] = this.range[axis];
    this.show(axis, low + share * (high - low), high - low);
  }

  whole() {
    if (!this.picture) return;
    this.range = wholeOf(this.picture);
    this.redraw();
    this.say("The whole is in view.");
  }

  /** The axis that the relevance lies along. */
  get axis() {
    return this.picture?.across.name === "time" ? "time" : "across";
  }

  unit(axis) {
    return axis === "time" ? "s" : axis === "up" ? this.picture.up.unit : this.picture.across.unit;
  }

  // Sound.

  position() {
    return this.deck?.playing ? this.deck.position() : this.paused;
  }

  /** The sounds of the explanation that is shown, decoded unless they are. */
  async supply() {
    this.deck ??= new Deck(sharedContext(), () => this.finish());
    if (this.loaded === this.index) return;
    const index = this.index;
    const sounds = Object.entries(this.explanation.sounds).filter(([, { data }]) => data !== null);
    await this.deck.load(new Map(sounds.map(([part, { data }]) => [part, bytesOf(this.elements[data])])));
    this.loaded = index;
    this.deck.part = this.voice;
  }

  async toggle() {
    return this.deck?.playing ? this.pause() : this.from(this.paused);
  }

  /** Play from a position in seconds. */
  async from(position) {
    try {
      this.problem.hidden = true;
      for (const other of everyone()) if (other !== this && other.deck?.playing) other.pause();
      await this.supply();
      await this.deck.context.resume();
      this.deck.loop = this.looping ? this.region ?? [0, this.duration] : null;
      this.deck.start(position >= this.duration ? 0 : position);
      this.started = true;
      this.state();
      this.say(`Playing ${this.explanation.sounds[this.voice].label} from ${position.toFixed(2)} seconds.`);
      this.follow();
    } catch (error) {
      this.complain(error);
    }
  }

  pause() {
    if (!this.deck?.playing) return;
    this.paused = this.deck.position();
    this.deck.stop();
    this.state();
    this.say(`Paused at ${this.paused.toFixed(2)} seconds.`);
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

  exchange() {
    const { sounds } = this.explanation;
    const parts = [this.other, ...ORDER.slice(1)].filter((part) => sounds[part] && sounds[part].data !== null);
    this.hear(this.voice === "original" && parts.length ? parts[0] : "original");
  }

  loop(on) {
    this.looping = on;
    if (this.deck?.playing) this.deck.resume(on ? this.region ?? [0, this.duration] : null);
    this.state();
    const ends = (this.region ?? [0, this.duration]).map((time) => time.toFixed(2));
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
    const playing = !!this.deck?.playing;
    this.play.replaceChildren(icon(playing ? "pause" : "play"), make("span", { class: "xa-label" }, playing ? "Pause" : "Play"));
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

  // Cursor.

  /** Move the cursor to a value along an axis, and up. */
  aim(axis, x, y, aloud = false) {
    this.cursor = { axis, x, y };
    const text = this.reading();
    this.readout.textContent = text;
    if (aloud) this.say(text);
    this.place();
  }

  /** What is at the cursor: time, frequency, level and relevance. */
  reading() {
    const { picture, cursor } = this;
    const { across, up, relevance, level, unit, sums, wave, samples, strongest } = picture;
    const found = [];
    if (cursor.axis === "time") found.push(`time ${quantity(cursor.x, "s")}`);
    if (cursor.axis === "time" && cursor.y === undefined) {
      found.push(`amplitude ${signed(wave[cellAt(samples, cursor.x)])}`);
    }
    if (cursor.axis !== this.axis) return found.join(" · ");
    const column = cellAt(across, cursor.x);
    if (cursor.axis === "across") found.push(`${across.name} ${quantity(across.centres[column], across.unit)}`);
    if (up && cursor.y === undefined) return found.join(" · ");
    const row = up ? cellAt(up, cursor.y) : 0;
    const cell = row * across.count + column;
    if (up) found.push(`${up.name} ${quantity(up.centres[row], up.unit)}`);
    if (level) found.push(`${unit === "dB" ? "level" : "feature"} ${signed(level[cell])} ${unit}`.trim());
    const percent = (100 * Math.abs(relevance[cell])) / (strongest || 1);
    const share = percent ? ` (${percent < 0.5 ? "less than 1" : Math.round(percent)} % of the strongest)` : "";
    found.push(`relevance ${signed(relevance[cell])}${share}`);
    if (sums) found.push(`sum up to here ${signed(sums[cell])}`);
    return found.join(" · ");
  }

  /** Move the cursor by steps, from where it is or from the play head. */
  step(dx, dy) {
    const { picture, range, axis } = this;
    if (!picture) return;
    const { up } = picture;
    const least = (cells, [low, high], parts) => Math.max((cells.edges[cells.count] - cells.edges[0]) / cells.count, (high - low) / parts);
    const middle = ([low, high]) => (low + high) / 2;
    const fresh = this.cursor?.axis === axis ? this.cursor : { x: axis === "time" && this.started ? this.position() : middle(range[axis]) };
    const x = fresh.x + dx * least(picture.across, range[axis], 100);
    const y = up ? (fresh.y ?? middle(range.up)) + dy * least(up, range.up, 60) : undefined;
    this.reach(x, y);
  }

  /** The cursor at a place that is brought into view. */
  reach(x, y) {
    const bounds = wholeOf(this.picture);
    const inside = (value, [low, high]) => Math.min(high, Math.max(low, value));
    const place = { across: inside(x, bounds[this.axis]), up: y === undefined ? undefined : inside(y, bounds.up) };
    for (const [axis, value] of [[this.axis, place.across], ["up", place.up]]) {
      const [low, high] = this.range[axis] ?? [];
      if (value !== undefined && (value < low || value > high)) this.show(axis, value - (high - low) / 2, high - low);
    }
    this.aim(this.axis, place.across, place.up, true);
  }

  // Pointer.

  point() {
    if (this.pointed) return;
    this.pointed = true;
    const { board } = this;
    board.addEventListener("pointerdown", (event) => this.down(event));
    board.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) board.addEventListener(name, (event) => this.up(event));
    board.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && !this.pointers.size && this.rest());
    board.addEventListener("wheel", (event) => this.turnWheel(event), { passive: false });
    board.addEventListener("dblclick", () => this.whole());
  }

  /** The lane under a pointer, with the values there; lanes reach over their titles. */
  at(event) {
    if (!this.layout) return null;
    const box = this.board.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const lane = this.layout.lanes.find((item) => y >= item.top - TITLE && y <= item.top + item.height + TICKS) ?? this.layout.lanes[0];
    const [low, high] = this.range[lane.axis];
    const value = low + (Math.min(lane.width, Math.max(0, x - lane.left)) / lane.width) * (high - low);
    if (lane.kind !== "map") return { lane, value, x };
    const share = 1 - Math.min(1, Math.max(0, (y - lane.top) / lane.height));
    return { lane, value, x, up: this.range.up[0] + share * (this.range.up[1] - this.range.up[0]) };
  }

  down(event) {
    const at = this.at(event);
    if (!at || event.button > 0) return;
    this.board.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, { x: event.clientX, from: at, now: event.clientX, moved: false, shift: event.shiftKey });
  }

  move(event) {
    const at = this.at(event);
    if (!at) return;
    const held = this.pointers.get(event.pointerId);
    if (this.pointers.size === 2 && held) {
      this.pinch(held, event, at);
      return;
    }
    this.aim(at.lane.axis, at.value, at.up);
    if (!held) return;
    held.moved ||= Math.abs(event.clientX - held.x) > 6;
    if (!held.moved) return;
    const { lane } = held.from;
    if (held.shift || lane.axis !== "time") {
      this.pan((held.now - event.clientX) / lane.width, lane.axis);
    } else {
      this.region = [Math.min(held.from.value, at.value), Math.max(held.from.value, at.value)];
      this.place();
    }
    held.now = event.clientX;
  }

  pinch(held, event, at) {
    const [other] = [...this.pointers.values()].filter((item) => item !== held);
    const before = Math.abs(held.now - other.now);
    const after = Math.abs(event.clientX - other.now);
    held.now = event.clientX;
    held.moved = other.moved = true;
    held.pinched = other.pinched = true;
    if (before > 10 && after > 10) this.zoom(after / before, at.lane.axis, at.value);
  }

  up(event) {
    const held = this.pointers.get(event.pointerId);
    this.pointers.delete(event.pointerId);
    if (!held || held.pinched || event.type === "pointercancel") return;
    const at = this.at(event);
    const { lane, value } = held.from;
    if (held.moved && !held.shift && lane.axis === "time") this.enclose(value, at.value);
    else if (!held.moved && lane.axis === "time") this.from(value);
  }

  rest() {
    this.cursor = null;
    this.readout.textContent = "";
    this.place();
  }

  turnWheel(event) {
    const at = this.at(event);
    const meant = event.ctrlKey || event.metaKey || document.activeElement === this.board;
    if (!at || !meant) return; // else the page scrolls
    event.preventDefault();
    const sideways = event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY);
    if (sideways) this.pan((event.deltaX || event.deltaY) / at.lane.width, at.lane.axis);
    else if (event.altKey && at.up !== undefined) this.zoom(1.0015 ** -event.deltaY, "up", at.up);
    else this.zoom(1.0015 ** -event.deltaY, at.lane.axis, at.value);
  }

  // Keys.

  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.picture) return;
    const { target } = event;
    const inside = target === this.board;
    if (target.matches("select, audio, summary") || (target.matches("input") && /^Arrow|^ $/.test(event.key))) return;
    const { cursor } = this;
    const x = cursor?.axis === "time" ? cursor.x : this.position();
    const moves = {
      ArrowLeft: () => (event.shiftKey ? this.pan(-0.25) : this.step(-1, 0)),
      ArrowRight: () => (event.shiftKey ? this.pan(0.25) : this.step(1, 0)),
      ArrowUp: () => this.step(0, 1),
      ArrowDown: () => this.step(0, -1),
      Home: () => this.reach(wholeOf(this.picture)[this.axis][0], cursor?.y),
      End: () => this.reach(wholeOf(this.picture)[this.axis][1], cursor?.y),
      Enter: () => this.from(x),
      " ": () => this.toggle(),
    };
    const commands = {
      k: () => this.toggle(),
      a: () => this.exchange(),
      s: () => {
        const order = SIGNS.map(([value]) => value);
        this.see(order[(order.indexOf(this.signs) + 1) % order.length]);
        this.say(`Relevance seen: ${SIGNS[order.indexOf(this.signs)][1]}.`);
      },
      "+": () => this.zoom(TURN),
      "=": () => this.zoom(TURN),
      "-": () => this.zoom(1 / TURN),
      i: () => this.picture.up && this.zoom(TURN, "up"),
      o: () => this.picture.up && this.zoom(1 / TURN, "up"),
      0: () => this.whole(),
      "[": () => this.enclose(x, this.region && this.region[1] > x ? this.region[1] : this.duration),
      "]": () => this.enclose(this.region && this.region[0] < x ? this.region[0] : 0, x),
      l: () => this.loop(!this.looping),
      Escape: () => {
        this.region = null;
        this.loop(false);
        this.rest();
      },
    };
    ORDER.forEach((part, index) => (commands[index + 1] = () => this.hear(part)));
    const command = (inside && moves[event.key]) || commands[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!command) return;
    event.preventDefault();
    command();
  }
}

/** Put a vertical mark at x, from top to bottom. */
function span(element, x, top, bottom) {
  element.style.transform = `translateX(${x}px)`;
  element.style.top = `${top}px`;
  element.style.height = `${bottom - top}px`;
}

customElements.define("xaudio-player", XaudioPlayer);

const redrawAll = () => everyone().forEach((player) => player.redraw());
for (const query of [paper, dark]) query.addEventListener("change", redrawAll);
addEventListener("beforeprint", redrawAll);
addEventListener("afterprint", redrawAll);

/** Draw every picture of the page, then print it. */
async function printAll() {
  for (const player of everyone()) await player.ready();
  print();
}

for (const element of document.querySelectorAll(".xa-print")) {
  element.hidden = everyone().length < 2;
  element.addEventListener("click", printAll);
}
