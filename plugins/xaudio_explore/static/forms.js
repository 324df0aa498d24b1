// A form for the options of an explainer, made of their types, bounds and words.

import { element } from "./dom.js";

let counter = 0;

/** Fields for all options; changed(options) gets those that are not as by default. */
export function formOf({ options }, given, changed) {
  const chosen = { ...given };
  const fields = options.map((option) => {
    const take = (value) => {
      if (value === option.default || (value === "" && option.default !== null)) delete chosen[option.name];
      else chosen[option.name] = value;
      changed({ ...chosen });
    };
    return field(option, given[option.name] ?? option.default ?? "", take);
  });
  return fields.length ? element("div", { class: "form" }, ...fields) : element("p", { class: "quiet" }, "This method has no options.");
}

function field({ name, words, schema }, value, take) {
  const id = `option-${(counter += 1)}`;
  const kinds = schema.anyOf ?? [schema];
  const choices = kinds.flatMap((kind) => kind.enum ?? (kind.const === undefined ? [] : [kind.const]));
  const optional = kinds.some(({ type }) => type === "null");
  const number = kinds.find(({ type }) => type === "integer" || type === "number");
  const input = choices.length ? select([...choices, ...(optional ? ["none"] : [])], value)
    : kinds[0].type === "boolean" ? select(["True", "False"], value)
      : number && kinds.length === (optional ? 2 : 1) ? numberField(number, value, optional)
        : element("input", { type: "text", value });
  input.id = id;
  input.addEventListener("change", () => {
    if (input.reportValidity()) take(input.value === "" && optional ? "none" : input.value);
  });
  if (words) input.setAttribute("aria-describedby", `${id}-words`);
  return element(
    "div", { class: "field" },
    element("label", { for: id }, name.replaceAll("_", " ")), input,
    words && element("p", { class: "quiet", id: `${id}-words` }, words),
  );
}

function select(values, chosen) {
  return element("select", {}, ...values.map((value) => element("option", { value, selected: String(value) === chosen }, String(value))));
}

function numberField(kind, value, optional) {
  return element("input", {
    type: "number",
    value: value === "none" ? "" : value,
    placeholder: optional ? "none" : null,
    min: kind.minimum ?? kind.exclusiveMinimum,
    max: kind.maximum ?? kind.exclusiveMaximum,
    step: kind.type === "integer" ? "1" : "any",
  });
}
