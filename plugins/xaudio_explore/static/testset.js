// A test set: what is taken for what, and the recordings of each cell.

import { work } from "./api.js";
import { by, button, element, guarded, percent } from "./dom.js";
import { choose } from "./sounds.js";
import { state } from "./state.js";

const ORDERS = {
  file: ["in their order", () => 0],
  unsure: ["least confident first", (one, other) => one.confidence - other.confidence],
  sure: ["most confident first", (one, other) => other.confidence - one.confidence],
};
const SHOWN = 200;

let rows = [];
let cell = null; // [truth, predicted]
let right = "all";
let order = "file";

/** Offer to go through the data; gives what steps through the recordings that are listed. */
export function testset({ data }) {
  by("set").hidden = false;
  const start = button(`Go through ${data.title} (${data.recordings} recordings)`, guarded(go), { class: "main" });
  by("testset").replaceChildren(start);
  return step;
}

async function go() {
  const bar = element("progress", { max: "1", value: "0", "aria-label": "Progress" });
  const told = element("span", { class: "quiet" });
  const cancel = new AbortController();
  by("testset").replaceChildren(bar, told, button("Cancel", () => cancel.abort()));
  const tested = await work("set", {}, {
    signal: cancel.signal,
    told: ({ text, share }) => { bar.value = share; told.textContent = text; },
  });
  rows = tested.rows;
  const list = element("div", { id: "rows" });
  const words = element("p", { class: "quiet" }, "Rows: the truth; columns: what is predicted. Press a number for its recordings.");
  by("testset").replaceChildren(summary(tested), words, matrix(tested), tools(), list);
  list_();
}

function summary({ note }) {
  const known = rows.filter(({ correct }) => correct !== null);
  const count = known.filter(({ correct }) => correct).length;
  const text = known.length ? `${count} of ${known.length} correct (${percent(count / known.length)}).` : "No recording has a label that the model knows.";
  return element("p", {}, element("strong", {}, text), note ? ` ${note}` : "");
}

function matrix({ classes }) {
  const counts = new Map();
  for (const { truth, predicted } of rows) {
    if (truth !== null) counts.set(`${truth}\n${predicted}`, (counts.get(`${truth}\n${predicted}`) ?? 0) + 1);
  }
  const used = classes.filter((name) => rows.some(({ truth, predicted }) => truth === name || predicted === name));
  const most = Math.max(1, ...counts.values());
  const cellOf = (truth, predicted) => {
    const count = counts.get(`${truth}\n${predicted}`) ?? 0;
    if (!count) return element("td", {}, "");
    const press = button(String(count), () => { cell = [truth, predicted]; right = "all"; list_(); }, { "aria-label": `${count} of ${truth} predicted as ${predicted}`, class: truth === predicted ? "hit" : "miss" });
    press.style.setProperty("--share", String(0.15 + (0.85 * count) / most));
    return element("td", {}, press);
  };
  return element(
    "div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Confusion matrix" },
    element(
      "table", { class: "matrix" },
      element("thead", {}, element("tr", {}, element("td", {}), ...used.map((name) => element("th", { scope: "col" }, name)))),
      element("tbody", {}, ...used.map((truth) => element("tr", {}, element("th", { scope: "row" }, truth), ...used.map((predicted) => cellOf(truth, predicted))))),
    ),
  );
}

function tools() {
  const choice = (label, options, chosen, take) => element(
    "label", {}, label,
    element("select", { change: ({ target }) => { take(target.value); list_(); } }, ...Object.entries(options).map(([value, text]) => element("option", { value, selected: value === chosen }, text))),
  );
  return element(
    "div", { class: "row" },
    choice("Show ", { all: "all", right: "correct", wrong: "wrong" }, right, (value) => { right = value; }),
    choice("Sort ", Object.fromEntries(Object.entries(ORDERS).map(([name, [text]]) => [name, text])), order, (value) => { order = value; }),
    button("All cells", () => { cell = null; list_(); }),
  );
}

function listed() {
  return rows
    .filter(({ truth, predicted }) => !cell || (truth === cell[0] && predicted === cell[1]))
    .filter(({ correct }) => right === "all" || correct === (right === "right"))
    .sort(ORDERS[order][1]);
}

function list_() {
  const shown = listed();
  by("rows").replaceChildren(
    element("p", { class: "quiet", role: "status" }, `${shown.length} recordings${cell ? ` of ${cell[0]} predicted as ${cell[1]}` : ""}. N and V go to the next and the previous one.`),
    element(
      "ol", { class: "rows" },
      ...shown.slice(0, SHOWN).map((row) => element("li", {}, button(
        `${row.name}: ${row.predicted} (${percent(row.confidence)})${row.correct === false ? `, truth ${row.truth}` : ""}`,
        () => choose(row.clip),
        { class: row.correct === false ? "wrong" : "", "data-clip": row.clip },
      ))),
    ),
  );
}

function step(by_) {
  const shown = listed();
  if (!shown.length) return;
  const now = shown.findIndex(({ clip }) => clip === state.clip);
  choose(shown[now < 0 ? 0 : (now + by_ + shown.length) % shown.length].clip);
}
