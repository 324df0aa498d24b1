// Explanations side by side: one panel for each method, with its form, its progress, and the player of the page.

import { Refused, post, work } from "./api.js";
import { button, by, element, guarded, speak } from "./dom.js";
import { formOf } from "./forms.js";
import { saving } from "./saving.js";
import { change, specOf, state, why } from "./state.js";

const MOST = 4;
const SOON = 5; // seconds: what takes longer waits until it is asked for
const LIGHTS = { green: "Nothing found", amber: "With care", red: "Wrong" };
const VIEWS = { "": "As the model reads it", time: "Time", frequency: "Frequency", "time-frequency": "Both" };

let facts = null;
const panels = [];
const took = new Map(); // seconds by method

export function panelsOf(given) {
  facts = given;
  const offered = facts.explainers.map(({ name }) => name);
  state.methods = state.methods.filter(({ explainer }) => offered.includes(explainer)).slice(0, MOST);
  if (!state.methods.length) state.methods = [{ explainer: offered[0], options: {} }];
  views();
  state.methods.forEach(add);
  more();
  by("panels").addEventListener("xaudio-cursor", ({ target, detail }) => {
    for (const { player } of panels) if (player && player !== target) player.mirror(detail);
  });
  by("panels").addEventListener("xaudio-spacing", ({ target, detail }) => {
    change({ axis: detail });
    for (const { player } of panels) if (player && player !== target) player.space(detail);
  });
  by("panels").addEventListener("xaudio-drawn", () => performance.mark("explained"));
}

function views() {
  by("views").replaceChildren(...Object.entries(VIEWS).map(([view, label]) => button(
    label,
    () => { change({ view }); views(); },
    { class: "segment", "aria-pressed": String(state.view === view) },
  )));
}

function add(method) {
  panels.push(new Panel(method));
  by("panels").append(panels.at(-1).root);
  by("panels").dataset.count = panels.length;
}

function more() {
  const free = panels.length < MOST;
  const controls = facts.explainers.filter(({ control, name }) => control && !state.methods.some(({ explainer }) => explainer === name));
  const next = facts.explainers.find(({ name }) => !state.methods.some(({ explainer }) => explainer === name)) ?? facts.explainers[0];
  by("more").replaceChildren(...(free ? [
    element("span", { class: "quiet" }, "Compare with"),
    button("another method", () => extend(next.name)),
    ...controls.map(({ name }) => button(`${name} (knows nothing of the model)`, () => extend(name))),
  ] : []));
}

function extend(explainer) {
  const method = { explainer, options: {} };
  state.methods.push(method);
  add(method);
  change({ methods: state.methods });
  more();
  panels.at(-1).chosen();
}

/** What is shown is no longer what is asked. */
export function outdate() {
  for (const { root } of panels) root.classList.add("stale");
}

/** Explain anew, as far as that is quick. */
export function explainAll() {
  for (const panel of panels) panel.renew();
}

/** The players that are shown. */
export const players = () => panels.map(({ player }) => player).filter(Boolean);

class Panel {
  constructor(method) {
    this.method = method;
    this.tools = element("div", { class: "tools" });
    this.light = element("p", { class: "light", hidden: true });
    this.work = element("div", { class: "work", role: "status" });
    this.shown = element("div", { class: "shown" });
    this.saving = element("div", { class: "row saving", hidden: true });
    this.root = element("article", { class: "card panel" }, this.tools, this.work, this.shown, this.light, this.saving);
    this.furnish();
  }

  get form() {
    return facts.explainers.find(({ name }) => name === this.method.explainer);
  }

  furnish() {
    const select = element(
      "select", { "aria-label": "Method", change: ({ target }) => { Object.assign(this.method, { explainer: target.value, options: {} }); this.furnish(); this.chosen(); } },
      ...facts.explainers.map(({ name }) => element("option", { value: name, selected: name === this.method.explainer }, name)),
    );
    const options = element(
      "details", { class: "options" },
      element("summary", {}, "Options"),
      formOf(this.form, this.method.options, (given) => { this.method.options = given; this.chosen(); }),
    );
    const away = panels.length && panels[0] !== this ? button("Remove", () => this.remove()) : null;
    this.tools.replaceChildren(
      element("div", { class: "row" }, select, this.form.control ? element("span", { class: "quiet" }, "control: knows nothing of the model") : null, away),
      element("p", { class: "quiet words" }, this.form.words), options,
    );
  }

