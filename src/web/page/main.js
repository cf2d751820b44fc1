// The page: what belongs to what.

import * as address from "./address.js";
import { Newest, get, post } from "./ask.js";
import * as detectors from "./detector.js";
import { Form } from "./form.js";
import { Groups } from "./groups.js";
import { Navigator } from "./navigator.js";
import { useColours } from "./plot.js";
import * as run from "./run.js";
import { Scan, withAxes } from "./scan.js";
import { Signal } from "./signal.js";
import { adopt, listen, set, state } from "./state.js";
import { bytes, count, element, number, plain } from "./words.js";

const byId = (id) => document.getElementById(id);

const KEYS = [
  ["Arrows in the image", "move the cursor by a step; with Shift by ten"],
  ["Home, End", "the first and the last position"],
  ["Space, Enter or a click", "pins the cursor or lets it go; Escape or a double click lets it go"],
  ["Arrows in the spectrum or frame", "move the detector, with Alt they change its size"],
  ["t", "tests the computation at the cursor"],
  ["r", "plans a run"],
  ["i, s", "goes to the image, to the spectrum or frame"],
  ["?", "shows this"],
];
/** How often what changes in the file is looked at. */
const LOOK = 1000;

const navigator = new Navigator();
const signal = new Signal();
const form = new Form(() => changedForm());
const groups = new Groups({
  show: (path) => showGroup(path),
  resume: (group) => resume(group),
  knows: (name) => processes.some((process) => process.process === name),
  removed: (path) => {
    if (state.image === path) set({ image: "sum", picture: 0 });
    refresh();
  },
});
const tests = new Newest();
let page = { may_run: false };
let info = { datasets: [], groups: [] };
let processes = [];
let scan = null;
let lastRun = null;

async function begin() {
  const said = address.read();
  drawKeys();
  theme(localStorage.getItem("theme"));
  byId("theme").addEventListener("click", () => theme(document.documentElement.classList.contains("dark") ? "light" : "dark"));
  byId("help").addEventListener("click", () => byId("keys").showModal());
  addEventListener("keydown", shortcut);
  addEventListener("resize", redraw);
  new ResizeObserver(redraw).observe(byId("navigator"));
  try {
    let list;
    let colours;
    [page, info, list, colours] = await Promise.all([get("page"), get("info"), get("processes"), get("colours")]);
    useColours(colours);
    processes = list.processes;
  } catch (error) {
    byId("navigator-says").textContent = error.message;
    return;
  }
  byId("file").textContent = page.file;
  document.title = `${page.file.split("/").at(-1)} · pixelmill`;
  offerDatasets();
  offerProcesses();
  listen(changed);
  address.listen(adopt);
  const usable = info.datasets.find((dataset) => dataset.path === said.dataset) ?? info.datasets.find((dataset) => dataset.positions) ?? info.datasets[0];
  if (usable) {
    if (!said.process) said.process = processes[0]?.command ?? "";
    adopt({ ...said, dataset: usable.path });
  } else byId("navigator-says").textContent = "There is no dataset in this file that can be computed on.";
  groups.show(info.groups, page.may_run);
  byId("run").hidden = !page.may_run;
  hear();
}

/** What has to be done since these have changed. */
function changed(names) {
  const has = (...any) => any.some((name) => names.has(name));
  if (has("dataset", "field", "axes")) chooseDataset();
  if (!scan) return;
  if (has("process")) chooseProcess();
  if (has("dataset", "field", "axes", "image") || (has("detector") && state.image === "detector")) {
    navigator.offer(scan, info.groups);
    navigator.load();
  } else if (has("detector")) navigator.offer(scan, info.groups);
  if (has("picture", "range")) navigator.draw();
  if (has("position")) {
    navigator.moved();
    showSteps();
    if (byId("follow").checked) test();
    else forget();
  }
  if (has("dataset", "field", "axes", "position")) signal.load();
  if (has("detector", "scale", "part")) signal.draw();
}

function redraw() {
  if (!scan) return;
  navigator.draw();
  signal.draw();
}

function offerDatasets() {
  const option = (dataset) => {
    const made = new Option(dataset.path, dataset.path);
    made.title = dataset.problem ?? "";
    return made;
  };
  byId("dataset").replaceChildren(...info.datasets.map(option));
  byId("dataset").addEventListener("change", (event) => set({ dataset: event.target.value, field: null, axes: "", image: "sum", picture: 0, detector: "", position: 0 }));
  byId("axes").addEventListener("change", (event) => set({ axes: event.target.value.replaceAll(" ", ""), image: "sum", picture: 0, position: 0 }));
  byId("field").addEventListener("change", (event) => set({ field: event.target.value, image: "sum", picture: 0 }));
}

