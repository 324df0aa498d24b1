// The waveform of the whole recording, with the ends of what the model hears of it.

import { by, element, speak } from "./dom.js";
import { change, state } from "./state.js";
import { sound } from "./sounds.js";

const HEIGHT = 96;
const STEP = 0.01; // seconds of an arrow key
const LEAST = 0.05; // seconds between the ends

let most = Infinity;
let playing = null;
let shown = null; // the recording that is drawn

export function waveOf(facts) {
  most = facts.window ?? Infinity;
  by("listen").addEventListener("click", listen);
  by("whole").addEventListener("click", () => change({ cut: null }));
  addEventListener("resize", () => sound && draw());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => sound && draw());
}

const length = () => sound.samples.length / sound.rate;
const ends = () => state.cut ?? [0, length()];

/** Show the recording anew. */
export function showWave() {
  by("wave").hidden = by("heard").hidden = !sound;
  if (!sound) return;
  if (sound === shown) { // the handle that is being moved keeps the focus
    place();
    return;
  }
  shown = sound;
  const canvas = element("canvas", { "aria-hidden": "true" });
  by("wave").replaceChildren(canvas, element("i", { class: "out" }), element("i", { class: "out" }), handle(0), handle(1));
  draw();
}

function handle(index) {
  const label = index ? "End of what is heard" : "Start of what is heard";
  const made = element("div", { class: "handle", role: "slider", tabindex: "0", "aria-label": label, "aria-orientation": "horizontal" });
  const box = () => by("wave").getBoundingClientRect();
  made.addEventListener("pointerdown", (event) => made.setPointerCapture(event.pointerId));
  made.addEventListener("pointermove", (event) => {
    if (made.hasPointerCapture(event.pointerId)) move(index, ((event.clientX - box().left) / box().width) * length());
  });
  made.addEventListener("pointerup", () => change({ cut: state.cut }));
  made.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: -STEP, ArrowRight: STEP, PageDown: -10 * STEP, PageUp: 10 * STEP, Home: -length(), End: length() };
    if (!(event.key in steps)) return;
    event.preventDefault();
    move(index, ends()[index] + steps[event.key]);
  });
  made.addEventListener("keyup", (event) => /^(Arrow|Page|Home|End)/.test(event.key) && change({ cut: state.cut }));
  return made;
}

/** Put one end somewhere; the other follows where the model takes no more. */
function move(index, second) {
  let [start, end] = ends();
  const wanted = Math.min(length(), Math.max(0, second));
  if (index) {
    end = Math.max(wanted, Math.min(length(), LEAST));
    start = Math.max(Math.min(start, end - LEAST), end - most);
  } else {
    start = Math.min(wanted, Math.max(0, length() - LEAST));
    end = Math.min(Math.max(end, start + LEAST), start + most);
  }
  state.cut = [Math.max(0, start), Math.min(length(), end)];
  place();
}

function place() {
  const [start, end] = ends().map((second) => (100 * second) / length());
  const [, before, after, first, last] = by("wave").children;
  before.style.width = `${start}%`;
  after.style.left = `${end}%`;
  after.style.width = `${100 - end}%`;
  [first, last].forEach((one, index) => {
    one.style.left = `${index ? end : start}%`;
    one.setAttribute("aria-valuemin", "0");
    one.setAttribute("aria-valuemax", length().toFixed(2));
    one.setAttribute("aria-valuenow", ends()[index].toFixed(2));
    one.setAttribute("aria-valuetext", `${ends()[index].toFixed(2)} seconds`);
  });
  const [from, to] = ends();
  by("about").textContent = `${sound.name}, ${from.toFixed(2)} to ${to.toFixed(2)} of ${length().toFixed(2)} s`;
  by("whole").hidden = !state.cut || length() > most;
}

function draw() {
  const canvas = by("wave").firstElementChild;
  const width = by("wave").clientWidth;
  const sharp = Math.min(2, devicePixelRatio || 1);
  canvas.width = width * sharp;
  canvas.height = HEIGHT * sharp;
  const pen = canvas.getContext("2d");
  pen.fillStyle = getComputedStyle(by("wave")).color;
  const { samples } = sound;
  const peak = samples.reduce((found, value) => Math.max(found, Math.abs(value)), 1e-6);
  for (let x = 0; x < canvas.width; x += 1) {
    const first = Math.floor((x * samples.length) / canvas.width);
    const last = Math.max(first + 1, Math.floor(((x + 1) * samples.length) / canvas.width));
    let [low, high] = [0, 0];
    for (let k = first; k < last; k += 1) {
      low = Math.min(low, samples[k]);
      high = Math.max(high, samples[k]);
    }
    const middle = canvas.height / 2;
    const tall = (middle - 4) / peak;
    pen.fillRect(x, middle - high * tall, 1, Math.max(sharp, (high - low) * tall));
  }
  place();
}

/** Hear what the model hears of it; again: stop. */
export function listen() {
  if (playing) {
    playing.stop();
    return;
  }
  const context = new AudioContext();
  const buffer = new AudioBuffer({ length: sound.samples.length, sampleRate: sound.rate });
  buffer.copyToChannel(sound.samples, 0);
  playing = new AudioBufferSourceNode(context, { buffer });
  playing.connect(context.destination);
  const [start, end] = ends();
  playing.onended = () => {
    playing = null;
    by("listen").textContent = "Listen";
    context.close();
  };
  playing.start(0, start, end - start);
  by("listen").textContent = "Stop";
  speak("Playing");
}
