// Builds what is on the page. Texts are only ever set as text, never read as markup.

export const by = (id) => document.getElementById(id);

export function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (typeof value === "function") made.addEventListener(key, value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export const button = (label, press, more = {}) => element("button", { type: "button", click: press, ...more }, label);

/** What a screen reader says without moving the focus. */
export const speak = (text) => (by("spoken").textContent = text);

/** What went wrong, at the top of the page; nothing takes it away again. */
export function alarm(error) {
  by("alert").hidden = !error;
  by("alert").textContent = error ? error.message : "";
}

/** Do something that may be refused, and say so if it is. */
export function guarded(act) {
  return async (...given) => {
    try {
      alarm(null);
      return await act(...given);
    } catch (error) {
      if (error.name !== "AbortError") alarm(error);
      return undefined;
    }
  };
}

export const percent = (share) => {
  const value = 100 * share;
  return `${value >= 99.95 || value < 0.05 ? value.toFixed(0) : value.toFixed(1)} %`;
};

/** A save dialog's worth: a file of these bytes under this name. */
export function offer(content, name) {
  const link = element("a", { href: URL.createObjectURL(content), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
