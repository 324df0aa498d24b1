// Which page comes next: the server says where the participant is, also after a crash or on another device.

import { Refused, SLOW, get, post, token } from "./api.js";
import { tell } from "./dom.js";
import * as pages from "./pages.js";
import { trialPage } from "./trial.js";

let study = null;
let language = null;
let welcomed = false;
let instructed = false;

function makeView(state) {
  if (state && state.language) ({ language } = state);
  const texts = study.texts[language];
  const view = { language, texts, title: study.title[language], label: (value) => (study.labels[language] || {})[value] || value };
  const free = !state || state.stage === "consent";
  const languages = free ? study.languages.map((code) => ({ code, name: study.texts[code].language_name })) : [];
  view.header = pages.header(view, state, languages, async (code) => {
    language = code;
    await guarded(state ? next : start);
    const select = document.querySelector("select");
    if (select) select.focus(); // so that the arrow keys go through all languages
  });
  view.footer = pages.footer(view, state, next);
  // What keeps the page waiting: on whatever page is there, else on one of its own.
  view.told = (trouble, sending = false) => {
    const full = trouble instanceof Refused && trouble.code === "full";
    const words = trouble === SLOW ? texts.loading : full ? texts.full : sending ? texts.offline : texts.waiting;
    if (document.querySelector("main")) tell("network", trouble === null ? "" : words);
    else if (trouble !== null) pages.messagePage(view, words);
  };
  // Resolves when it is stored, or to what is to be told if the server holds another answer already.
  view.send = async (path, content) => {
    try {
      await post(path, content, view.told);
      return "";
    } catch (error) {
      if (error instanceof Refused && error.status === 409) return texts.elsewhere;
      throw error;
    }
  };
  return view;
}

async function next(notice = "", moved = false) {
  await guarded(async () => {
    const state = await get("api/state", makeView(null).told);
    try {
      await page(state);
    } catch (error) { // another device has moved on in between, so that what this one asks for is no longer handed out
      if (moved || !(error instanceof Refused && error.status === 404)) throw error;
      await next(notice, true);
      return;
    }
    if (notice) tell("alert", notice);
  });
}

async function page(state) {
  const view = makeView(state);
  if (state.stage === "consent" && !welcomed) pages.welcomePage(view, async () => { welcomed = true; await next(); });
  else if (state.stage === "consent") pages.consentPage(view, next);
  else if (state.stage === "form") pages.formPage(view, study.form, next);
  else if (state.stage === "level") await pages.levelPage(view, study.level, next);
  else if (state.stage === "items" && !instructed) pages.instructionsPage(view, async () => { instructed = true; await next(); });
  else if (["headphones", "items"].includes(state.stage)) await trialPage(view, state, next);
  else if (state.stage === "done") pages.donePage(view);
  else pages.withdrawnPage(view);
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
const wishes = navigator.languages.flatMap((wish) => [wish, wish.split("-")[0]]); // the one most wished for comes first
language = wishes.find((wish) => study.languages.includes(wish)) || study.languages[0];
window.addEventListener("hashchange", () => { welcomed = false; instructed = false; guarded(start); });
window.addEventListener("unhandledrejection", (event) => {
  event.preventDefault();
  guarded(() => { throw event.reason; });
});
await guarded(start);
