// One task, or one trial of the headphone check: hear or see, then choose.

import { Refused, load } from "./api.js";
import { alone, choices, chosen, element, fill, scale, show, speak, tell } from "./dom.js";
import { Players } from "./player.js";

export async function trialPage(view, state, next) {
  const { trial } = state;
  const texts = view.texts;
  const headphones = state.stage === "headphones";
  const addresses = await Promise.all(trial.media.map((medium) => load(medium.name, view.told)));
  const sounds = trial.media.filter((medium) => medium.kind === "sound").length;
  const names = trial.kind === "preference" ? [texts.first, texts.second] : [];
  const note = element("p", { class: "note", id: "note" });

  const named = (value) => (headphones ? value : view.label(value)); // 1 to 3 are no classes there, nor are the numbers of a scale
  const options = trial.answers.map((value, index) => ({ value, text: names[index] || named(value) }));
  const answers = trial.kind === "rating"
    ? scale("answer", trial.answers, [texts.rating_low, texts.rating_high])
    : choices("answer", options);
  const field = element(
    "fieldset",
    { disabled: sounds > 0, "aria-describedby": sounds ? "note" : undefined },
    element("legend", {}, trial.text),
    answers,
  );
  const button = element("button", { type: "submit" }, texts.next);
  const form = element("form", { novalidate: true }, field, button);

  let players = null;
  let media = null;
  if (sounds) {
    note.textContent = sounds > 1 ? texts.hear_both : texts.hear_first;
    players = new Players(addresses, names, texts, () => {
      if (!field.disabled) return;
      field.disabled = false;
      tell("alert", "");
      note.textContent = texts.heard;
      speak(texts.heard);
    });
    media = element("div", {}, players.element, note);
  } else if (addresses.length) {
    const pictures = await Promise.all(addresses.map((address, index) => picture(address, trial.media[index], names[index], texts)));
    media = element("div", { class: "pictures" }, ...pictures);
  }

  const title = fill(headphones ? texts.headphones_title : texts.task_title, { done: state.done + 1, total: state.total });
  show(view, title, element("p", { class: "hint" }, trial.hint), media, form);
  const begun = performance.now();

  form.addEventListener("submit", alone(async () => {
    const value = chosen(form, "answer");
    if (field.disabled || value === null) {
      tell("alert", field.disabled ? (sounds > 1 ? texts.hear_both : texts.hear_first) : texts.choose_first);
      return;
    }
    const plays = players ? players.plays : 0;
    const content = { item: trial.item, value, response_ms: performance.now() - begun, plays };
    tell("alert", "");
    button.setAttribute("aria-disabled", "true");
    let notice;
    try {
      notice = await view.send("api/answer", content);
    } catch (error) {
      if (!(error instanceof Refused && error.code === "early")) throw error;
      button.removeAttribute("aria-disabled");
      tell("alert", texts.too_fast);
      return;
    }
    speak(notice ? "" : texts.stored);
    await next(notice);
    addresses.forEach((address) => URL.revokeObjectURL(address));
  }));
}

async function picture(address, medium, name, texts) {
  const image = element("img", { src: address, width: medium.width, height: medium.height, alt: name ? `${name}: ${texts.picture}` : texts.picture });
  await image.decode().catch(() => {});
  return element("figure", {}, name ? element("figcaption", {}, name) : null, image);
}
