// The results groups of the file: what they are, how far, and what can be done with them.

import { get, post } from "./ask.js";
import { written } from "./exact.js";
import { bytes, count, counted, element, plain } from "./words.js";

const byId = (id) => document.getElementById(id);

export class Groups {
  #made = new Map();

  /** `act` has what is done with a group elsewhere: `show`, `resume`, and what follows when one was `removed`; and whether
   * it `knows` a process. */
  constructor(act) {
    this.act = act;
  }

  /** Shows them; those that are there already stay where they are, so that nothing is pulled away from under a mouse or a focus. */
  show(groups, mayRun, shown) {
    const boxes = groups.map((group) => {
      const made = this.#made.get(group.group) ?? new Box(group.group, this.act);
      this.#made.set(group.group, made);
      made.show(group, mayRun, shown === group.group);
      return made.box;
    });
    for (const path of this.#made.keys()) if (!groups.some((group) => group.group === path)) this.#made.delete(path);
    const now = [...byId("groups").children];
    if (!boxes.length) byId("groups").replaceChildren(element("p", "There are none yet.", { class: "quiet" }));
    else if (now.length !== boxes.length || boxes.some((box, at) => box !== now[at])) byId("groups").replaceChildren(...boxes);
  }
}

/** One of them. */
class Box {
  #group = null;
  #head = element("h3");
  #told = element("span");
  #bar = element("progress");
  #failures = element("div");
  #list = element("dl");
  #answer = element("div", "", { class: "answer", role: "status" });
  #buttons = {};

