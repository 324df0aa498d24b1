// What is being looked at. It stands behind the # of the address, so that the address brings it back.

const parameters = new URLSearchParams(location.hash.slice(1));
const secret = parameters.get("token") ?? "";

export const token = () => secret;

/** clip, cut, target, contrast, view, axis, and methods: [{explainer, options}]. */
export const state = {
  clip: parameters.get("clip"),
  cut: parameters.get("cut")?.split("-").map(Number) ?? null,
  target: parameters.get("target"),
  contrast: parameters.get("contrast"),
  view: parameters.get("view") ?? "",
  axis: ["log", "mel"].find((spacing) => spacing === parameters.get("axis")) ?? "linear",
  methods: parameters.getAll("method").map(methodOf),
};

const listeners = [];

/** Call when parts of the state changed; it gets the set of their names. */
export const whenChanged = (listener) => listeners.push(listener);

/** Change parts of the state, the address with it. */
export function change(parts) {
  Object.assign(state, parts);
  remember();
  for (const listener of listeners) listener(new Set(Object.keys(parts)));
}

export function remember() {
  const kept = new URLSearchParams({ token: secret });
  for (const name of ["clip", "target", "contrast", "view", "axis"]) if (state[name]) kept.set(name, state[name]);
  if (state.cut) kept.set("cut", state.cut.map((second) => second.toFixed(3)).join("-"));
  for (const method of state.methods) kept.append("method", specOf(method));
  history.replaceState(null, "", `#${kept}`);
}

/** A method as the command line writes it, and back. */
export function specOf({ explainer, options }) {
  const given = Object.entries(options).map(([name, value]) => `${name}=${value}`);
  return explainer + (given.length ? `:${given.join(",")}` : "");
}

function methodOf(spec) {
  const [explainer, rest] = spec.split(/:(.*)/s);
  const pairs = rest ? rest.split(",").map((pair) => pair.split(/=(.*)/s).slice(0, 2)) : [];
  return { explainer, options: Object.fromEntries(pairs) };
}

/** The recording that is asked about. */
export const asked = () => ({ clip: state.clip, cut: state.cut });

/** What is asked of one method. */
export const why = ({ explainer, options }) => ({
  ...asked(), explainer, options, target: state.target, contrast: state.contrast, view: state.view || null,
});
