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

// One page: a heading that gets the focus, so that keyboard and screen reader begin at its top.
export function show(view, title, ...content) {
  const heading = element("h1", { tabindex: "-1" }, title);
  const page = document.getElementById("page");
  page.replaceChildren(...[view.header, element("main", {}, heading, ...content), view.footer].filter(Boolean));
  document.documentElement.lang = view.language;
  document.title = `${title} – ${view.title}`;
  window.scrollTo(0, 0);
  heading.focus({ preventScroll: true });
}

export function choices(name, answers, { column = false } = {}) {
  const short = answers.every(({ text }) => text.length <= 2);
  const style = `answers${column ? " column" : short ? " short" : ""}`;
  return element("div", { class: style }, ...answers.map(({ value, text }) => (
    element("label", { class: "choice" }, element("input", { type: "radio", name, value }), element("span", {}, text))
  )));
}

export function chosen(form, name) {
  const found = form.querySelector(`input[name="${name}"]:checked`);
  return found ? found.value : null;
}
