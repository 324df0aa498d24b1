// Small makers of the elements of the component.

let counter = 0;

/** An element with attributes (functions become listeners, false leaves out) and children. */
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(key, value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== null) element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

const ICONS = {
  play: "M5 3v14l12-7z",
  pause: "M5 3h4v14H5zm6 0h4v14h-4z",
  loop: "M4 9a5 5 0 0 1 5-5h3V1.5L16 5l-4 3.5V6H9a3 3 0 0 0-3 3v1H4zm12 2a5 5 0 0 1-5 5H8v2.500L4 15l4-3.500V14h3a3 3 0 0 0 3-3v-1h2z",
  swap: "M13 2l5 4-5 4V7.200H3V4.800h10zM7 10v2.800h10v2.400H7V18l-5-4z",
  closer: "M9 4h2v5h5v2h-5v5H9v-5H4V9h5z",
  wider: "M4 9h12v2H4z",
  whole: "M2 5h2v10H2zm14 0h2v10h-2zM5 10l3-3v2h4V7l3 3-3 3v-2H8v2z",
};

function icon(name) {
  const drawing = make("i", { class: "xa-icon", "aria-hidden": "true" });
  drawing.style.clipPath = `path("${ICONS[name]}")`;
  return drawing;
}

/** A button with an icon; its label is seen where `seen` says so, and always read out. */
function button(name, label, press, { seen = false, title = label } = {}) {
  const text = make("span", { class: seen ? "xa-label" : "xa-unseen" }, label);
  return make("button", { type: "button", class: `xa-button xa-${name}`, title, click: press }, icon(name), text);
}

/** One of several, as a row of radio buttons; options are {value, label, long, disabled}. */
function choice(legend, name, options, chosen, change) {
  const group = `xa-${name}-${(counter += 1)}`;
  const items = options.map(({ value, label, long = label, disabled = false }) => {
    const input = make("input", {
      type: "radio", name: group, value, disabled, checked: value === chosen, "aria-label": long, change: () => change(value),
    });
    return make("label", { title: long, class: `xa-option xa-is-${value}` }, input, make("span", {}, label));
  });
  return make("fieldset", { class: `xa-choice xa-choose-${name}` }, make("legend", {}, legend), make("div", {}, ...items));
}

function selector(legend, options, chosen, change) {
  const items = options.map((value) => make("option", { value, selected: value === chosen }, value));
  const select = make("select", { change: (event) => change(event.target.value) }, ...items);
  return make("label", { class: "xa-selector" }, make("span", {}, legend), select);
}

/** The keys of the component, as a list that is read in the page. */
const KEYS = [
  ["Space or K", "play, pause"],
  ["A", "switch between the recording and the explanation, at the same position"],
  ["1, 2, 3, 4", "hear the recording, what speaks for, what speaks against, the rest"],
  ["← →", "move the cursor"],
  ["↑ ↓", "move the cursor in frequency"],
  ["Home, End", "cursor to the start, to the end"],
  ["Enter", "play from the cursor"],
  ["S", "see relevance for and against, for, against, or none"],
  ["+ −", "zoom in and out at the cursor"],
  ["I, O", "zoom in and out in frequency"],
  ["Shift ← →", "move what is in view"],
  ["0", "see the whole"],
  ["[ and ]", "loop begins, ends at the cursor"],
  ["L", "loop on, off"],
  ["Escape", "no loop, no cursor"],
];

const GESTURES = [
  ["Press", "play from there"],
  ["Drag", "along time: choose what is looped"],
  ["Shift and drag", "move what is in view"],
  ["Wheel", "zoom, on a picture that was pressed, or with Ctrl"],
  ["Two fingers", "zoom"],
  ["Press twice", "see the whole"],
];

function keyList() {
  const rows = (pairs) => pairs.map(([key, does]) => make("div", {}, make("dt", {}, key), make("dd", {}, does)));
  const most = "Space plays · A switches · arrows move the cursor · [ ] loop · + − zoom";
  const summary = make("summary", {}, "Keys", make("span", { class: "xa-most" }, ` ${most}`));
  return make("details", { class: "xa-keys" }, summary, make("dl", {}, ...rows(KEYS), ...rows(GESTURES)));
}
