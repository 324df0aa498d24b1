// Requests to the study's server. The token stays behind the # of the address and in this header: it is in no log.

export const token = () => location.hash.slice(1);

export const SLOW = "slow";
const SLOW_MS = 1000;
const LONGEST_MS = { json: 20000, blob: 120000 };

export class Refused extends Error {
  constructor(status, code) {
    super(`${status} ${code}`);
    this.status = status;
    this.code = code;
  }
}

// One request, to the last byte of its response, or an error if that takes too long.
async function once(path, options, kind) {
  const headers = { ...options.headers };
  if (token()) headers.Authorization = `Bearer ${token()}`;
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), LONGEST_MS[kind]);
  try {
    const response = await fetch(path, { ...options, headers, cache: "no-store", credentials: "omit", signal: limit.signal });
    if (response.ok) return await response[kind]();
    const body = await response.json().catch(() => ({}));
    throw new Refused(response.status, body.error || "failed");
  } finally {
    clearTimeout(timer);
  }
}

const wait = (milliseconds) => new Promise((resolve) => { setTimeout(resolve, milliseconds); });

// Again and again until the server has answered; told(SLOW) or told(error) says why it takes so long, told(null) that it is over.
async function persistent(path, options, kind, told) {
  const slow = setTimeout(() => told(SLOW), SLOW_MS);
  try {
    for (let pause = 1000; ; pause = Math.min(2 * pause, 15000)) {
      try {
        return await once(path, options, kind);
      } catch (error) {
        if (error instanceof Refused && error.status < 500 && ![408, 429].includes(error.status)) throw error;
        clearTimeout(slow);
        told(error);
        await wait(pause);
      }
    }
  } finally {
    clearTimeout(slow);
    told(null);
  }
}

export async function get(path, told = () => {}) {
  return persistent(path, {}, "json", told);
}

export async function load(name, told = () => {}) {
  return URL.createObjectURL(await persistent(`media/${name}`, {}, "blob", told));
}

let unsent = 0;
window.addEventListener("beforeunload", (event) => { if (unsent) event.preventDefault(); }); // the browser asks first

export async function post(path, content, told = () => {}) {
  const options = { method: "POST", body: JSON.stringify(content), headers: { "Content-Type": "application/json" } };
  unsent += 1;
  try {
    return await persistent(path, options, "json", (trouble) => told(trouble, true));
  } finally {
    unsent -= 1;
  }
}
