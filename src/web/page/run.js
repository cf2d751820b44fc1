// Runs: what one would do, begun after that is shown, and how far one is, whoever has begun it.

import { post } from "./ask.js";
import { bytes, count, counted, duration, element } from "./words.js";

const byId = (id) => document.getElementById(id);

const BEGINS = {
  new: "New results: a group is made for them.",
  partial: "Goes on with partial results",
  complete: "These results are there already: nothing would be computed",
};

const READ = {
  raw: "straight from the file",
  transposed: "straight from the file, and turned round",
  chunks: "chunk by chunk, on all workers",
  parts: "straight from the parts that it is put together from",
  library: "by the HDF5 library",
  "not at all": "not at all",
};

function again({ decoded_times: times, some_decoded_again: isSome }) {
  if (times > 1) return `; each chunk ${times} times, more memory would help`;
  return isSome ? "; some chunks more than once, more memory would help" : "";
}

/** Shows what a run would do, and asks whether to begin it. */
export function plan(rehearsal, { begin, show }) {
  const box = byId("plan");
  const group = rehearsal.group ? ` in ${rehearsal.group}` : "";
  const rows = [
    ["positions", `${count(rehearsal.pending)} of ${count(rehearsal.positions)} to compute`],
    ["takes", `some ${duration(rehearsal.estimated_seconds)} on ${counted(rehearsal.workers, "worker")}, writing aside`],
    ["memory", `${bytes(rehearsal.memory)} at most`],
    ["results take", `${bytes(rehearsal.output_bytes)} in ${rehearsal.file}`],
    ["is read", READ[rehearsal.read] + again(rehearsal)],
  ];
  const table = element("table");
  rows.forEach(([name, said]) => {
    const row = element("tr");
    row.append(element("th", name), element("td", said));
    table.append(row);
  });
  const buttons = element("div", "", { class: "buttons" });
  const start = element("button", rehearsal.begins === "partial" ? "Go on" : "Start", { type: "button", id: "start", class: "main" });
  const cancel = element("button", "Cancel", { type: "button", id: "cancel" });
  start.addEventListener("click", () => {
    box.hidden = true;
    begin();
  });
  cancel.addEventListener("click", () => (box.hidden = true));
  if (rehearsal.begins === "complete") {
    const look = element("button", "Show them", { type: "button", id: "show-them", class: "main" });
    look.addEventListener("click", () => {
      box.hidden = true;
      show(rehearsal.group);
    });
    buttons.append(look, cancel);
  } else buttons.append(start, cancel);
  const head = element("p", `${rehearsal.process}: ${BEGINS[rehearsal.begins]}${group}`);
  const notes = rehearsal.unused.map((said) => element("p", `Not used: ${said}`, { class: "quiet" }));
  box.replaceChildren(element("h2", "Plan"), head, ...(rehearsal.begins === "complete" ? [] : [table]), ...notes, buttons);
  box.hidden = false;
  box.scrollIntoView({ block: "nearest" });
  buttons.querySelector("button").focus({ preventScroll: true });
}

/** Shows how far a run is. */
export function progress(run) {
  byId("running").hidden = !run;
  if (!run) return;
  const isOver = run.state === "ended";
  if (byId("running").dataset.run !== String(run.run)) byId("running").parentElement.scrollTop = 0;
  byId("running").dataset.state = run.state;
  byId("running").dataset.run = run.run;
  byId("running-title").textContent = { preparing: "Run is prepared", computing: "Run", stopping: "Run is stopping", ended: "Run has ended" }[run.state];
  byId("running-what").textContent = `${run.process}${run.group ? ` into ${run.group}` : ""}`;
  const bar = byId("progress");
  bar.value = run.pending ? run.done / run.pending : isOver && !run.outcome?.message ? 1 : 0;
  byId("running").dataset.done = run.done;
  byId("running-says").textContent = isOver ? ended(run) : goesOn(run);
  if (byId("running-notes").childElementCount !== run.notes.length) byId("running-notes").replaceChildren(...run.notes.map((note) => element("li", note)));
  byId("stop").hidden = isOver;
  byId("stop").disabled = run.state === "stopping";
}

function goesOn(run) {
  if (run.state === "preparing") return "looks for earlier results";
  const words = [`${count(run.done)} of ${counted(run.pending, "position")}`];
  if (run.rate !== null) words.push(`${count(run.rate < 10 ? Number(run.rate.toPrecision(2)) : Math.round(run.rate))} positions/s`, `${bytes(run.bytes / Math.max(run.seconds, 1e-9))}/s`, `${duration(run.seconds_left)} left`);
  else if (run.estimated_seconds !== null) words.push(`some ${duration(run.estimated_seconds)} in all`);
  if (run.failed) words.push(`${count(run.failed)} failed`);
  if (run.state === "stopping") words.push("finishing what is in hand");
  return words.join(", ");
}

function ended(run) {
  const { outcome } = run;
  if (!outcome) return "";
  if (outcome.message) return `✗ It has failed: ${outcome.message}`;
  return outcome.computations
    .map((one) => {
      const how = { existing: "was computed before; the results are reused", finished: "is done", stopped: "was stopped; the same run goes on with it" }[one.outcome];
      const failed = one.failures.positions ? `, ${count(one.failures.positions)} failed` : "";
      const took = one.report ? ` in ${duration(one.report.seconds)}` : "";
      return `${one.process} ${how}: ${count(one.completed)} of ${counted(one.positions, "position")}${took}${failed}`;
    })
    .join("; ");
}

/** What tells of a failure to stop. */
export function stopper(failed) {
  byId("stop").addEventListener("click", () => post("stop", {}).catch(failed));
}
