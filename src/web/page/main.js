// The page: what belongs to what.

import * as address from "./address.js";
import { Newest, get, post } from "./ask.js";
import * as detectors from "./detector.js";
import { parsed, written } from "./exact.js";
import { Form } from "./form.js";
import { Groups } from "./groups.js";
import { Navigator } from "./navigator.js";
import { tell } from "./notice.js";
import { useColours } from "./plot.js";
import * as run from "./run.js";
import { Scan, withAxes } from "./scan.js";
import { Signal } from "./signal.js";
import { adopt, listen, set, state } from "./state.js";
import { bytes, count, counted, element, number, offer, plain } from "./words.js";

const byId = (id) => document.getElementById(id);

const KEYS = [
  ["Arrows in the image", "move the cursor by a step; with Shift by ten"],
  ["Page up, Page down", "go to the image before and behind, of a scan of more than two axes"],
  ["Home, End", "the first and the last position"],
  ["Space, Enter or a click", "pins the cursor or lets it go; Escape or a double click lets it go"],
  ["Arrows in the spectrum or frame", "read values out; a detector is moved by them, and resized with Alt"],
  ["t", "tests the computation at the cursor"],
  ["r", "plans a run"],
  ["i, s", "goes to the image, to the spectrum or frame"],
  ["?", "shows this"],
];
/** How often what changes in the file is looked at, and a server that has gone is sought, in milliseconds. */
const LOOK = 1000;
/** How long nobody may have typed before what he has typed is tried. */
const PAUSE = 200;
/** Of more values of a result than that the first ones are shown. */
const MOST_VALUES = 6;

const navigator = new Navigator(() => makeSteps());
const signal = new Signal();
const form = new Form(() => changedForm());
const groups = new Groups({
  show: (path) => showGroup(path),
  resume: (group) => resume(group),
  knows: (name) => processes.some((process) => process.process === name),
  removed: (paths) => {
    if (paths.includes(state.image)) set({ image: "sum", picture: 0 });
    refresh();
  },
});
const tests = new Newest();
let page = { may_run: false };
let info = { datasets: [], groups: [] };
let processes = [];
let scan = null;
let seenNature = "";
let lastRun;
let seenRun = null;
let isTested = false;

const later = (time) => new Promise((done) => setTimeout(done, time));

/** Asks for what the page is made of, until the server answers. */
async function made() {
  for (;;) {
    try {
      const [of, list, colours] = await Promise.all([get("page"), get("processes"), get("colours")]);
      [page, processes, info] = [of, list.processes, await get("info")];
      useColours(colours);
      connected(true);
      byId("navigator-says").textContent = "";
      return;
    } catch (error) {
      byId("navigator-says").textContent = error.message;
      connected(false);
      await later(2 * LOOK);
    }
  }
}

