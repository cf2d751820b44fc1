// Questions to the server, by addresses relative to the page's own.

import { parsed, written } from "./exact.js";

/** What has many numbers, none of them longer than a number here. */
const PICTURES = new Set(["show", "survey", "test", "colours"]);

/** Why something couldn't be done, in the server's words. */
export class Refused extends Error {}

async function answer(what, request) {
  let response;
  try {
    response = await request;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused("the server can't be reached; has the program ended?");
  }
  const text = await response.text().catch(() => "");
  let body = null;
  try {
    body = PICTURES.has(what) ? JSON.parse(text) : parsed(text);
  } catch {
    // Whoever may not come in is told so in plain words.
  }
  if (!response.ok || body === null) throw new Refused(body?.message ?? (text.trim() || `the server answers ${response.status}`));
  return body;
}

/** The query of what is given; what is null or empty is left out. */
export function query(given) {
  const pairs = Object.entries(given).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return new URLSearchParams(pairs.map(([name, value]) => [name, String(value)])).toString();
}

export function get(what, given = {}, signal = undefined) {
  const asked = query(given);
  return answer(what, fetch(`api/${what}${asked ? `?${asked}` : ""}`, { signal, credentials: "same-origin" }));
}

export function post(what, body, signal = undefined) {
  const headers = { "Content-Type": "application/json" };
  return answer(what, fetch(`api/${what}`, { method: "POST", headers, body: written(body), signal, credentials: "same-origin" }));
}

/**
 * Asks one thing at a time: what is asked while another answer is awaited is asked after it, and only the newest of
 * several. So a cursor that moves faster than the disk never has a queue behind it.
 */
export class Newest {
  #waiting = null;
  #isBusy = false;

  /** `ask` gives a promise, `tell` gets what came of it; both aren't called for what something newer has replaced. */
  ask(ask, tell, failed) {
    this.#waiting = { ask, tell, failed };
    if (!this.#isBusy) this.#next();
  }

  async #next() {
    this.#isBusy = true;
    while (this.#waiting) {
      const { ask, tell, failed } = this.#waiting;
      this.#waiting = null;
      try {
        tell(await ask());
      } catch (error) {
        failed(error);
      }
    }
    this.#isBusy = false;
  }
}
