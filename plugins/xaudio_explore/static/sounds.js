// How a recording comes: from the microphone, a file, a drop, a paste, or the examples.

import { blob, get, upload } from "./api.js";
import { by, button, element, guarded } from "./dom.js";
import { recordWith } from "./record.js";
import { change, state } from "./state.js";
import { decoded, encoded, loudest, wordIn } from "./wav.js";

const READ_BY_SERVER = ["RIFF", "fLaC", "OggS"];
const AT_FIRST = 10; // seconds of a recording of a model that takes any length
const BROWSER_RATE = 48000; // Hz to which the browser decodes what the server cannot read

/** The recording that is shown: samples, rate, name. */
export let sound = null;

let facts = null;
let examples = [];

export function soundsOf(given, examplesOfSet) {
  facts = given;
  examples = examplesOfSet;
  const record = recordWith(recorded);
  by("file").addEventListener("change", ({ target }) => {
    if (target.files[0]) bring(target.files[0]);
    target.value = "";
  });
  dropping();
  if (examples.length) {
    by("examples").append(
      element("span", { class: "quiet" }, "Examples"),
      ...examples.map(({ clip, name }) => button(name, () => choose(clip), { "data-clip": clip })),
    );
  }
  return { record, next: (step) => nextExample(step) };
}

function dropping() {
  const over = (event) => {
    if (![...event.dataTransfer.types].includes("Files")) return;
    event.preventDefault();
    document.body.classList.toggle("dropping", event.type === "dragover");
  };
  for (const name of ["dragover", "dragleave", "drop"]) addEventListener(name, over);
  addEventListener("drop", (event) => event.dataTransfer.files[0] && bring(event.dataTransfer.files[0]));
  addEventListener("paste", (event) => {
    const file = [...event.clipboardData.files].find(({ type }) => /^(audio|video)\//.test(type));
    if (file) bring(file);
  });
}

function nextExample(step) {
  if (!examples.length) return;
  const now = examples.findIndex(({ clip }) => clip === state.clip);
  choose(examples[(now + step + examples.length) % examples.length].clip);
}

/** Cut to what the model takes, and of a long recording to what is explained soon; the ends can be moved. */
function fitting(samples, rate, wanted = null) {
  const length = samples.length / rate;
  const most = facts.window ?? AT_FIRST;
  const [start, end] = wanted ?? [0, length];
  if (end - start <= most) return start <= 0 && end >= length ? null : [start, end];
  const [first] = loudest(samples.subarray(Math.round(start * rate), Math.round(end * rate)), rate, most);
  return [start + first, start + first + most];
}

async function recorded(samples, rate) {
  const brought = await upload(encoded([samples], rate), "recording.wav");
  sound = { samples, rate, name: brought.name };
  change({ clip: brought.clip, cut: fitting(samples, rate, wordIn(samples, rate)), ...fresh() });
}

/** A new recording is explained for what is predicted, unless the class was asked for by name. */
const fresh = () => ({ target: null, contrast: null });

export const bring = guarded(async (file) => {
  const bytes = await file.arrayBuffer();
  const head = String.fromCharCode(...new Uint8Array(bytes.slice(0, 4)));
  let sent = bytes;
  if (!READ_BY_SERVER.includes(head)) sent = (await converted(bytes.slice(0))) ?? bytes;
  const brought = await upload(sent, file.name);
  await showing(brought);
});

/** As a WAV file, by what the browser can decode; null if it cannot, and the server may try. */
async function converted(bytes) {
  try {
    const buffer = await decoded(bytes, BROWSER_RATE);
    const channels = Array.from({ length: buffer.numberOfChannels }, (_, index) => buffer.getChannelData(index));
    return encoded(channels, buffer.sampleRate);
  } catch {
    return null;
  }
}

/** A recording that the server has. */
export const choose = guarded(async (clip) => showing(await get(`clips/${clip}`)));

async function showing(brought) {
  await fetchSound(brought);
  change({ clip: brought.clip, cut: fitting(sound.samples, sound.rate), ...fresh() });
}

async function fetchSound({ clip, name, rate }) {
  const bytes = await (await blob("wave", { clip })).arrayBuffer();
  const buffer = await decoded(bytes, rate);
  sound = { samples: buffer.getChannelData(0), rate: buffer.sampleRate, name };
}

/** What the address names, if it is still there. */
export async function restore() {
  if (!state.clip) return;
  try {
    await fetchSound(await get(`clips/${state.clip}`));
    change({ clip: state.clip });
  } catch (error) {
    change({ clip: null, cut: null });
    throw error;
  }
}
