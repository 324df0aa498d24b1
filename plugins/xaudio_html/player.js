// The component: one recording with its explanations, seen and heard at the same moment.

const NEAR = "800px"; // how far below the window pictures are drawn already
const KEPT = 24; // up to so many components on a page, pictures are kept; beyond, only those near the window
const TURN = 1.5; // zoom of one press
const ORDER = ["original", "positive", "negative", "complement"];
const BRIEF = { original: "Recording", positive: "For", negative: "Against", complement: "Rest" };
const SIGNS = [["both", "Both"], ["positive", "For"], ["negative", "Against"], ["none", "None"]];
const COLOURS = ["for", "against", "paper", "quiet", "loud", "wave", "line", "frame", "text", "faint", "padding"];

const calm = matchMedia("(prefers-reduced-motion: reduce)");
const paper = matchMedia("print");
const dark = matchMedia("(prefers-color-scheme: dark)");
const everyone = () => [...document.querySelectorAll("xaudio-player")];

class XaudioPlayer extends Pressing(Pointing(Reading(Playing(HTMLElement)))) {
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
    Object.assign(this, { index: 0, voice: "original", other: "positive", signs: "both", region: null, looping: false, times: "recording" });
    Object.assign(this, { paused: 0, deck: null, loaded: -1, picture: null, range: null, cursor: null, pointers: new Map() });
    Object.assign(this, { spacing: "linear", speed: 1 }, this.kept);
    this.stage = make("div", { class: "xa-stage" });
    this.texts[0].before(this.stage);
    this.addEventListener("keydown", (event) => this.press(event));
    this.furnish();
  }

  disconnectedCallback() {
    this.pause();
  }

  get explanation() {
    return this.facts.explanations[this.index];
  }

  /** What is chosen, for a player that takes the place of this one, as its `kept`; with where one looks and listens in the same recording. */
  chosen(same) {
    const { voice, other, signs, times, spacing, speed, region, looping, range, axes, started } = this;
    return { voice, other, signs, times, spacing, speed, ...(same ? { region, looping, range, axes, started, paused: this.position() } : {}) };
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
      ...(this.facts.waveform.start ? [this.timing()] : []),
      ...(this.explanation.picture.axes.some(({ name }) => name === "frequency") ? [this.scaling()] : []),
    );
    this.board.setAttribute("aria-label", `Relevance of ${this.facts.name} for ${question}. ${summary} Arrow keys move a cursor.`);
    this.tell();
    this.legend();
  }

  timing() {
    const options = [["recording", "Recording", "Times of the recording"], ["model", "Model", "Times of what the model heard, from 0"]];
    return choice("Times", "times", options.map(([value, label, long]) => ({ value, label, long })), this.times, (times) => {
      this.times = times;
      this.redraw();
    });
  }

  scaling() {
    const options = [["linear", "Linear", "Frequencies evenly spaced"], ["log", "Log", "Frequencies by octaves"], ["mel", "Mel", "Frequencies as far apart as they sound"]];
    return choice("Axis", "axis", options.map(([value, label, long]) => ({ value, label, long })), this.spacing, (spacing) => {
      this.space(spacing);
      this.tellOthers("xaudio-spacing", spacing);
    });
  }

  /** Space the frequencies otherwise; everything is in view then. */
  async space(spacing) {
    this.spacing = spacing;
    if (!this.facts) return;
    const chosen = this.voices.querySelector(`.xa-choose-axis input[value=${spacing}]`);
    if (chosen) chosen.checked = true;
    this.axes = null;
    await this.draw();
  }

  /** What is added to a time of the model's window for the time that is shown. */
  get shift() {
    return this.times === "recording" ? this.facts.waveform.start : 0;
  }

  /** A time as it is shown. */
  clock(time) {
    return seconds(time + this.shift);
  }

  legend() {
    const limit = this.explanation.picture.limit;
    const { question } = this.explanation;
    this.scale = make("canvas", { class: "xa-scale", width: "360", height: "16", "aria-hidden": "true" });
    this.key.replaceChildren(
      make("span", { class: "xa-end" }, make("i", { class: "xa-swatch xa-colour-against" }), `against ${question}`),
      make("span", { class: "xa-range" }, signed(-limit), this.scale, signed(limit)),
      make("span", { class: "xa-end" }, make("i", { class: "xa-swatch xa-colour-for" }), `for ${question}`),
      ...(this.facts.waveform.padding.length ? [make("span", { class: "xa-end" }, make("i", { class: "xa-swatch xa-colour-padding" }), "no recording: zeros")] : []),
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
    const { sounds } = this.explanation;
    if (!sounds[this.voice] || sounds[this.voice].data === null) this.voice = "original";
    this.name();
    await this.draw();
  }

  /** The picture of what is chosen. */
  async draw() {
    const { picture } = this.explanation;
    const turn = (this.turn = Symbol("turn"));
    try {
      const plain = await pictureOf(this.elements, this.facts.waveform, picture);
      const shown = { ...plain, across: spaced(plain.across, this.spacing), up: spaced(plain.up, this.spacing) };
      if (this.turn !== turn) return; // another one was chosen in the meantime
      const axes = JSON.stringify([shown.across.name, wholeOf(shown)]);
      const alike = this.axes === axes;
      Object.assign(this, { axes, picture: shown });
      if (!alike || !this.range) Object.assign(this, { range: wholeOf(shown), cursor: null });
      this.redraw();
      this.point();
      this.tellOthers("xaudio-drawn");
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
    const larger = Number(getComputedStyle(this).getPropertyValue("--larger")) || 1; // of what is written into the picture
    this.layout = layoutOf(this.picture, width, larger);
    const sharp = Math.min(2, devicePixelRatio || 1);
    this.plot.draw(this.picture, this.range, this.layout, {
      signs: this.signs, colours, scale: paper.matches ? 2 : sharp, shift: this.shift,
    });
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
    this.time.textContent = `${this.clock(position)} / ${this.clock(this.duration)} s`;
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
    this.say(`In view: ${this.range[axis].map((place) => quantity(this.valueAt(axis, place), this.unit(axis))).join(" to ")}`);
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

  /** What is at a place along an axis: seconds as they are shown, or Hz. */
  valueAt(axis, place) {
    return axis === "time" ? place + this.shift : valueAt(this.picture[axis], place);
  }

  unit(axis) {
    return axis === "time" ? "s" : axis === "up" ? this.picture.up.unit : this.picture.across.unit;
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