async function begin() {
  const said = address.read();
  theme(kept());
  byId("keys-list").replaceChildren(...KEYS.flatMap(([key, does]) => [element("dt", key), element("dd", does)]));
  byId("theme").addEventListener("click", () => theme(document.documentElement.classList.contains("dark") ? "light" : "dark"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => theme(kept()));
  byId("help").addEventListener("click", () => byId("keys").showModal());
  await made();
  addEventListener("keydown", shortcut);
  new ResizeObserver(redraw).observe(byId("navigator"));
  byId("file").textContent = byId("file").title = page.file;
  document.title = `${page.file.split("/").at(-1)} · pixelmill`;
  offerDatasets();
  listenToDatasets();
  offerProcesses();
  listen(changed);
  address.listen(adopt);
  navigator.isChosen = (said.image ?? "sum") !== "sum";
  const usable = info.datasets.find((dataset) => dataset.path === said.dataset) ?? info.datasets.find((dataset) => dataset.positions) ?? info.datasets[0];
  const knows = (name) => processes.some((process) => process.command === name);
  if (usable && said.dataset && said.dataset !== usable.path) tell(`The link leads to ${said.dataset}, which isn't in this file; ${usable.path} is shown instead.`);
  if (said.process && !knows(said.process)) tell(`The link leads to the process ${said.process}, which isn't in this program.`);
  if (usable) adopt({ ...said, dataset: usable.path, process: knows(said.process) ? said.process : processes[0]?.command });
  else byId("navigator-says").textContent = "There is no dataset in this file that can be computed on.";
  groups.show(info.groups, page.may_run, state.image);
  byId("run").hidden = !page.may_run;
  hear();
}

/** What has to be done since these have changed. */
function changed(names) {
  const has = (...any) => any.some((name) => names.has(name));
  if (has("dataset", "field", "axes")) chooseDataset();
  if (has("process") || (has("parameters") && state.parameters !== form.written)) chooseProcess();
  if (!scan) return;
  if (has("dataset", "field", "axes", "image") || (has("detector") && state.image === "detector")) {
    navigator.offer(scan, info.groups);
    navigator.load();
  } else if (has("detector")) navigator.offer(scan, info.groups);
  if (has("image")) groups.show(info.groups, page.may_run, state.image);
  if (has("picture", "range")) navigator.draw();
  if (has("position")) {
    navigator.moved();
    showSteps();
  }
  if (has("dataset", "field", "axes", "position")) signal.load();
  if (has("dataset", "field", "axes")) isTested = false;
  if (has("dataset", "field", "axes", "position", "spectrum")) again();
  if (has("detector", "scale", "part", "spectrum", "frame_range")) signal.draw();
}

function redraw() {
  if (!scan) return;
  navigator.draw();
  signal.draw();
}

function offerDatasets() {
  offer(byId("dataset"), info.datasets.map(({ path, problem }) => [problem ? `${path} (can't be used as it is)` : path, path, problem ?? ""]), state.dataset ?? "");
}

function listenToDatasets() {
  byId("dataset").addEventListener("change", (event) => set({ dataset: event.target.value, field: null, axes: "", image: "sum", picture: 0, detector: "", spectrum: "", position: 0 }));
  byId("axes").addEventListener("change", (event) => set({ axes: event.target.value.replaceAll(" ", ""), image: "sum", picture: 0, detector: "", spectrum: "", position: 0 }));
  byId("field").addEventListener("change", (event) => set({ field: event.target.value, image: "sum", picture: 0 }));
}

/** What of a dataset makes others of what is shown of it. */
const nature = (dataset) => (dataset ? written([dataset.shape, dataset.element_type, dataset.positions, dataset.spectral_points, dataset.position_dimensions, dataset.fields, dataset.problem]) : "");

function chooseDataset() {
  const found = info.datasets.find((dataset) => dataset.path === state.dataset);
  seenNature = nature(found);
  const lacksAxes = found && found.read !== "not at all" && !found.positions;
  byId("axes-label").hidden = !lacksAxes;
  byId("axes").value = state.axes;
  byId("axes").placeholder = found?.shape.length > 2 ? "0,1" : "0";
  const dataset = found?.positions ? found : found && withAxes(found, state.axes);
  byId("navigator-says").textContent = dataset ? "" : found?.problem ?? `there is no dataset ${state.dataset}`;
  scan = null;
  if (!dataset) {
    byId("dataset").value = state.dataset;
    byId("dataset-says").textContent = "";
    byId("steps").replaceChildren();
    navigator.clear();
    signal.clear();
    return;
  }
  // What is drawn is of another one.
  navigator.clear();
  signal.clear();
  scan = new Scan(dataset);
  byId("dataset").value = dataset.path;
  const fields = (dataset.fields ?? []).filter((field) => field.is_number);
  byId("field-label").hidden = !fields.length;
  if (fields.length && !state.field) state.field = fields[0].name;
  offer(byId("field"), fields.map(({ name }) => [name, name]), state.field ?? "");
  const quantity = `${plain(dataset.quantity || "values")}${dataset.units ? ` [${plain(dataset.units)}]` : ""}`;
  const size = `${counted(dataset.positions, "position")} × ${counted(dataset.spectral_points, "value")}`;
  const what = [`${dataset.format}: ${quantity}`, dataset.element_type, size, dataset.bytes && bytes(dataset.bytes)].filter(Boolean).join(", ");
  byId("dataset-says").textContent = what;
  byId("dataset-says").title = [what, ...(dataset.notes ?? [])].join("\n");
  byId("right").setAttribute("aria-label", dataset.spectral_points > 1 ? "Spectrum" : "Value");
  if (state.position >= scan.positions) set({ position: 0 }, { isStep: false });
  navigator.offer(scan, info.groups);
  makeSteps();
}

/** A field for the step of each axis, so that any position can be typed. */
function makeSteps() {
  const steps = scan.isGrid ? scan.long.map((at) => [scan.nameOf(at), scan.axes[at].length, at]) : [["Position", scan.positions, 0]];
  byId("steps").replaceChildren(
    ...steps.map(([name, length, at]) => {
      const label = element("label", `${name} `);
      const input = element("input", "", { type: "number", min: 0, max: length - 1, "data-axis": at });
      input.addEventListener("change", () => {
        const all = scan.stepsOf(state.position);
        all[at] = Math.round(Number(input.value)) || 0;
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
  offer(byId("process"), processes.map(({ command, summary }) => [command, command, summary]), state.process);
  byId("process").addEventListener("change", (event) => set({ process: event.target.value, parameters: "" }));
  byId("test").addEventListener("click", test);
  byId("follow").addEventListener("change", (event) => event.target.checked && test());
  byId("process-form").addEventListener("submit", (event) => {
    event.preventDefault();
    plan();
  });
  byId("use-detector").addEventListener("click", () => {
    const parameters = detectors.asMasks(signal.detector);
    if (parameters) set({ process: "masks", parameters: written(parameters) });
  });
  run.stopper(said);
}

function chooseProcess() {
  const process = processes.find((process) => process.command === state.process) ?? processes[0];
  let parameters = {};
  try {
    parameters = parsed(state.parameters || "{}");
  } catch {
    // An address that somebody has cut short.
  }
  byId("process").value = process.command;
  form.show(process, parameters);
  byId("plan").hidden = true;
  said(null);
  again();
}

let typed = 0;

function changedForm() {
  set({ parameters: form.written }, { isStep: false });
  byId("plan").hidden = true;
  clearTimeout(typed);
  typed = setTimeout(again, PAUSE);
}

/** What is wrong with what was asked for, beside it. */
function said(error) {
  byId("process-says").textContent = error?.message ?? "";
  form.wrong(error?.message);
}

/** What was tried is of something else by now: it is tried again if the user wants that, else forgotten. */
function again() {
  if (isTested && scan && byId("follow").checked) test();
  else forget();
}

function forget() {
  signal.tried(null);
  byId("result").replaceChildren();
}

function test() {
  isTested = true;
  const { process } = form;
  const { parameters } = state;
  tests.ask(
    async () => post("test", { ...form.step(state, false), pixel: state.position, spectrum: Number(state.spectrum) || 0 }),
    (answer) => {
      // Of what the form had before, which is asked for again or forgotten.
      if (process !== form.process || parameters !== state.parameters) return;
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
  const rows = answer.results.map(({ name, units, values }) => {
    const row = element("tr");
    const first = values.slice(0, MOST_VALUES).map((value) => number(value));
    if (values.length > MOST_VALUES) first.push(`… (${count(values.length)})`);
    const shown = element("td", first.join("  "), { class: "number", title: values.slice(0, 200).map((value) => number(value)).join("  ") });
    row.append(element("td", plain(name)), shown, element("td", plain(units)));
    return row;
  });
  const table = element("table", "", { "data-position": answer.position });
  table.append(...rows);
  const head = element("p", `${form.process.process} at position ${count(answer.position)}`);
  const more = [];
  if (answer.failure) more.push(element("p", `✗ it has failed: ${answer.failure}`, { class: "error" }));
  if (answer.spectrum?.model_missing) more.push(element("p", `only the data are drawn: ${answer.spectrum.model_missing}`, { class: "quiet" }));
  byId("result").replaceChildren(head, ...more, table);
}

async function plan(more = {}) {
  said(null);
  byId("run").disabled = true;
  try {
    const step = { ...form.step(state, true), ...more };
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
  if (group.source_file !== info.file) {
    const where = group.source_file ? `another file, ${group.source_file}` : "a file that isn't there any more";
    throw new Error(`it was computed from ${where}; only the command line can go on with it`);
  }
  const { source: dataset, field = null } = group;
  if (dataset !== state.dataset) set({ dataset, field, axes: "", detector: "", spectrum: "", position: 0 });
  else if (field !== null) set({ field });
  set({ process: process.command, parameters: written(group.parameters) });
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
      groups.show(info.groups, page.may_run, state.image);
      beginAnew();
      follow();
      if (scan) navigator.offer(scan, info.groups);
      const isRunning = lastRun && lastRun.state !== "ended";
      const isSurveyed = state.image === "sum" || state.image === "detector";
      // A run of this page's writes results alone; somebody else may have written data.
      if (scan && !(isSurveyed && isRunning)) navigator.load();
      if (scan && !isRunning) signal.load();
    } catch (error) {
      byId("groups-says").textContent = error.message;
    }
    await later(LOOK);
  }
  isRefreshing = false;
}

/** Shows a dataset from the beginning that isn't by now what it was: somebody else has written it anew. */
function beginAnew() {
  offerDatasets();
  const found = info.datasets.find((dataset) => dataset.path === state.dataset);
  if (!state.dataset || nature(found) === seenNature) return;
  tell(found ? `${state.dataset} has become another dataset; it is shown as it is now.` : `${state.dataset} isn't in this file any more.`);
  isTested = false;
  set({ detector: "", spectrum: "", image: "sum", picture: 0 }, { isStep: false });
  chooseDataset();
  forget();
  byId("plan").hidden = true;
}

/** The map of a run that goes on is shown, unless somebody has chosen something else since it began. */
function follow() {
  const group = lastRun?.group;
  if (!group || navigator.isChosen || lastRun.state === "preparing" || lastRun.run !== seenRun) return;
  if (info.groups.some((known) => known.group === group)) set({ image: group, picture: 0 }, { isStep: false });
}

function connected(isThere, why = "the server has gone; tries again") {
  const connection = byId("connection");
  const told = isThere ? "● connected" : `○ ${why}`;
  if (connection.textContent !== told) connection.textContent = told;
  const isBack = isThere && connection.classList.contains("lost");
  connection.classList.toggle("lost", !isThere);
  return isBack;
}

function hear() {
  const events = new EventSource("api/events");
  events.addEventListener("open", () => {
    const isBack = connected(true);
    if (isBack && scan) {
      navigator.load();
      signal.load();
    }
    refresh();
  });
  events.addEventListener("error", async () => {
    connected(false);
    if (events.readyState !== EventSource.CLOSED) return;
    // A browser gives up where it is refused: another server may be there by now, which has another address.
    await get("page").catch((error) => connected(false, error.message));
    await later(2 * LOOK);
    hear();
  });
  events.addEventListener("survey", (event) => navigator.heard(JSON.parse(event.data)));
  events.addEventListener("file", () => refresh());
  events.addEventListener("run", (event) => {
    const told = JSON.parse(event.data);
    // Who joins a run by a link sees what the link says.
    const isNew = told && told.run !== seenRun && (told.state !== "ended" || lastRun !== undefined);
    if (isNew) [seenRun, navigator.isChosen] = [told.run, navigator.isChosen && lastRun === undefined];
    const isOver = told?.state === "ended" && (lastRun?.state !== "ended" || lastRun.run !== told.run);
    lastRun = told;
    run.progress(told);
    if (isOver || (told?.group && !info.groups.some((group) => group.group === told.group))) refresh();
  });
}

/** What the user has chosen in this browser; nothing where it keeps nothing. */
function kept() {
  try {
    return localStorage.getItem("theme");
  } catch {
    return null;
  }
}

function theme(name) {
  const isDark = name ? name === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  try {
    if (name) localStorage.setItem("theme", name);
  } catch {
    // It lasts as long as the page then.
  }
  document.documentElement.classList.toggle("dark", isDark);
  redraw();
}

function shortcut(event) {
  const isTyping = event.target.matches('input:not([type="checkbox"]), select, textarea') || event.ctrlKey || event.metaKey || event.altKey || byId("keys").open;
  const does = { t: test, r: () => plan(), i: () => byId("navigator").focus(), s: () => byId("signal").focus(), "?": () => byId("keys").showModal() }[event.key];
  if (isTyping || !does || (event.key === "r" && !page.may_run)) return;
  event.preventDefault();
  does();
}

begin();
