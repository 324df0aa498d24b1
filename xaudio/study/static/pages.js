// All pages but the tasks.

import { load, post, token } from "./api.js";
import { choices, chosen, element, fill, prose, show, speak } from "./dom.js";
import { Players } from "./player.js";

export function messagePage(view, text) {
  show(view, view.title, element("p", {}, text));
}

export function welcomePage(view, begin) {
  const note = element("p", { class: "alert", role: "alert" });
  view.alert = note;
  const button = element("button", { type: "button", onclick: () => begin(note) }, view.texts.begin);
  show(view, view.title, prose(view.texts.welcome_text), button, note);
}

export function consentPage(view, next) {
  const { texts } = view;
  const alert = element("p", { class: "alert", role: "alert" });
  view.alert = alert;
  const box = element("input", { type: "checkbox", name: "agree" });
  const form = element(
    "form",
    { novalidate: true },
    element("label", { class: "choice check" }, box, element("span", {}, texts.consent_check)),
    element("button", { type: "submit" }, texts.consent_agree),
    alert,
  );
  const contact = texts.contact
    ? element("div", {}, element("p", {}, texts.consent_contact), element("p", { class: "contact" }, texts.contact))
    : null;
  show(view, texts.consent_title, prose(texts.consent_text), contact, form);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (!box.checked) {
      alert.textContent = texts.agree_first;
      box.focus();
      return;
    }
    await post("api/consent", { agree: true, language: view.language }, view.told);
    next();
  });
}

export function formPage(view, fields, next) {
  const { texts, language } = view;
  const alert = element("p", { class: "alert", role: "alert" });
  view.alert = alert;
  const sets = fields.map((field) => {
    const answers = field.answers.map((answer) => ({ value: answer.value, text: answer.text[language] || answer.value }));
    return element("fieldset", {}, element("legend", {}, field.text[language]), choices(field.name, answers, { column: true }));
  });
  const form = element("form", { novalidate: true }, ...sets, element("button", { type: "submit" }, texts.next), alert);
  show(view, texts.form_title, linkBox(texts), element("p", {}, texts.form_text), form);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const answers = Object.fromEntries(fields.map((field) => [field.name, chosen(form, field.name)]));
    const missing = fields.findIndex((field) => answers[field.name] === null);
    if (missing >= 0) {
      alert.textContent = texts.choose_all;
      sets[missing].querySelector("input").focus();
      return;
    }
    await post("api/form", { answers }, view.told);
    next();
  });
}

export async function levelPage(view, medium, next) {
  const { texts } = view;
  const alert = element("p", { class: "alert", role: "alert" });
  view.alert = alert;
  let ready = false;
  const button = element("button", { type: "submit", "aria-disabled": "true" }, texts.level_done);
  const form = element("form", {}, button, alert);
  const players = new Players([await load(medium.name, view.told)], [], { ...texts, play: texts.level_play }, () => {
    ready = true;
    button.removeAttribute("aria-disabled");
    alert.textContent = "";
  });
  show(view, texts.level_title, prose(texts.level_text), players.element, form);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (!ready) {
      alert.textContent = texts.hear_first;
      return;
    }
    await post("api/level", { heard: true }, view.told);
    players.stop();
    next();
  });
}

export function instructionsPage(view, next) {
  const button = element("button", { type: "button", onclick: next }, view.texts.instructions_start);
  show(view, view.texts.instructions_title, prose(view.texts.instructions_text), button);
}

export function donePage(view) {
  show(view, view.texts.done_title, prose(view.texts.done_text));
}

export function withdrawnPage(view) {
  show(view, view.texts.withdrawn_title, prose(view.texts.withdrawn_text));
}

// The personal link, to keep.
function linkBox(texts) {
  return element("div", { class: "link" }, element("span", {}, texts.keep_link), element("code", {}, location.href), copyButton(texts));
}

function copyButton(texts) {
  const button = element("button", { type: "button", class: "plain small" }, texts.copy);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(location.href);
      button.textContent = texts.copied;
      speak(texts.copied);
    } catch { // without a secure connection browsers give no clipboard; the address is in the address bar
      button.remove();
    }
  });
  return button;
}

export function header(view, state, languages, choose) {
  const parts = [element("p", {}, view.title)];
  if (languages.length > 1) {
    const options = languages.map(({ code, name }) => element("option", { value: code, selected: code === view.language, lang: code }, name));
    const select = element("select", { onchange: (event) => choose(event.target.value) }, ...options);
    parts.push(element("label", { class: "language" }, element("span", {}, view.texts.language), select));
  }
  if (state && (state.stage === "items" || state.stage === "done")) {
    const text = fill(view.texts.progress, { done: state.done, total: state.total });
    parts.push(element("p", { id: "progress-text" }, text));
    parts.push(element("progress", { max: state.total, value: state.done, "aria-labelledby": "progress-text" }));
  }
  return element("header", {}, ...parts);
}

export function footer(view, state, next) {
  if (!token() || !state || ["consent", "withdrawn"].includes(state.stage)) return null;
  const { texts } = view;
  const dialog = element(
    "dialog",
    { "aria-labelledby": "withdraw-title" },
    element("h2", { id: "withdraw-title" }, texts.withdraw_title),
    element("p", {}, texts.withdraw_text),
    element(
      "div",
      { class: "row" },
      element("button", { type: "button", class: "plain", onclick: () => dialog.close() }, texts.withdraw_cancel),
      element("button", { type: "button", class: "danger", onclick: async () => {
        await post("api/withdraw", { delete: true }, view.told);
        dialog.close();
        next();
      } }, texts.withdraw_confirm),
    ),
  );
  return element(
    "footer",
    {},
    element("p", {}, fill(texts.code, { code: state.code })),
    element("button", { type: "button", class: "plain small", onclick: () => dialog.showModal() }, texts.withdraw),
    dialog,
  );
}
