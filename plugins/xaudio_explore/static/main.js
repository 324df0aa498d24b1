// Begins: asks what there is, and lets each part of the page follow what changes.

import { get } from "./api.js";
import { predict } from "./bars.js";
import { brushOf, forget, toggleBrush } from "./brush.js";
import { by, guarded } from "./dom.js";
import { lectureOf } from "./lecture.js";
import { explainAll, outdate, panelsOf } from "./panels.js";
import { restore, soundsOf } from "./sounds.js";
import { state, whenChanged } from "./state.js";
import { testset } from "./testset.js";
import { listen, showWave, waveOf } from "./wave.js";

const heard = ["clip", "cut"];
const asked = ["clip", "cut", "target", "contrast", "view"];

const begin = guarded(async () => {
  const facts = await get("facts");
  const { model, classes, kind } = facts;
  by("model").title = model;
  by("model").textContent = `${model.split(/[\\/]/).at(-1)}: ${classes.length} ${kind === "labels" ? "labels" : kind === "classes" ? "classes" : "outputs"}`;
  panelsOf(facts);
  const { record, next } = soundsOf(facts, facts.examples);
  waveOf(facts);
  brushOf();
  const stepped = facts.data ? testset(facts) : next;
  lectureOf({
    r: ["record, stop", record],
    l: ["listen to the recording, stop", () => state.clip && listen()],
    n: ["next recording", () => stepped(1)],
    v: ["previous recording", () => stepped(-1)],
    b: ["draw on the pictures, stop", toggleBrush],
  });
  whenChanged(async (names) => {
    if (asked.some((name) => names.has(name))) outdate();
    if (heard.some((name) => names.has(name))) {
      showWave();
      forget();
      await predict(); // the prediction is there before its explanation
    }
    if (asked.some((name) => names.has(name))) explainAll();
  });
  await restore();
  document.body.dataset.ready = "";
});

begin();
