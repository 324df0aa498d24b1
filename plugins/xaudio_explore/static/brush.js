// Take a part of the sound away, or keep it alone, and see what the model says then.

import { post } from "./api.js";
import { compare } from "./bars.js";
import { by, button, element, guarded, speak } from "./dom.js";
import { choose } from "./sounds.js";
import { asked, state } from "./state.js";

const LEAST = 4; // pixels of a stroke

let regions = [];
let keep = false;
let drawing = false;
let left = null;
let box = null;

export function brushOf() {
  addEventListener("pointerdown", down, { capture: true });
  addEventListener("pointermove", move, { capture: true });
  addEventListener("pointerup", up, { capture: true });
  furnish();
}

/** Another recording has nothing taken away. */
export function forget() {
  regions = [];
  left = null;
  by("brush").hidden = !state.clip;
  furnish();
}

function furnish() {
  const toggle = button(drawing ? "Stop drawing" : "Draw on the picture", () => { drawing = !drawing; document.body.classList.toggle("drawing", drawing); furnish(); by("draw").focus(); }, { id: "draw", "aria-pressed": String(drawing), title: "Draw regions over the pictures (B)" });
  const mode = element(
    "select", { "aria-label": "What happens to the regions", change: ({ target }) => { keep = target.value === "keep"; apply(); } },
    element("option", { value: "away", selected: !keep }, "take away"), element("option", { value: "keep", selected: keep }, "keep alone"),
  );
  by("brushing").replaceChildren(
    element("p", { class: "quiet" }, "Take a stretch of time or a band of frequencies away, and see the prediction change."),
    element("div", { class: "row" }, toggle, mode),
    byNumbers(),
    element("ul", { class: "regions" }, ...regions.map((region, index) => element("li", {}, words(region), " ", button("Undo", () => { regions.splice(index, 1); apply(); }, { "aria-label": `Undo ${words(region)}` })))),
    ...(left ? [element("div", { class: "row" }, button("Explain what is left", () => choose(left)), button("Clear", () => { regions = []; apply(); }))] : []),
  );
}

function byNumbers() {
  const names = { start: "from s", end: "to s", low: "from Hz", high: "to Hz" };
  const inputs = Object.entries(names).map(([name, label]) => element("label", {}, label, element("input", { type: "number", name, min: "0", step: "any" })));
  return element(
    "form", {
      class: "numbers",
      submit: (event) => {
        event.preventDefault();
        const given = [...event.target.elements].filter(({ value, name }) => name && value !== "");
        if (given.length) add(Object.fromEntries(given.map(({ name, value }) => [name, Number(value)])));
      },
    },
    ...inputs, element("button", { type: "submit" }, "Add"),
  );
}

function words({ start, end, low, high }) {
  const part = (from, to, unit, digits) => (from === undefined && to === undefined ? "" : `${(from ?? 0).toFixed(digits)} to ${to === undefined ? "the end" : to.toFixed(digits)} ${unit}`);
  return [part(start, end, "s", 2), part(low, high, "Hz", 0)].filter(Boolean).join(", ");
}

function add(region) {
  regions.push(region);
  return apply();
}

const apply = guarded(async () => {
  if (!regions.length) {
    left = null;
    compare(null);
    furnish();
    return;
  }
  const { clip, prediction } = await post("brush", { ...asked(), regions, keep }).catch((error) => { regions.pop(); throw error; });
  left = clip;
  compare(prediction);
  furnish();
  speak(`${keep ? "Only" : "Without"} ${regions.map(words).join(" and ")}: ${prediction.words}.`);
});

// The brush itself, over the pictures of the players.

function playerUnder(event) {
  const board = event.target.closest?.(".xa-plot");
  return drawing && board && event.button === 0 ? board.closest("xaudio-player") : null;
}

function down(event) {
  const player = playerUnder(event);
  const from = player?.at(event);
  if (!from) return;
  event.preventDefault();
  event.stopPropagation();
  const mark = element("div", { class: "stroke" });
  player.board.append(mark);
  box = { player, from, mark, x: event.clientX, y: event.clientY };
}

function move(event) {
  if (!box) return;
  event.preventDefault();
  event.stopPropagation();
  const { left: edge, top } = box.player.board.getBoundingClientRect();
  const { lane } = box.from;
  const [x, y] = [event.clientX, event.clientY];
  Object.assign(box.mark.style, {
    left: `${Math.min(x, box.x) - edge}px`,
    width: `${Math.abs(x - box.x)}px`,
    top: lane.kind === "map" ? `${Math.min(y, box.y) - top}px` : `${lane.top}px`,
    height: lane.kind === "map" ? `${Math.abs(y - box.y)}px` : `${lane.height}px`,
  });
}

function up(event) {
  if (!box) return;
  event.stopPropagation();
  const { player, from, mark, x } = box;
  box = null;
  mark.remove();
  if (Math.abs(event.clientX - x) < LEAST) return;
  const to = player.at(event);
  const region = regionOf(player, from, to);
  if (region) add(region);
}

/** What lies between two places of a picture, in seconds of the recording and Hz. */
function regionOf(player, from, to) {
  const { lane } = from;
  const sorted = (one, other) => [Math.min(one, other), Math.max(one, other)];
  const shift = player.facts.waveform.start;
  const region = {};
  if (lane.axis === "time") [region.start, region.end] = sorted(from.value, to.value).map((second) => Math.max(0, second + shift));
  const { across, up: upward } = player.picture;
  const hertz = (axis) => (place) => Math.max(0, player.valueAt(axis, place));
  if (lane.axis === "across" && across.unit === "Hz") [region.low, region.high] = sorted(from.value, to.value).map(hertz("across"));
  if (lane.kind === "map" && upward.unit === "Hz" && to.up !== undefined) [region.low, region.high] = sorted(from.up, to.up).map(hertz("up"));
  return Object.keys(region).length ? region : null;
}

export const toggleBrush = () => by("draw").click();
