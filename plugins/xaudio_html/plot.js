// The picture: lanes one below the other, drawn from the numbers of an explanation for the part of it that is in view.

const TITLE = 20; // height of a lane's title
const TICKS = 24; // height of an axis with its numbers
const OPACITY = 0.7; // exponent from relevance, as a share of the limit, to opacity: weak relevance is seen on grey
const WIDER = 1.5; // pixels per sample from which on the waveform is drawn as a line with a dot for each sample

/** Where everything is, in CSS pixels, for a width; titles and numbers are so many times as large as on a page. */
function layoutOf(picture, width, larger = 1) {
  const narrow = width < 560;
  const left = narrow && larger === 1 ? 46 : (narrow ? 56 : 64) * larger; // a small picture has no room to spare for numbers
  const right = narrow ? 8 : 16;
  const lanes = [];
  let height = 0;
  const add = (kind, axis, tall, title, ticks) => {
    lanes.push({ kind, axis, title, ticks, left, width: Math.max(40, width - left - right), top: height + TITLE * larger, height: tall });
    height += TITLE * larger + tall + (ticks ? TICKS * larger : 8);
  };
  const timed = picture.across.name === "time";
  const axis = timed ? "time" : "across";
  const coloured = !picture.level;
  add("wave", "time", coloured ? (narrow ? 110 : 130) : narrow ? 44 : 56, "Waveform", !timed);
  const under = picture.unit ? `level (${picture.unit})` : "features";
  if (picture.up) {
    add("map", axis, narrow ? 230 : width > 1200 ? 460 : 300, `Relevance over ${under}`, true);
  } else {
    if (!coloured) add("curve", axis, 120, `${under[0].toUpperCase()}${under.slice(1)}`, false);
    const sums = picture.sums ? `; line: sum up to here (${signed(picture.sums.at(-1))} in all)` : "";
    add("bars", axis, 120, `Relevance${sums}`, true);
  }
  return { lanes, height, width, larger };
}

/** Ranges that show everything. */
function wholeOf({ duration, across, up }) {
  const ends = ({ name, edges, count }) => [name === "frequency" ? Math.max(0, edges[0]) : edges[0], edges[count]];
  return { time: [0, duration], across: ends(across), up: up && ends(up) };
}

/** An opacity for each magnitude, in 256 steps of the limit. */
const OPACITIES = Float32Array.from({ length: 257 }, (_, i) => (i / 256) ** OPACITY);

class Plot {
  constructor(canvas) {
    this.canvas = canvas;
  }

  /** Draw what is in view; `signs` says which relevance is shown, `colours` are [r, g, b] by name, `shift` is added to times. */
  draw(picture, range, layout, { signs, colours, scale, shift }) {
    Object.assign(this, { picture, range, signs, colours, scale, shift, larger: layout.larger });
    const { canvas } = this;
    canvas.width = Math.round(layout.width * scale);
    canvas.height = Math.round(layout.height * scale);
    canvas.style.height = `${layout.height}px`;
    this.pen = canvas.getContext("2d");
    for (const lane of layout.lanes) {
      this.pen.setTransform(1, 0, 0, 1, 0, 0);
      this.fill(lane, colours.paper);
      if (lane.kind !== "map") this.grey(lane, 1);
      this[lane.kind](lane);
      if (lane.kind === "map") this.grey(lane, 0.5);
      this.pen.setTransform(scale, 0, 0, scale, 0, 0);
      this.write(lane);
    }
  }

  fill(lane, colour) {
    this.pen.fillStyle = css(colour);
    this.pen.fillRect(...[lane.left, lane.top, lane.width, lane.height].map((value) => Math.round(value * this.scale)));
  }

  /** Mark where there are only zeros around the recording. */
  grey(lane, opacity) {
    if (lane.axis !== "time") return;
    const [low, high] = this.range.time;
    const { pen, scale } = this;
    pen.fillStyle = css(this.colours.padding);
    pen.globalAlpha = opacity;
    for (const ends of this.picture.padding) {
      const [from, to] = ends.map((time) => lane.left + Math.min(1, Math.max(0, (time - low) / (high - low))) * lane.width);
      pen.fillRect(from * scale, lane.top * scale, (to - from) * scale, lane.height * scale);
    }
    pen.globalAlpha = 1;
  }

  /** For each pixel column of a lane the first and last cell of an axis in it, or -1 where there is none. */
  columns(lane, axis, bounds = this.range[lane.axis], pixels = Math.round(lane.width * this.scale)) {
    const [low, high] = bounds;
    const first = new Int32Array(pixels).fill(-1);
    const last = new Int32Array(pixels).fill(-1);
    const step = (high - low) / pixels;
    for (let i = 0; i < pixels; i += 1) {
      const from = low + i * step;
      const to = from + step;
      if (to <= axis.edges[0] || from >= axis.edges[axis.count]) continue;
      first[i] = cellAt(axis, from);
      last[i] = Math.max(first[i], cellAt(axis, to - step * 1e-6));
    }
    return { first, last, pixels };
  }

  seen(value) {
    return this.signs === "both" || (this.signs === "positive" ? value > 0 : this.signs === "negative" && value < 0) ? value : 0;
  }

