// One task, or one trial of the headphone check: hear or see, then choose.

import { Refused, load, post } from "./api.js";
import { choices, chosen, element, fill, show, speak } from "./dom.js";
import { Players } from "./player.js";

export async function trialPage(view, state, next) {
  const { trial } = state;
  const texts = view.texts;
  const headphones = state.stage === "headphones";
  const addresses = await Promise.all(trial.media.map((medium) => load(medium.name, view.told)));
  const sounds = trial.media.filter((medium) => medium.kind === "sound").length;
  const names = trial.kind === "preference" ? [texts.first, texts.second] : [];
  const note = element("p", { class: "note" });
  const alert = element("p", { class: "alert", role: "alert" });
  view.alert = alert;

  const options = trial.answers.map((value, index) => ({ value, text: names[index] || view.label(value) }));
  const field = element("fieldset", { disabled: sounds > 0 }, element("legend", {}, trial.text), choices("answer", options));
  if (trial.kind === "rating") {
    const ends = [texts.rating_low, texts.rating_high].map((text) => element("span", {}, text));
    field.append(element("p", { class: "ends" }, ...ends));
  }
  const button = element("button", { type: "submit" }, texts.next);
  const form = element("form", { novalidate: true }, field, button, alert);

  let players = null;
  let media = null;
  if (sounds) {
    note.textContent = sounds > 1 ? texts.hear_both : texts.hear_first;
    players = new Players(addresses, names, texts, () => {
      if (!field.disabled) return;
      field.disabled = false;
      alert.textContent = "";
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
  let sending = false;

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (sending) return;
    const value = chosen(form, "answer");
    if (field.disabled || value === null) {
      alert.textContent = field.disabled ? (sounds > 1 ? texts.hear_both : texts.hear_first) : texts.choose_first;
      return;
    }
    const plays = players ? players.plays : 0;
    const content = { item: trial.item, value, response_ms: performance.now() - begun, plays };
    sending = true;
    button.setAttribute("aria-disabled", "true");
    try {
      await post("api/answer", content, view.told);
      speak(texts.stored);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (error.code === "early") {
        sending = false;
        button.removeAttribute("aria-disabled");
        alert.textContent = texts.too_fast;
        return;
      }
      if (error.status !== 409) throw error;
      speak(texts.elsewhere);
    }
    if (players) players.stop();
    else addresses.forEach((address) => URL.revokeObjectURL(address));
    next();
  });
}

async function picture(address, medium, name, texts) {
  const image = element("img", { src: address, width: medium.width, height: medium.height, alt: name ? `${name}: ${texts.picture}` : texts.picture });
  await image.decode().catch(() => {});
  return element("figure", {}, name ? element("figcaption", {}, name) : null, image);
}
