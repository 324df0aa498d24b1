// What can be kept of an explanation, and how to make it again without this page.

import { blob, post } from "./api.js";
import { button, element, guarded, offer, speak } from "./dom.js";
import { asked } from "./state.js";

const FILES = {
  html: ["This page (HTML)", "explanation.html"],
  png: ["Picture (PNG)", "explanation.png"],
  pdf: ["Picture (PDF)", "explanation.pdf"],
  heard: ["What was heard (WAV)", "recording.wav"],
  positive: ["What speaks for it (WAV)", "positive.wav"],
  negative: ["What speaks against it (WAV)", "negative.wav"],
  audacity: ["Labels for Audacity", "labels-audacity.txt"],
  raven: ["Selections for Raven", "selections-raven.txt"],
};

/** Fill a row with what can be done with an explanation; all are those of the panels beside it, for the page. */
export function saving(row, { explanation }, wanted, all) {
  const save = guarded(async (format) => {
    const [, name] = FILES[format];
    const explanations = format === "html" ? [...new Set([explanation, ...all])] : [explanation];
    offer(format === "heard" ? await blob("wave", asked()) : await blob("save", { explanations, format }), name);
  });
  const choice = element(
    "select", { "aria-label": "Save", change: async ({ target }) => { const { value } = target; target.value = ""; if (value) await save(value); } },
    element("option", { value: "" }, "Save …"),
    ...Object.entries(FILES).map(([format, [label]]) => element("option", { value: format }, label)),
  );
  row.hidden = false;
  row.replaceChildren(choice, copying("command", "command", wanted), copying("Python", "python", wanted), address());
}

function copying(label, part, wanted) {
  return button(`Copy ${label}`, guarded(async () => {
    const spelt = await post("spelt", wanted);
    await copy(spelt[part]);
    speak(`Copied.${spelt.save_first ? " Save what was heard as recording.wav first." : ""}`);
  }), { title: `Copy the ${label} that makes this explanation` });
}

const address = () => button("Copy address", guarded(async () => {
  await copy(location.href);
  speak("Copied. The address works while this program runs.");
}), { title: "Copy the address that brings this back, while the program runs" });

async function copy(text) {
  if (navigator.clipboard) await navigator.clipboard.writeText(text);
  else throw new Error("This browser does not let pages copy: copy it from the terminal.");
}
