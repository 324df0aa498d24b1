// How the component is steered: a cursor that reads values, pointers, keys.

const Reading = (Base) => class extends Base {
  /** Move the cursor to a value along an axis, and up. */
  aim(axis, x, y, aloud = false) {
    this.mirror({ axis, x, y });
    if (aloud) this.say(this.readout.textContent);
    this.tellOthers("xaudio-cursor", { axis, x, y });
  }

  /** Show the cursor of another player of the same recording here, or none. */
  mirror(cursor) {
    if (!this.picture) return;
    this.cursor = cursor;
    this.readout.textContent = cursor ? this.reading() : "";
    this.place();
  }

  tellOthers(name, detail = null) {
    this.dispatchEvent(new CustomEvent(name, { bubbles: true, detail }));
  }

  /** What is at the cursor: time, frequency, level and relevance. */
  reading() {
    const { picture, cursor } = this;
    const { across, up, relevance, level, unit, sums, wave, samples, strongest } = picture;
    const words = [];
    if (cursor.axis === "time") words.push(`time ${quantity(cursor.x + this.shift, "s")}`);
    if (cursor.axis === "time" && cursor.y === undefined) {
      words.push(`amplitude ${signed(wave[cellAt(samples, cursor.x)])}`);
    }
    if (cursor.axis !== this.axis) return words.join(" · ");
    const column = cellAt(across, cursor.x);
    if (cursor.axis === "across") words.push(`${across.name} ${quantity(across.centres[column], across.unit)}`);
    if (up && cursor.y === undefined) return words.join(" · ");
    const row = up ? cellAt(up, cursor.y) : 0;
    const cell = row * across.count + column;
    if (up) words.push(`${up.name} ${quantity(up.centres[row], up.unit)}`);
    if (level) words.push(`${unit === "dB" ? "level" : "feature"} ${signed(level[cell])} ${unit}`.trim());
    const percent = (100 * Math.abs(relevance[cell])) / (strongest || 1);
    const share = percent ? ` (${percent < 0.5 ? "less than 1" : Math.round(percent)} % of the strongest)` : "";
    words.push(`relevance ${signed(relevance[cell])}${share}`);
    if (sums) words.push(`sum up to here ${signed(sums[cell])}`);
    return words.join(" · ");
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
};

const Pointing = (Base) => class extends Base {
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
    const { lanes, larger } = this.layout;
    const lane = lanes.find((item) => y >= item.top - TITLE * larger && y <= item.top + item.height + TICKS * larger) ?? lanes[0];
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
    this.mirror(null);
    this.tellOthers("xaudio-cursor");
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
};

const Pressing = (Base) => class extends Base {
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
};