  /** The strongest relevance among the cells first to last. */
  strongest(first, last) {
    let found = 0;
    for (let i = first; i <= last; i += 1) {
      const value = this.seen(this.picture.relevance[i]);
      if (Math.abs(value) > Math.abs(found)) found = value;
    }
    return found;
  }

  opacity(value) {
    return OPACITIES[Math.min(256, Math.round((256 * Math.abs(value)) / this.picture.limit))];
  }

  /** A colour under relevance. */
  under(base, value) {
    const over = value > 0 ? this.colours.for : this.colours.against;
    return mixed(base, over, value ? this.opacity(value) : 0);
  }

  wave(lane) {
    const { wave, samples, level } = this.picture;
    const { scale, pen, colours } = this;
    const peak = Math.max(1e-9, wave.reduce((most, value) => Math.max(most, Math.abs(value)), 0));
    const middle = (lane.top + lane.height / 2) * scale;
    const tall = ((lane.height - 6) / 2 / peak) * scale;
    const left = Math.round(lane.left * scale);
    const { first, last, pixels } = this.columns(lane, samples);
    const colour = (from, to) => css(level ? colours.wave : this.under(colours.wave, this.strongest(from, to)));
    const [low, high] = this.range.time;
    const wide = (lane.width * scale) / ((high - low) / (samples.edges[1] - samples.edges[0]));
    if (wide < WIDER * scale) {
      for (let i = 0; i < pixels; i += 1) {
        if (first[i] < 0) continue;
        let least = Infinity;
        let most = -Infinity;
        for (let k = first[i]; k <= last[i]; k += 1) {
          least = Math.min(least, wave[k]);
          most = Math.max(most, wave[k]);
        }
        pen.fillStyle = colour(first[i], last[i]);
        pen.fillRect(left + i, middle - most * tall, 1, Math.max(scale, (most - least) * tall));
      }
      return;
    }
    const at = (k) => left + ((samples.centres[k] - low) / (high - low)) * pixels;
    const from = Math.max(0, cellAt(samples, low) - 1);
    const to = Math.min(samples.count - 1, cellAt(samples, high) + 1);
    pen.save();
    pen.beginPath();
    pen.rect(left, lane.top * scale, pixels, lane.height * scale);
    pen.clip();
    pen.strokeStyle = css(colours.line);
    pen.lineWidth = scale;
    pen.beginPath();
    for (let k = from; k <= to; k += 1) pen.lineTo(at(k), middle - wave[k] * tall);
    pen.stroke();
    const radius = Math.min(5, Math.max(2, wide / scale / 3)) * scale;
    for (let k = from; k <= to; k += 1) {
      pen.fillStyle = colour(k, k);
      pen.beginPath();
      pen.arc(at(k), middle - wave[k] * tall, radius, 0, 2 * Math.PI);
      pen.fill();
    }
    pen.restore();
  }

  curve(lane) {
    const { level, low, high, across } = this.picture;
    const { scale, pen, colours } = this;
    const left = Math.round(lane.left * scale);
    const bottom = (lane.top + lane.height) * scale;
    const tall = ((lane.height - 4) / (high - low || 1)) * scale;
    const { first, last, pixels } = this.columns(lane, across);
    for (let i = 0; i < pixels; i += 1) {
      if (first[i] < 0) continue;
      let most = -Infinity;
      for (let k = first[i]; k <= last[i]; k += 1) most = Math.max(most, level[k]);
      pen.fillStyle = css(this.under(mixed(colours.paper, colours.wave, 0.45), this.strongest(first[i], last[i])));
      pen.fillRect(left + i, bottom - (most - low) * tall, 1, (most - low) * tall);
    }
  }

