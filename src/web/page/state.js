// What the page shows: one state, of which the address has a copy.

import * as address from "./address.js";

/** What a change of is worth a step back: the cursor isn't. */
const STEPS = new Set(["dataset", "field", "axes", "image", "picture", "detector", "process"]);

export const state = {
  dataset: null, field: null, axes: "", image: "sum", picture: 0, detector: "", position: 0, scale: "linear", part: "", range: "", process: "", parameters: "",
};

const listeners = [];

/** `changed` hears the names of what has changed. */
export function listen(changed) {
  listeners.push(changed);
}

export function set(changes, { isStep = true } = {}) {
  const names = Object.keys(changes).filter((name) => state[name] !== changes[name]);
  if (!names.length) return;
  Object.assign(state, changes);
  address.write(state, isStep && names.some((name) => STEPS.has(name)));
  listeners.forEach((changed) => changed(new Set(names)));
}

/** What an address says, as the state has it. */
export function adopt(said) {
  const numbers = { picture: 0, position: 0 };
  const changes = {};
  for (const [name, value] of Object.entries(said)) {
    changes[name] = name in numbers ? Math.max(0, Number.parseInt(value, 10) || 0) : value;
  }
  set(changes, { isStep: false });
}
