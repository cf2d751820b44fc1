// The form of a process, made of what it says of its parameters; what is asked of the server is what the form has.

import { isWritable, parsed, written } from "./exact.js";
import { element, number } from "./words.js";

const byId = (id) => document.getElementById(id);

/** What can be said of a computation besides its parameters, as a plan says it. */
const OPTIONS = [
  ["crop", "text", "The part of each position's values: 64:192,64:192, 6.2keV:6.9keV, Frequency=310kHz:340kHz."],
  ["along", "text", "The axes that a spectrum runs along, with commas between them."],
  ["positions", "text", "Only some: 100:200, 0:4096:10, 0:10,5:20, random:100, or /PATH of a mask in the file."],
  ["dark", "text", "A spectrum of the file to take off every spectrum: its path."],
  ["gain", "text", "A spectrum of the file to multiply every spectrum with, after that."],
  ["dead_pixels", "text", "Values to replace by those beside them: the path of a mask, or steps as in 3,5;12,40."],
  ["allow_rounding", "true/false", "Let values become the nearest ones that the process computes with."],
  ["override", "true/false", "Compute anew into a new group, whatever results there are."],
  ["retry_failed", "true/false", "Compute the failed positions of earlier runs again."],
  ["cores", "text", "How many cores, or all."],
  ["memory", "text", "Memory budget, such as 500M or 4G."],
];
/** What only a run is told, and no test. */
const OF_RUNS = new Set(["positions", "override", "retry_failed", "cores", "memory"]);

export class Form {
  #process = null;

  constructor(changed) {
    this.changed = changed;
    const options = OPTIONS.map(([name, kind, help]) => field({ name, kind, help, unit: null, default: kind === "true/false" ? false : null, minimum: null, maximum: null }));
    byId("option-fields").replaceChildren(...options);
    byId("process-form").addEventListener("input", () => this.changed());
  }

  /** Shows the parameters of a process, with values that are known by name. */
  show(process, values = {}) {
    this.#process = process;
    byId("summary").textContent = process.summary;
    byId("parameters").replaceChildren(...process.parameters.map((parameter) => field(parameter, values[parameter.name])));
  }

  get process() {
    return this.#process;
  }

  /** The parameters that are given, by name. */
  get parameters() {
    return given(byId("parameters"));
  }

  /** The same as the address has it. */
  get written() {
    return Object.keys(this.parameters).length ? written(this.parameters) : "";
  }

  /** Marks the fields that a refusal names in quotes; none without one. */
  wrong(message = "") {
    for (const input of byId("process-form").querySelectorAll(".field [name]")) {
      const isNamed = new RegExp(`[\`“"]${input.name.replaceAll("_", "[_ ]")}\\b`).test(message) || message.startsWith(`${input.name}:`);
      input.closest(".field").classList.toggle("wrong", isNamed);
      input.setAttribute("aria-invalid", isNamed);
    }
  }

  /** Says what a computation is besides its parameters. */
  setOptions(values) {
    for (const input of byId("option-fields").querySelectorAll("[name]")) {
      const value = values[input.name];
      if (input.type === "checkbox") input.checked = value === true;
      else input.value = Array.isArray(value) ? value.join(", ") : value ?? "";
    }
    byId("options").open ||= Object.keys(values).length > 0;
  }

  /** The step that the server is asked for; of a test without what only runs are told. Throws if a number is none. */
  step({ dataset, field, axes }, isRun) {
    for (const [name, value] of Object.entries(this.parameters)) {
      const { kind } = this.#process.parameters.find((parameter) => parameter.name === name);
      const [, of, isOptional] = /^(number|integer)( or none)?$/.exec(kind) ?? [];
      const isRight = typeof value === "bigint" || (typeof value === "number" ? of === "number" || Number.isInteger(value) : value === null && isOptional);
      if (of && !isRight) throw new Error(`\`${name}\` has to be ${of === "integer" ? "a whole number" : "a number"}${isOptional ? " or none" : ""}`);
    }
    const step = { process: this.#process.command, parameters: this.parameters, dataset, field: field || null };
    if (axes) step.positions_axes = axes.split(",").map(Number);
    for (const [name, value] of Object.entries(given(byId("option-fields")))) {
      if (isRun || !OF_RUNS.has(name)) step[name] = name === "along" ? String(value).split(",").map((axis) => axis.trim()) : value;
    }
    // What is typed here is text, whatever it looks like.
    for (const name of ["crop", "positions", "dark", "gain", "dead_pixels", "cores", "memory"]) {
      if (name in step) step[name] = textOf(name);
    }
    return step;
  }
}

const textOf = (name) => byId("option-fields").querySelector(`[name="${name}"]`).value.trim();

/** What fields have that have anything. */
function given(fields) {
  const values = {};
  for (const input of fields.querySelectorAll("[name]")) {
    if (input.type === "checkbox") {
      if (input.checked !== (input.dataset.default === "true")) values[input.name] = input.checked;
    } else if (input.value.trim() !== "") {
      values[input.name] = meant(input.value.trim(), input.dataset.kind);
    }
  }
  return values;
}

/** What a typed text means, as on the command line. */
function meant(text, kind) {
  if (kind === "text" || kind.split(" | ").includes(text)) return text;
  if (text === "none" || text === "None") return null;
  try {
    const value = parsed(text);
    // What has a number beyond all numbers in it stays text, which is refused in words.
    return isWritable(value) ? value : text;
  } catch {
    return text;
  }
}

function field(parameter, value) {
  const { name, kind, unit, help, minimum, maximum } = parameter;
  const own = element("label", "", { class: "field" });
  const head = element("span", "", { class: "name" });
  head.append(element("span", name.replaceAll("_", " ")), element("small", [unit, range(kind, minimum, maximum)].filter(Boolean).join(", ")));
  own.append(head, control(parameter, value), element("span", help, { class: "help" }));
  return own;
}

function control({ name, kind, default: usual }, value) {
  const attributes = { name, "data-kind": kind };
  const choices = kind.split(" | ");
  const isChoice = choices.length > 1 && !/[(,]| or /.test(kind);
  if (kind === "true/false") {
    const input = element("input", "", { ...attributes, type: "checkbox", "data-default": usual === true });
    input.checked = value ?? usual === true;
    return input;
  }
  if (isChoice) {
    const select = element("select", "", attributes);
    select.replaceChildren(...choices.map((choice) => new Option(choice, choice)));
    select.value = value ?? usual ?? choices[0];
    return select;
  }
  const typed = (given) => (typeof given === "string" ? given : written(given));
  const input = element("input", "", { ...attributes, type: "text", spellcheck: "false", placeholder: usual === null ? "none" : typed(usual) });
  // Nothing is something else than what is usual.
  if (value === null && usual !== null) input.value = "none";
  else if (value !== undefined && value !== null) input.value = typed(value);
  return input;
}

/** `number, 1 to 20`. */
function range(kind, minimum, maximum) {
  if (kind === "true/false" || kind === "text") return "";
  const shown = kind.includes(" | ") ? "" : kind;
  if (minimum !== null && maximum !== null) return `${shown}, ${number(minimum)} to ${number(maximum)}`;
  if (minimum !== null) return `${shown}, at least ${number(minimum)}`;
  return maximum === null ? shown : `${shown}, at most ${number(maximum)}`;
}
