// Lecture mode, and the keys of the page.

import { by, element } from "./dom.js";
import { players } from "./panels.js";

const SLOW = 0.5;

export function lectureOf(keys) {
  by("lecture").addEventListener("click", lecture);
  document.addEventListener("fullscreenchange", () => { if (!document.fullscreenElement) set(false); });
  const all = { ...keys, f: ["lecture mode, full screen", lecture], p: ["play and pause the first explanation", () => players()[0]?.toggle()], h: ["half speed, an octave lower, and back", half] };
  by("keys").append(...Object.entries(all).map(([key, [does]]) => element("div", {}, element("dt", {}, key.toUpperCase()), element("dd", {}, does))));
  addEventListener("keydown", (event) => {
    const writing = event.target.closest("input:not([type=radio]), select, textarea, [role=slider]");
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || writing) return; // a player has keys of its own
    const act = all[event.key.toLowerCase()];
    if (!act) return;
    event.preventDefault();
    act[1]();
  });
}

function set(on) {
  document.documentElement.classList.toggle("lecture", on);
  by("lecture").setAttribute("aria-pressed", String(on));
  for (const player of players()) player.redraw();
  dispatchEvent(new Event("resize")); // the waveform has other colours and another size
}

async function lecture() {
  const on = !document.documentElement.classList.contains("lecture");
  set(on);
  if (on) await document.documentElement.requestFullscreen?.().catch(() => {}); // large type without it, too
  else if (document.fullscreenElement) await document.exitFullscreen();
}

function half() {
  const slow = document.body.classList.toggle("slow");
  for (const player of players()) player.atSpeed(slow ? SLOW : 1);
}
