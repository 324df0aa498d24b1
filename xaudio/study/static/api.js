// Requests to the study's server. The token stays behind the # of the address and in this header: it is in no log.

export const token = () => location.hash.slice(1);

export class Refused extends Error {
  constructor(status, code) {
    super(`${status} ${code}`);
    this.status = status;
    this.code = code;
  }
}

async function once(path, options) {
  const headers = { ...options.headers };
  if (token()) headers.Authorization = `Bearer ${token()}`;
  const response = await fetch(path, { ...options, headers, cache: "no-store", credentials: "omit" });
  if (response.ok) return response;
  const body = await response.json().catch(() => ({}));
  throw new Refused(response.status, body.error || "failed");
}

const wait = (milliseconds) => new Promise((resolve) => { setTimeout(resolve, milliseconds); });

// Again and again until the server has answered; told(error) says why it takes so long, told(null) that it is over.
async function persistent(path, options, told) {
  for (let pause = 1000; ; pause = Math.min(2 * pause, 15000)) {
    try {
      const response = await once(path, options);
      told(null);
      return response;
    } catch (error) {
      const lasting = error instanceof Refused && error.status < 500 && error.status !== 429;
      if (lasting) throw error;
      told(error);
      await wait(pause);
    }
  }
}

export async function get(path, told = () => {}) {
  return (await persistent(path, {}, told)).json();
}

export async function load(name, told = () => {}) {
  return URL.createObjectURL(await (await persistent(`media/${name}`, {}, told)).blob());
}

export async function post(path, content, told = () => {}) {
  const options = { method: "POST", body: JSON.stringify(content), headers: { "Content-Type": "application/json" } };
  return (await persistent(path, options, told)).json();
}
