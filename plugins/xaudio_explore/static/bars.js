// What the model says, as bars; pressing one asks why that class, pressing another then why rather than that.

import { post } from "./api.js";
import { by, button, element, guarded, percent } from "./dom.js";
import { asked, change, state } from "./state.js";

const SHOWN = 14; // bars without asking for more
const few = (value) => Number(value.toPrecision(3)).toString();

let all = false;
let before = null; // the prediction of the whole recording
let now = null; // of what is left of it, where something was taken away

export const predict = guarded(async () => {
  by("prediction").hidden = !state.clip;
  if (!state.clip) return;
  before = await post("predict", asked());
  now = null;
  performance.mark("predicted");
  show();
});

/** Show what is predicted of what is left, beside what was. */
export function compare(left) {
  now = left;
  show();
}

function show() {
  const { classes, words, predicted, truth } = now ?? before;
  const right = truth === null || !predicted.length ? null : predicted.includes(truth);
  by("answer").replaceChildren(
    element("strong", {}, predicted.length ? predicted.join(", ") : words),
    ...(truth === null ? [] : [element("span", { class: right ? "right" : "wrong" }, right ? " correct" : ` truth: ${truth}`)]),
  );
  const order = classes.map((_, index) => index);
  if (classes.length > SHOWN) order.sort((one, other) => before.scores[other] - before.scores[one]);
  const seen = all ? order : order.slice(0, SHOWN);
  by("bars").replaceChildren(
    ...seen.map(bar),
    ...(order.length > seen.length ? [button(`All ${order.length} classes`, () => { all = true; show(); })] : []),
  );
  tell();
}

function sizeOf(prediction, index) {
  if (prediction.probabilities) return prediction.probabilities[index];
  return Math.abs(prediction.scores[index]) / Math.max(...prediction.scores.map(Math.abs), 1e-9);
}

function bar(index) {
  const shown = now ?? before;
  const name = shown.classes[index];
  const text = shown.probabilities ? percent(shown.probabilities[index]) : few(shown.scores[index]);
  const fill = element("i", { class: "fill" });
  fill.style.width = `${100 * sizeOf(shown, index)}%`;
  const was = now && element("i", { class: "was", title: "before" });
  if (was) was.style.left = `${100 * sizeOf(before, index)}%`;
  const role = name === state.target ? "target" : name === state.contrast ? "contrast" : "";
  const label = `${name}, ${text}${now ? `, before ${percent(sizeOf(before, index))}` : ""}`;
  return element(
    "button",
    { type: "button", class: `bar ${role}`, "aria-pressed": String(Boolean(role)), "aria-label": label, click: () => press(name) },
    element("span", { class: "name" }, name), element("span", { class: "track" }, fill, was), element("span", { class: "value" }, text),
  );
}

/** The first class is asked for, the next is what it is rather than; then it begins anew. */
function press(name) {
  const paired = state.target && !state.contrast && name !== state.target;
  change(paired ? { contrast: name } : { target: name, contrast: null });
  show();
  by("bars").children[[...by("bars").children].findIndex((one) => one.querySelector(".name")?.textContent === name)]?.focus();
}

function tell() {
  const { target, contrast } = state;
  const question = contrast ? `Why ${target} rather than ${contrast}?` : target ? `Why ${target}? Press another class to ask why ${target} rather than that one.` : "";
  const reset = button("What is predicted", () => { change({ target: null, contrast: null }); show(); });
  by("asked").replaceChildren(question || "Press a class to ask why it is this one. Press a second class to ask why the first one rather than the second.", ...(target ? [" ", reset] : []));
}