  constructor(path, act) {
    this.path = path;
    this.act = act;
    this.box = element("article", "", { class: "group", "data-group": path });
    this.#bar.setAttribute("aria-label", `how much of ${path} is done`);
    const state = element("div", "", { class: "state" });
    state.append(this.#told, this.#bar);
    const details = element("details");
    details.append(element("summary", "Where it comes from"), this.#list);
    const buttons = element("div", "", { class: "buttons" });
    buttons.append(
      this.#button("Show", "show", () => act.show(path)),
      this.#button("Resume", "resume", () => act.resume(this.#group)),
      this.#button("Verify", "verify", () => this.#verify()),
      this.#button("How made", "commands", () => this.#commands()),
      this.#button("Remove …", "remove", () => this.#remove())
    );
    this.box.append(this.#head, state, this.#failures, details, buttons, this.#answer);
  }

  #button(name, what, does) {
    const button = element("button", name, { type: "button", "data-action": what, "aria-label": `${name} ${this.path}` });
    button.addEventListener("click", async () => {
      button.disabled = true;
      try {
        await does();
      } catch (error) {
        this.#say(element("p", error.message, { class: "error" }));
      }
      button.disabled = false;
    });
    this.#buttons[what] = button;
    return button;
  }

  show(group, mayRun, isShown) {
    this.#group = group;
    const done = group.completed ?? 0;
    const isWhole = group.missing === null && group.completed === group.positions;
    const told = group.missing ?? (group.completed === null ? "nothing tells how much of it is done" : isWhole ? "complete" : `partial: ${count(done)} of ${counted(group.positions, "position")}`);
    this.#head.textContent = `${group.process}: ${this.path}`;
    this.#told.textContent = `${isWhole ? "✓" : "◔"} ${told}`;
    this.#told.className = isWhole ? "done" : "";
    this.#bar.hidden = isWhole || !group.positions || group.completed === null;
    [this.#bar.max, this.#bar.value] = [group.positions || 1, done];
    this.box.classList.toggle("shown", isShown);
    this.box.dataset.completed = group.completed ?? "";
    this.box.dataset.hash = group.parameter_hash;
    const reasons = group.failures.reasons.map(({ message, positions }) => element("p", `✗ ${count(positions)} failed: ${message}`, { class: "error" }));
    if (group.is_provisional) reasons.push(element("p", "It was computed from results that weren't all there.", { class: "note" }));
    replace(this.#failures, reasons);
    replace(this.#list, this.#details(group));
    this.#buttons.resume.hidden = isWhole || !mayRun || !this.act.knows(group.process);
    this.#buttons.remove.hidden = !mayRun;
  }

  #details(group) {
    const rows = [
      ["computed from", group.source + (group.source_file ? ` of ${group.source_file}` : "")],
      ["field", group.field],
      ["parameters", Object.entries(group.parameters).map(([name, value]) => `${name} = ${written(value)}`).join(", ") || "none"],
      ["part", group.crop && `${group.crop}, along ${(group.along ?? []).join(", ")}`],
      ["corrections", Object.entries(group.corrections ?? {}).filter(([, of]) => of).map(([name, of]) => `${name.replaceAll("_", " ")} ${of}`).join(", ")],
      ["hash", group.parameter_hash || "none: another program's"],
      ["created", group.created],
      ["last run", group.last_run],
      ["failed", group.failed.slice(0, 8).map(({ position, message }) => `${count(position)}: ${message}`).join("; ") + (group.failed.length > 8 ? "; …" : "")],
    ];
    return rows.filter(([, value]) => value).flatMap(([name, value]) => [element("dt", name), element("dd", plain(value))]);
  }

  /** What was answered about it. */
  #say(...elements) {
    this.#answer.replaceChildren(...elements);
  }

  async #verify() {
    this.#say(element("p", "computes some of it again …", { class: "note" }));
    const answer = await post("verify", { group: this.path, sample: 100 });
    const isSame = !answer.different.length && answer.same_data !== false && !answer.changed;
    const words = [`${count(answer.checked)} of ${counted(answer.completed, "completed position")} ${answer.checked === 1 ? "was" : "were"} computed again: `];
    words.push(answer.different.length ? `${count(answer.different.length)} give something else` : "all are the same, bit by bit");
    if (answer.same_data === false) words.push("; the data aren't those that it was computed from");
    if (answer.same_data) words.push("; the data are those that it was computed from");
    if (answer.changed) words.push(`; ${answer.changed}`);
    this.#say(element("p", (isSame ? "✓ " : "✗ ") + words.join(""), { class: isSame ? "note done" : "note error" }));
  }

  async #commands() {
    const { commands } = await get("commands", { group: this.path });
    const lines = commands.flatMap(({ notes, command }) => [...notes.map((note) => `# ${note}`), ...(command ? [command] : [])]);
    const text = element("pre", lines.join("\n"), { tabindex: 0 });
    const copy = element("button", "Copy", { type: "button", "data-action": "copy" });
    copy.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(`${lines.join("\n")}\n`);
        copy.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(text);
        copy.textContent = "Now press Ctrl+C";
      }
    });
    this.#say(text, copy);
  }

  async #remove() {
    const plan = await post("remove", { group: this.path, with_dependents: true, dry_run: true });
    if (plan.obstacles.length) {
      this.#say(element("p", "It can't be removed:", { class: "error" }), ...plan.obstacles.map((said) => element("p", said, { class: "error" })));
      return;
    }
    const goes = plan.removes.map(({ state, depends, bytes: size }) => element("li", `${state.group} (${bytes(size)})${depends ? `: it ${depends}` : ""}`));
    const list = element("ul");
    list.append(...goes, ...plan.links.map((link) => element("li", `${link}: a link into it`)));
    const buttons = element("div", "", { class: "buttons" });
    const no = element("button", "Keep", { type: "button", "data-action": "keep" });
    no.addEventListener("click", () => {
      this.#say();
      this.#buttons.remove.focus();
    });
    const yes = this.#button(plan.removes.length > 1 ? `Remove all ${plan.removes.length}` : "Remove it", "remove-now", async () => {
      const groups = plan.removes.map(({ state }) => state.group);
      await post("remove", { group: this.path, with_dependents: true, dry_run: false, seen: [...groups, ...plan.links] });
      this.#say();
      this.act.removed(groups);
    });
    buttons.append(yes, no);
    this.#say(element("p", "This can't be undone. It removes:"), list, buttons);
    no.focus();
  }
}

/** Puts other elements into a box, unless they say what it says already. */
function replace(box, elements) {
  const said = (all) => [...all].map((one) => one.textContent).join("\n");
  if (said(elements) !== said(box.children)) box.replaceChildren(...elements);
}