  bars(lane) {
    const { relevance, strongest, across, sums } = this.picture;
    const { scale, pen, colours } = this;
    const left = Math.round(lane.left * scale);
    const middle = (lane.top + lane.height / 2) * scale;
    const tall = ((lane.height - 6) / 2 / (strongest || 1)) * scale;
    const { first, last, pixels } = this.columns(lane, across);
    pen.fillStyle = css(colours.line);
    pen.fillRect(left, Math.round(middle), pixels, Math.max(1, Math.round(scale / 2)));
    for (let i = 0; i < pixels; i += 1) {
      if (first[i] < 0) continue;
      let least = 0;
      let most = 0;
      for (let k = first[i]; k <= last[i]; k += 1) {
        const value = this.seen(relevance[k]);
        least = Math.min(least, value);
        most = Math.max(most, value);
      }
      pen.fillStyle = css(colours.for);
      pen.fillRect(left + i, middle - most * tall, 1, most * tall);
      pen.fillStyle = css(colours.against);
      pen.fillRect(left + i, middle, 1, -least * tall);
    }
    if (!sums) return;
    const size = sums.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-30);
    pen.strokeStyle = css(colours.text);
    pen.lineWidth = 1.25 * scale;
    pen.beginPath();
    for (let i = 0; i < pixels; i += 1) {
      if (last[i] >= 0) pen.lineTo(left + i, middle - (sums[last[i]] / size) * (lane.height / 2 - 3) * scale);
    }
    pen.stroke();
  }

  map(lane) {
    const { relevance, level, low, high, across, up } = this.picture;
    const { scale, colours } = this;
    const x = this.columns(lane, across);
    const y = this.columns(lane, up, this.range.up, Math.round(lane.height * scale));
    const image = this.pen.createImageData(x.pixels, y.pixels);
    const { quiet, loud } = colours;
    const span = high - low || 1;
    for (let j = 0; j < y.pixels; j += 1) {
      const row = y.pixels - 1 - j; // upwards
      for (let i = 0; i < x.pixels; i += 1) {
        const place = 4 * (row * x.pixels + i);
        if (y.first[j] < 0 || x.first[i] < 0) {
          for (let part = 0; part < 3; part += 1) image.data[place + part] = colours.paper[part];
          image.data[place + 3] = 255;
          continue;
        }
        let value = 0;
        let most = -Infinity;
        for (let r = y.first[j]; r <= y.last[j]; r += 1) {
          for (let k = r * across.count + x.first[i], end = r * across.count + x.last[i]; k <= end; k += 1) {
            const here = this.seen(relevance[k]);
            if (Math.abs(here) > Math.abs(value)) value = here;
            if (level[k] > most) most = level[k];
          }
        }
        const over = value > 0 ? colours.for : colours.against;
        const alpha = value ? this.opacity(value) : 0;
        const weight = (most - low) / span;
        for (let part = 0; part < 3; part += 1) {
          const base = quiet[part] + (loud[part] - quiet[part]) * weight;
          image.data[place + part] = base + (over[part] - base) * alpha;
        }
        image.data[place + 3] = 255;
      }
    }
    this.pen.putImageData(image, Math.round(lane.left * scale), Math.round(lane.top * scale));
  }

  /** A lane's frame, title and numbers. */
  write(lane) {
    const { pen, colours, range, larger } = this;
    const bottom = lane.top + lane.height;
    pen.strokeStyle = css(colours.frame);
    pen.lineWidth = 1;
    pen.strokeRect(lane.left - 0.5, lane.top - 0.5, lane.width + 1, lane.height + 1);
    pen.fillStyle = css(colours.text);
    pen.font = `500 ${12 * larger}px system-ui, sans-serif`;
    pen.textAlign = "left";
    pen.textBaseline = "alphabetic";
    pen.fillText(lane.title, lane.left, lane.top - 6 * larger, lane.width);
    pen.fillStyle = css(colours.faint);
    pen.font = `${11 * larger}px system-ui, sans-serif`;
    for (const { at, text } of this.heights(lane)) {
      pen.textAlign = "right";
      pen.textBaseline = "middle";
      pen.fillText(text, lane.left - 8, Math.min(bottom - 5 * larger, Math.max(lane.top + 5 * larger, at)), lane.left - 10);
      pen.fillRect(lane.left - 5, at - 0.5, 4, 1);
    }
    if (!lane.ticks) return;
    const timed = lane.axis === "time";
    const shift = timed ? this.shift : 0;
    const [low, high] = range[lane.axis].map((value) => value + shift);
    const unit = lane.axis === "time" ? "s" : this.picture.across.unit;
    pen.textAlign = "center";
    pen.textBaseline = "top";
    const right = lane.left + lane.width;
    pen.fillText(unit, right - 6, bottom + 7);
    for (const { place, text } of axisTicks(timed ? {} : this.picture.across, low, high, lane.width / (70 * larger))) {
      const x = lane.left + ((place - low) / (high - low)) * lane.width;
      pen.fillRect(x - 0.5, bottom + 1, 1, 4);
      if (x < right - 22 * larger) pen.fillText(text, Math.max(x, lane.left + 4), bottom + 7);
    }
  }

  /** Numbers at the left of a lane. */
  heights(lane) {
    const { picture, range } = this;
    const bottom = lane.top + lane.height;
    const middle = lane.top + lane.height / 2;
    if (lane.kind === "wave") return [{ at: middle, text: "0" }];
    if (lane.kind === "bars") {
      const most = picture.strongest;
      const ends = most ? [{ at: lane.top + 3, text: signed(most) }, { at: bottom - 3, text: signed(-most) }] : [];
      return [{ at: middle, text: "0" }, ...ends];
    }
    const [low, high] = lane.kind === "map" ? range.up : [picture.low, picture.high];
    if (!(high > low)) return [];
    const named = lane.kind === "map" && picture.up.unit === "Hz";
    return axisTicks(lane.kind === "map" ? picture.up : {}, low, high, lane.height / (45 * this.larger)).map(({ value, place, text }) => ({
      at: bottom - ((place - low) / (high - low)) * lane.height,
      text: named && value >= 1000 ? `${Number((value / 1000).toPrecision(4))} kHz` : named ? `${text} Hz` : text,
    }));
  }
}

function mixed(base, over, weight) {
  return base.map((value, part) => value + (over[part] - value) * weight);
}

function css([red, green, blue]) {
  return `rgb(${red | 0} ${green | 0} ${blue | 0})`;
}
