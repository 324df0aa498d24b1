// Numbers and sounds out of the inert elements of a page, and numbers as people write them.

const KINDS = { int8: Int8Array, int16: Int16Array };

/** A failure that the reader is told about in place, in one line. */
class Problem extends Error {}

function bytesOf(element) {
  const text = atob(element.textContent);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i += 1) bytes[i] = text.charCodeAt(i);
  return bytes;
}

async function inflated(element) {
  const stream = new Blob([bytesOf(element)]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

/** Values of both signs: sign(q) * scale * (|q| / levels) ** power. */
async function signedOf(elements, { data, kind, scale, levels, power }) {
  const steps = new KINDS[kind](await inflated(elements[data]));
  return Float32Array.from(steps, (q) => Math.sign(q) * scale * (Math.abs(q) / levels) ** power);
}

async function levelsOf(elements, { data, low, high }) {
  const steps = new Uint8Array(await inflated(elements[data]));
  return Float32Array.from(steps, (q) => low + ((high - low) * q) / 255);
}

/** An axis with the edges of its cells: halfway between the centres, and as far out beyond the first and the last. */
function axisOf({ name, unit, count, start, step, centres }) {
  const at = centres ?? Array.from({ length: count }, (_, i) => start + i * step);
  const edges = new Float64Array(count + 1);
  for (let i = 1; i < count; i += 1) edges[i] = (at[i - 1] + at[i]) / 2;
  const half = count > 1 ? null : 0.5;
  edges[0] = at[0] - (half ?? edges[1] - at[0]);
  edges[count] = at[count - 1] + (half ?? at[count - 1] - edges[count - 1]);
  return { name, unit, count, centres: at, edges };
}

const LOWEST = 20; // Hz at the lower end of a logarithmic axis
const MELS = 2595; // of O'Shaughnessy's scale, as log_mel has it by default
const KNEE = 700; // Hz

/** Ways to space frequencies: from Hz to a place along the axis, and back. */
const SPACINGS = {
  linear: { to: (hertz) => hertz, back: (place) => place },
  log: { to: (hertz) => Math.log2(Math.max(LOWEST, hertz)), back: (place) => 2 ** place },
  mel: {
    to: (hertz) => MELS * Math.log10(1 + Math.max(0, hertz) / KNEE),
    back: (place) => KNEE * (10 ** (place / MELS) - 1),
  },
};

/** An axis with the edges of its cells where they are drawn; only frequencies are spaced. */
function spaced(axis, spacing) {
  if (axis?.name !== "frequency") return axis;
  return { ...axis, spacing, edges: axis.edges.map(SPACINGS[spacing].to) };
}

/** What is at a place along an axis, in its unit. */
function valueAt(axis, place) {
  return SPACINGS[axis?.spacing ?? "linear"].back(place);
}

/** The cell of an axis that holds a value, the first or last for values outside. */
function cellAt(axis, value) {
  let low = 0;
  let high = axis.count - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (axis.edges[middle] <= value) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** All that is drawn of an explanation. */
async function pictureOf(elements, waveform, facts) {
  try {
    const wave = await signedOf(elements, waveform);
    const relevance = await signedOf(elements, facts.relevance);
    const axes = facts.axes.map(axisOf);
    const cells = axes.reduce((product, axis) => product * axis.count, 1);
    const level = facts.level && (await levelsOf(elements, facts.level));
    if (wave.length !== waveform.count || relevance.length !== cells || (level && level.length !== cells)) throw new Error();
    const across = axes[axes.length - 1];
    const samples = axisOf({
      name: "time", unit: "s", count: waveform.count, start: 0, step: 1 / waveform.rate,
    });
    return {
      wave,
      samples,
      duration: waveform.count / waveform.rate,
      padding: waveform.padding.map((ends) => ends.map((time) => time - waveform.start)),
      relevance,
      level,
      across,
      up: axes.length === 2 ? axes[0] : null,
      limit: facts.limit,
      strongest: facts.relevance.scale,
      low: facts.level?.low,
      high: facts.level?.high,
      unit: facts.level?.unit ?? "",
      sums: axes.length === 1 && across.name === "frequency" ? running(relevance) : null,
    };
  } catch {
    throw new Problem("The picture cannot be shown: its data on this page is damaged.");
  }
}

function running(values) {
  let total = 0;
  return Float64Array.from(values, (value) => (total += value));
}

const MINUS = "−";

/** Three digits and a sign. */
function signed(value) {
  const size = Math.abs(value);
  const text = size === 0 || (size >= 1e-3 && size < 1e5) ? String(Number(size.toPrecision(3))) : size.toExponential(1);
  return `${value < 0 ? MINUS : value > 0 ? "+" : ""}${text.replace("e-", `e${MINUS}`)}`;
}

function quantity(value, unit) {
  if (unit === "Hz" && Math.abs(value) >= 10000) return `${(value / 1000).toFixed(1)} kHz`;
  if (unit === "Hz") return `${Math.round(value)} Hz`;
  if (unit === "s") return `${seconds(value, 3)} s`;
  return `${Number(value.toPrecision(4))} ${unit}`.trim();
}

function seconds(value, digits = 2) {
  return value.toFixed(digits).replace(/^-(?=0\.?0*$)/, "").replace("-", MINUS);
}

/** Ticks of an axis between two places: where they are, what is there, and its text. */
function axisTicks(axis, low, high, count) {
  const { to, back } = SPACINGS[axis.spacing ?? "linear"];
  if ((axis.spacing ?? "linear") === "linear") return ticksOf(low, high, count).map((tick) => ({ ...tick, place: tick.value }));
  const ticks = [];
  for (let power = 1; power <= back(high); power *= 10) {
    for (const value of [power, 2 * power, 5 * power]) {
      const place = to(value);
      const apart = ticks.length ? place - ticks.at(-1).place : Infinity;
      if (value > LOWEST && place >= low && place <= high && apart >= (0.5 * (high - low)) / count) ticks.push({ value, place, text: String(value) });
    }
  }
  return ticks.length > 1 ? ticks : ticksOf(back(low), back(high), count).map((tick) => ({ ...tick, place: to(tick.value) }));
}

/** Round places for about `count` ticks between two values, with their texts. */
function ticksOf(low, high, count) {
  const raw = (high - low) / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((times) => times * power >= raw * 0.999) * power;
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i += 1) {
    ticks.push({ value: i * step, text: (i * step).toFixed(digits).replace("-", MINUS) });
  }
  return ticks;
}
