// Requests to the server that this page came from. The token stays behind the # of the address and in this header.

import { token } from "./state.js";

/** What the server refuses, in one line for people. */
export class Refused extends Error {}

async function request(path, options = {}) {
  const headers = { Authorization: `Bearer ${token()}`, ...options.headers };
  let response;
  try {
    response = await fetch(`api/${path}`, { ...options, headers, cache: "no-store", credentials: "omit" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused("The program behind this page has ended. Start it again, and open the address that it prints.");
  }
  if (response.ok) return response;
  const { message } = await response.json().catch(() => ({}));
  throw new Refused(message || `The server answered ${response.status}.`);
}

export const get = async (path) => (await request(path)).json();

const sent = (content, more = {}) => ({
  method: "POST", body: JSON.stringify(content), headers: { "Content-Type": "application/json" }, ...more,
});

export const post = async (path, content, more) => (await request(path, sent(content, more))).json();

export const blob = async (path, content) => (await request(path, sent(content))).blob();

export async function upload(bytes, name) {
  const headers = { "Content-Type": "application/octet-stream", "X-Name": encodeURIComponent(name) };
  return (await request("clips", { method: "POST", body: bytes, headers })).json();
}

/** Work that may take long: told({text, share}) on its way; aborting the signal cancels it. */
export async function work(path, content, { told = () => {}, signal } = {}) {
  let state = await post(path, content);
  const { job } = state;
  for (;;) {
    if (signal?.aborted) {
      if (!state.result && !state.error) await request(`jobs/${job}`, { method: "DELETE" }).catch(() => {});
      throw new DOMException("cancelled", "AbortError");
    }
    if (state.error) throw new Refused(state.error);
    if (state.result) return state.result;
    told(state);
    state = await get(`jobs/${job}`);
  }
}
