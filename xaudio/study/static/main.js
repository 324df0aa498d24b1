// Which page comes next: the server says where the participant is, also after a crash or on another device.

import { Refused, get, post, token } from "./api.js";
import * as pages from "./pages.js";
import { trialPage } from "./trial.js";

let study = null;
let language = null;
let welcomed = false;
let instructed = false;
let shown = null;

function makeView(state) {
  if (state && state.language) ({ language } = state);
  const texts = study.texts[language];
  const view = { language, texts, title: study.title[language], label: (value) => (study.labels[language] || {})[value] || value };
  const free = !state || state.stage === "consent";
  const languages = free ? study.languages.map((code) => ({ code, name: study.texts[code].language_name })) : [];
  view.header = pages.header(view, state, languages, (code) => { language = code; guarded(state ? next : start); });
  view.footer = pages.footer(view, state, next);
  view.told = (error) => {
    const text = error === null ? "" : error instanceof Refused && error.code === "full" ? texts.full : texts.offline;
    if (view.alert && (text || [texts.full, texts.offline].includes(view.alert.textContent))) view.alert.textContent = text;
  };
  return view;
}

async function next() {
  await guarded(async () => {
    const state = await get("api/state", (error) => { if (shown) shown.told(error); });
    const view = makeView(state);
    shown = view;
    if (state.stage === "consent" && !welcomed) {
      pages.welcomePage(view, () => { welcomed = true; next(); });
    } else if (state.stage === "consent") pages.consentPage(view, next);
    else if (state.stage === "form") pages.formPage(view, study.form, next);
    else if (state.stage === "level") await pages.levelPage(view, study.level, next);
    else if (state.stage === "headphones") await trialPage(view, state, next);
    else if (state.stage === "items" && !instructed) pages.instructionsPage(view, () => { instructed = true; next(); });
    else if (state.stage === "items") await trialPage(view, state, next);
    else if (state.stage === "done") pages.donePage(view);
    else pages.withdrawnPage(view);
  });
}

// A refusal that no page deals with is told in words, never left silent.
async function guarded(act) {
  try {
    await act();
  } catch (error) {
    const view = makeView(null);
    if (error instanceof Refused && error.status === 401) pages.messagePage(view, view.texts.bad_link);
    else if (error instanceof Refused && error.status === 410) pages.withdrawnPage(view);
    else if (error instanceof Refused && error.code === "closed") pages.messagePage(view, view.texts.closed);
    else pages.messagePage(view, view.texts.failed);
  }
}

async function start() {
  if (token()) return next();
  const view = makeView(null);
  if (!study.open) return pages.messagePage(view, view.texts.need_link);
  return pages.welcomePage(view, () => guarded(async () => {
    const { token: own } = await post("api/enrol", {}, view.told);
    history.replaceState(null, "", `#${own}`);
    welcomed = true;
    await next();
  }));
}

study = await get("api/study");
language = study.languages.find((code) => navigator.languages.some((wish) => wish.split("-")[0] === code)) || study.languages[0];
window.addEventListener("hashchange", () => { welcomed = false; instructed = false; guarded(start); });
window.addEventListener("unhandledrejection", (event) => {
  event.preventDefault();
  guarded(() => { throw event.reason; });
});
await guarded(start);
