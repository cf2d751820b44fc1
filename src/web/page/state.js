// What the page shows: one state, of which the address has a copy.

import * as address from "./address.js";

/** What a change of is worth a step back: the cursor isn't. */
const STEPS = new Set(["dataset", "field", "axes", "image", "picture", "detector", "process"]);

/** What is shown if the address doesn't say. */
const USUAL = {
  field: null, axes: "", image: "sum", picture: 0, detector: "", position: 0, spectrum: "", scale: "linear", part: "", range: "", frame_range: "", parameters: "",
};

export const state = { ...USUAL, dataset: null, process: "" };

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

/** What an address says, as the state has it; what it doesn't say is as usual. */
export function adopt(said) {
  const whole = (text) => Math.max(0, Number.parseInt(text, 10) || 0);
  const changes = { ...USUAL, ...said };
  for (const name of ["picture", "position"]) changes[name] = whole(changes[name]);
  set(changes, { isStep: false });
}