function chooseDataset() {
  const found = info.datasets.find((dataset) => dataset.path === state.dataset);
  const lacksAxes = found && found.read !== "not at all" && !found.positions;
  byId("axes-label").hidden = !lacksAxes;
  byId("axes").value = state.axes;
  byId("axes").placeholder = found?.shape.length > 2 ? "0,1" : "0";
  const dataset = found?.positions ? found : found && withAxes(found, state.axes);
  byId("navigator-says").textContent = dataset ? "" : found?.problem ?? `there is no dataset ${state.dataset}`;
  scan = null;
  if (!dataset) {
    byId("dataset").value = state.dataset;
    navigator.clear();
    signal.clear();
    return;
  }
  scan = new Scan(dataset);
  byId("dataset").value = dataset.path;
  const fields = (dataset.fields ?? []).filter((field) => field.is_number);
  byId("field-label").hidden = !fields.length;
  byId("field").replaceChildren(...fields.map((field) => new Option(field.name, field.name)));
  if (fields.length && !state.field) set({ field: fields[0].name }, { isStep: false });
  byId("field").value = state.field ?? "";
  const quantity = `${plain(dataset.quantity || "values")}${dataset.units ? ` [${plain(dataset.units)}]` : ""}`;
  const size = `${count(dataset.positions)} positions × ${count(dataset.spectral_points)} values`;
  const what = [`${dataset.format}: ${quantity}`, dataset.element_type, size, dataset.bytes && bytes(dataset.bytes)].filter(Boolean).join(", ");
  byId("dataset-says").textContent = what;
  byId("right").setAttribute("aria-label", dataset.spectral_points > 1 ? "Spectrum" : "Value");
  if (state.position >= scan.positions) set({ position: 0 }, { isStep: false });
  navigator.offer(scan, info.groups);
  makeSteps();
}

/** A field for the step of each axis, so that any position can be typed. */
function makeSteps() {
  const steps = scan.isGrid ? scan.axes.map((axis, at) => [plain(axis.name), axis.length, at]).filter(([, length]) => length > 1) : [["Position", scan.positions, 0]];
  byId("steps").replaceChildren(
    ...steps.map(([name, length, at]) => {
      const label = element("label", `${name} `);
      const input = element("input", "", { type: "number", min: 0, max: length - 1, "data-axis": at });
      input.addEventListener("change", () => {
        const all = scan.stepsOf(state.position);
        all[at] = Number(input.value) || 0;
        set({ position: scan.positionAt(all) });
      });
      label.append(input);
      return label;
    })
  );
  showSteps();
}

function showSteps() {
  const steps = scan.stepsOf(state.position);
  for (const input of byId("steps").querySelectorAll("input")) {
    if (input !== document.activeElement || Number(input.value) !== steps[input.dataset.axis]) input.value = steps[input.dataset.axis];
  }
}

function offerProcesses() {
  byId("process").replaceChildren(...processes.map((process) => new Option(process.command, process.command)));
  byId("process").addEventListener("change", (event) => set({ process: event.target.value, parameters: "" }));
  byId("test").addEventListener("click", () => test());
  byId("follow").addEventListener("change", (event) => event.target.checked && test());
  byId("process-form").addEventListener("submit", (event) => {
    event.preventDefault();
    plan();
  });
  byId("use-detector").addEventListener("click", () => {
    const parameters = detectors.asMasks(signal.detector);
    if (parameters) set({ process: "masks", parameters: JSON.stringify(parameters) });
    chooseProcess();
  });
  run.stopper(said);
}

function chooseProcess() {
  const process = processes.find((process) => process.command === state.process) ?? processes[0];
  let parameters = {};
  try {
    parameters = JSON.parse(state.parameters || "{}");
  } catch {
    // An address that somebody has cut short.
  }
  byId("process").value = process.command;
  form.show(process, parameters);
  forget();
  byId("plan").hidden = true;
  said(null);
  if (byId("follow").checked) test();
}

function changedForm() {
  const parameters = Object.keys(form.parameters).length ? JSON.stringify(form.parameters) : "";
  set({ parameters }, { isStep: false });
  byId("plan").hidden = true;
  if (byId("follow").checked) test();
  else forget();
}

/** What is wrong with what was asked for, beside it. */
function said(error) {
  byId("process-says").textContent = error?.message ?? "";
}

/** What was tried is of something else by now. */
function forget() {
  signal.tried(null);
  byId("result").replaceChildren();
}

function test() {
  const pixel = state.position;
  const step = form.step(state, false);
  tests.ask(
    () => post("test", { ...step, pixel }),
    (answer) => {
      said(null);
      showResult(answer);
      signal.tried(answer);
    },
    (error) => {
      forget();
      said(error);
    }
  );
}

