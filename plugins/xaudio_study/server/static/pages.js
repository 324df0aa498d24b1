// All pages but the tasks.

import { load, token } from "./api.js";
import { alone, choices, chosen, element, fill, prose, show, speak, tell } from "./dom.js";
import { Players } from "./player.js";

export function messagePage(view, text) {
  show(view, view.title, element("p", {}, text));
}

export function welcomePage(view, begin) {
  const button = element("button", { type: "button", onclick: alone(begin) }, view.texts.begin);
  show(view, view.title, prose(view.texts.welcome_text), button);
}

export function consentPage(view, next) {
  const { texts } = view;
  const box = element("input", { type: "checkbox", name: "agree" });
  const form = element(
    "form",
    { novalidate: true },
    element("label", { class: "choice check" }, box, element("span", {}, texts.consent_check)),
    element("button", { type: "submit" }, texts.consent_agree),
  );
  const contact = texts.contact
    ? element("div", {}, element("p", {}, texts.consent_contact), element("p", { class: "contact" }, texts.contact))
    : null;
  show(view, texts.consent_title, prose(texts.consent_text), contact, form);
  form.addEventListener("submit", alone(async () => {
    if (!box.checked) {
      tell("alert", texts.agree_first);
      box.focus();
      return;
    }
    await next(await view.send("api/consent", { agree: true, language: view.language }));
  }));
}

export function formPage(view, fields, next) {
  const { texts, language } = view;
  const sets = fields.map((field) => {
    const answers = field.answers.map((answer) => ({ value: answer.value, text: answer.text[language] || answer.value }));
    return element("fieldset", {}, element("legend", {}, field.text[language]), choices(field.name, answers, { column: true }));
  });
  const form = element("form", { novalidate: true }, ...sets, element("button", { type: "submit" }, texts.next));
  show(view, texts.form_title, linkBox(texts), element("p", {}, texts.form_text), form);
  form.addEventListener("submit", alone(async () => {
    const answers = Object.fromEntries(fields.map((field) => [field.name, chosen(form, field.name)]));
    const missing = fields.findIndex((field) => answers[field.name] === null);
    if (missing >= 0) {
      tell("alert", texts.choose_all, sets[missing].querySelector("legend"));
      sets[missing].querySelector("input").focus({ preventScroll: true });
      sets[missing].scrollIntoView();
      return;
    }
    tell("alert", "");
    await next(await view.send("api/form", { answers }));
  }));
}

export async function levelPage(view, medium, next) {
  const { texts } = view;
  let ready = false;
  const button = element("button", { type: "submit", "aria-disabled": "true" }, texts.level_done);
  const form = element("form", {}, button);
  const address = await load(medium.name, view.told);
  const players = new Players([address], [], { ...texts, play: texts.level_play }, () => {
    ready = true;
    button.removeAttribute("aria-disabled");
    tell("alert", "");
  });
  show(view, texts.level_title, prose(texts.level_text), players.element, form);
  form.addEventListener("submit", alone(async () => {
    if (!ready) {
      tell("alert", texts.hear_first);
      return;
    }
    await next(await view.send("api/level", { heard: true }));
    URL.revokeObjectURL(address);
  }));
}

export function instructionsPage(view, next) {
  const button = element("button", { type: "button", onclick: alone(next) }, view.texts.instructions_start);
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
  if (!navigator.clipboard) return null; // there is none without a secure connection; the address is in the address bar
  const button = element("button", { type: "button", class: "plain small" }, texts.copy);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(location.href);
      button.textContent = texts.copied;
      speak(texts.copied);
    } catch {
      button.remove(); // it was not allowed
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
      element("button", { type: "button", class: "danger", onclick: alone(async () => {
        await view.send("api/withdraw", { delete: true });
        await next();
      }) }, texts.withdraw_confirm),
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