  remove() {
    this.cancel?.abort();
    panels.splice(panels.indexOf(this), 1);
    this.root.remove();
    by("panels").dataset.count = panels.length;
    change({ methods: panels.map(({ method }) => method) });
    more();
  }

  get key() {
    return specOf(this.method);
  }

  /** Another method or option: how long will it take? */
  chosen() {
    change({ methods: panels.map(({ method }) => method) });
    this.renew();
  }

  /** Explain what is asked, at once if that is quick. */
  async renew() {
    if (!state.clip) return;
    this.cancel?.abort();
    const cancel = (this.cancel = new AbortController());
    this.root.classList.add("stale");
    try {
      if (!took.has(this.key) && this.key !== facts.explainers[0].name) await this.estimate(cancel.signal);
      if (cancel.signal.aborted) return;
      if ((took.get(this.key) ?? 0) > SOON) this.offer();
      else await this.explain(cancel);
    } catch (error) {
      this.failed(error);
    }
  }

  async estimate(signal) {
    this.work.replaceChildren(element("p", { class: "quiet" }, "How long will it take?"));
    const { seconds } = await work("estimate", why(this.method), { signal });
    took.set(this.key, seconds);
  }

  offer() {
    const seconds = took.get(this.key);
    const start = button(`Explain (about ${duration(seconds)})`, () => this.explain(new AbortController()).catch((error) => this.failed(error)), { class: "main" });
    this.work.replaceChildren(start);
  }

  async explain(cancel) {
    this.cancel = cancel;
    const wanted = why(this.method);
    const told = (progress) => this.progress(progress, cancel);
    const explanation = await work("explain", wanted, { told, signal: cancel.signal });
    if (cancel.signal.aborted) return;
    took.set(this.key, explanation.seconds);
    this.explanation = explanation;
    this.show(explanation, wanted);
    saving(this.saving, explanation, wanted, panels.map((panel) => panel.explanation?.explanation).filter(Boolean));
    this.judge(wanted);
  }

  progress({ text, share }, cancel) {
    if (this.bar?.isConnected && this.work.contains(this.bar)) {
      this.bar.value = share;
      this.told.textContent = text;
      return;
    }
    this.bar = element("progress", { max: "1", value: share, "aria-label": "Progress" });
    this.told = element("span", { class: "quiet" }, text);
    this.work.replaceChildren(this.bar, this.told, button("Cancel", () => { cancel.abort(); this.offer(); }));
  }

  show({ markup, question, seconds, explainer }, { clip, cut }) {
    this.remember(String([clip, cut]));
    const template = document.createElement("template");
    template.innerHTML = markup; // made by the page's own templates, which escape all names
    this.work.replaceChildren();
    this.shown.replaceChildren(template.content);
    this.player = this.shown.querySelector("xaudio-player");
    this.player.kept = { ...this.choices, spacing: state.axis };
    this.root.classList.remove("stale");
    this.root.setAttribute("aria-label", `Why ${question}, by ${explainer}`);
    speak(`Explained: why ${question}, by ${explainer}, in ${duration(seconds)}.`);
  }

  /** What was chosen in the player, for the one that takes its place; a first one is as those beside it. */
  remember(heard) {
    const last = this.player ?? players()[0];
    if (last?.facts) this.choices = last.chosen(heard === this.heard);
    this.heard = heard;
  }

  failed(error) {
    if (error.name === "AbortError") return;
    this.remember(null);
    const text = error instanceof Refused ? error.message : `Something went wrong: ${error.message}`;
    this.work.replaceChildren(element("p", { class: "alert" }, text));
    this.shown.replaceChildren();
    this.player = null;
    this.light.hidden = this.saving.hidden = true;
  }

  /** The doctor's word on this method and model. */
  judge = guarded(async (wanted) => {
    const { light, sentence } = await post("verdict", wanted);
    this.light.hidden = false;
    this.light.className = `light ${light}`;
    this.light.replaceChildren(element("i", { "aria-hidden": "true" }), element("strong", {}, `${LIGHTS[light]}. `), sentence);
  });
}

const duration = (seconds) => (seconds < 1 ? `${Math.max(0.01, seconds).toFixed(2)} s` : seconds < 90 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`);