function showResult(answer) {
  const rows = answer.results.map((result) => {
    const row = element("tr");
    const values = result.values.slice(0, 6).map((value) => number(value, /64/.test(result.element_type) ? 12 : 8));
    if (result.values.length > 6) values.push("…");
    row.append(element("td", plain(result.name)), element("td", values.join(" "), { class: "number" }), element("td", plain(result.units)));
    return row;
  });
  const table = element("table", "", { "data-position": answer.position });
  table.append(...rows);
  const head = element("p", `${form.process.process} at ${scan.told(answer.position)}`);
  const more = [];
  if (answer.failure) more.push(element("p", `✗ it has failed: ${answer.failure}`, { class: "error" }));
  if (answer.spectrum?.model_missing) more.push(element("p", `only the data are drawn: ${answer.spectrum.model_missing}`, { class: "quiet" }));
  byId("result").replaceChildren(head, ...more, table);
}

async function plan(more = {}) {
  said(null);
  const step = { ...form.step(state, true), ...more };
  byId("run").disabled = true;
  try {
    const rehearsal = await post("rehearse", step);
    run.plan(rehearsal, {
      begin: () => {
        navigator.isChosen = false;
        post("run", step).catch(said);
      },
      show: showGroup,
    });
  } catch (error) {
    said(error);
  }
  byId("run").disabled = false;
}

function showGroup(path) {
  navigator.isChosen = true;
  set({ image: path, picture: 0 });
}

/** Fills the form with what a group was computed with, and plans to go on with it. */
function resume(group) {
  const process = processes.find((process) => process.process === group.process);
  if (!process) throw new Error(`there is no process ${group.process} in this program`);
  const of = group.source.includes(":/") ? null : group.source;
  set({ process: process.command, parameters: JSON.stringify(group.parameters), ...(of && of !== state.dataset ? { dataset: of } : {}) });
  chooseProcess();
  const { crop, along, allow_rounding, corrections = {} } = group;
  const options = { crop, along, allow_rounding, ...corrections };
  form.setOptions(Object.fromEntries(Object.entries(options).filter(([, value]) => value)));
  return plan({ resume: group.group });
}

let isRefreshing = false;
let isStale = false;

/** Looks at the file again, once in a while. */
async function refresh() {
  isStale = true;
  if (isRefreshing) return;
  isRefreshing = true;
  while (isStale) {
    isStale = false;
    try {
      info = await get("info");
      byId("groups-says").textContent = "";
      groups.show(info.groups, page.may_run);
      follow();
      if (scan) navigator.offer(scan, info.groups);
      if (state.image !== "sum" && state.image !== "detector") navigator.load();
    } catch (error) {
      byId("groups-says").textContent = error.message;
    }
    await new Promise((done) => setTimeout(done, LOOK));
  }
  isRefreshing = false;
}

/** The map of a run that goes on is shown, unless somebody has chosen something else since it began. */
function follow() {
  const group = lastRun?.group;
  if (!group || navigator.isChosen || lastRun.state === "preparing") return;
  if (info.groups.some((known) => known.group === group)) set({ image: group, picture: 0 }, { isStep: false });
}

function hear() {
  const events = new EventSource("api/events");
  const connection = byId("connection");
  events.addEventListener("open", () => {
    connection.textContent = "● connected";
    connection.classList.remove("lost");
    refresh();
  });
  events.addEventListener("error", () => {
    connection.textContent = "○ the server has gone; tries again";
    connection.classList.add("lost");
    // A browser gives up where it is refused.
    if (events.readyState === EventSource.CLOSED) setTimeout(hear, 2 * LOOK);
  });
  events.addEventListener("survey", (event) => navigator.heard(JSON.parse(event.data)));
  events.addEventListener("file", () => refresh());
  events.addEventListener("run", (event) => {
    const told = JSON.parse(event.data);
    if (told && told.run !== lastRun?.run && told.state !== "ended") navigator.isChosen = false;
    lastRun = told;
    run.progress(told);
    if (told?.state === "ended" || !info.groups.some((group) => group.group === told?.group)) refresh();
  });
}

function theme(name) {
  const isDark = name ? name === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  if (name) localStorage.setItem("theme", name);
  document.documentElement.classList.toggle("dark", isDark);
  redraw();
}

function drawKeys() {
  byId("keys-list").replaceChildren(...KEYS.flatMap(([key, does]) => [element("dt", key), element("dd", does)]));
}

function shortcut(event) {
  const isTyping = event.target.matches("input, select, textarea, button, summary") || event.ctrlKey || event.metaKey || event.altKey;
  const does = { t: test, r: plan, i: () => byId("navigator").focus(), s: () => byId("signal").focus(), "?": () => byId("keys").showModal() }[event.key];
  if (isTyping || !does || (event.key === "r" && !page.may_run)) return;
  event.preventDefault();
  does();
}

begin();
