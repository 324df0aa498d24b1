// Builds what is on the page. Texts are only ever set as text, never read as markup.

export function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key === "class") made.className = value;
    else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

// Paragraphs at blank lines, lists of lines that begin with "- ", and **bold**.
export function prose(text) {
  const blocks = text.trim().split(/\n\s*\n/).map((block) => {
    const lines = block.split("\n");
    if (lines.every((line) => line.startsWith("- "))) {
      return element("ul", {}, ...lines.map((line) => element("li", {}, ...bold(line.slice(2)))));
    }
    return element("p", {}, ...bold(lines.join(" ")));
  });
  return element("div", { class: "prose" }, ...blocks);
}

function bold(text) {
  return text.split("**").map((part, index) => (index % 2 ? element("strong", {}, part) : part));
}

export function fill(text, values) {
  return Object.entries(values).reduce((found, [name, value]) => found.replaceAll(`{${name}}`, String(value)), text);
}

// What a screen reader says without moving the focus.
export function speak(text) {
  document.getElementById("spoken").textContent = text;
}

// What is wrong ("alert"), or keeps the page waiting ("network"): shown and said, at the end of the page if nowhere else.
export function tell(id, text, after = null) {
  const told = document.getElementById(id);
  if (!told) return;
  if (after) after.after(told);
  else (document.querySelector("dialog[open]") || document.querySelector("main")).append(told);
  told.textContent = text;
}

// What a form or button does, never twice at the same time.
export function alone(act) {
  let busy = false;
  return async (event) => {
    event.preventDefault();
    if (busy) return;
    busy = true;
    try {
      await act();
    } finally {
      busy = false;
    }
  };
}

const RIGHT_TO_LEFT = ["ar", "dv", "fa", "he", "ps", "ur", "yi"];

const SETTLED = 100; // milliseconds until a screen reader knows a new page: a focus before that is not read out (Orca with Firefox)

// One page: a heading that gets the focus, so that keyboard and screen reader begin at its top.
export function show(view, title, ...content) {
  const heading = element("h1", { tabindex: "-1" }, title);
  const told = ["alert", "network"].map((id) => element("p", { id, class: "alert", role: "alert" }));
  const page = document.getElementById("page");
  page.replaceChildren(...[view.header, element("main", {}, heading, ...content, ...told), view.footer].filter(Boolean));
  document.documentElement.lang = view.language;
  document.documentElement.dir = RIGHT_TO_LEFT.includes(view.language.split("-")[0]) ? "rtl" : "ltr";
  document.title = title === view.title ? title : `${title} – ${view.title}`;
  window.scrollTo(0, 0);
  setTimeout(() => {
    if (document.activeElement === document.body) heading.focus({ preventScroll: true });
  }, SETTLED);
}

export function choices(name, answers, { column = false } = {}) {
  const short = answers.every(({ text }) => text.length <= 2);
  const style = `answers${column ? " column" : short ? " short" : ""}`;
  return element("div", { class: style }, ...answers.map(({ value, text }) => choice(name, value, text)));
}

// Numbers in one row, with what the ends of the scale mean; below each other where they do not fit.
export function scale(name, values, ends) {
  const end = (index) => (index === 0 ? ends[0] : index === values.length - 1 ? ends[1] : null);
  const numbers = values.map((value, index) => (
    choice(name, value, value, end(index) && element("span", { class: "end" }, end(index)))
  ));
  const words = element("p", { class: "ends", "aria-hidden": "true" }, ...ends.map((text) => element("span", {}, text)));
  const made = element("div", { class: `scale${values.length > 5 ? " long" : ""}` }, element("div", { class: "answers" }, ...numbers), words);
  made.style.setProperty("--count", values.length);
  return made;
}

function choice(name, value, text, more = null) {
  return element("label", { class: "choice" }, element("input", { type: "radio", name, value }), element("span", {}, text), more);
}

export function chosen(form, name) {
  const found = form.querySelector(`input[name="${name}"]:checked`);
  return found ? found.value : null;
}
