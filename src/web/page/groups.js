// The results groups of the file: what they are, how far, and what can be done with them.

import { get, post } from "./ask.js";
import { bytes, count, element, plain } from "./words.js";

const byId = (id) => document.getElementById(id);

export class Groups {
  #open = new Set();
  #said = new Map();

  /** `act` has what is done with a group elsewhere: `show`, `resume`, and what follows when one was `removed`; and whether
   * it `knows` a process. */
  constructor(act) {
    this.act = act;
  }

  show(groups, mayRun) {
    const shown = groups.map((group) => this.#one(group, mayRun));
    byId("groups").replaceChildren(...(shown.length ? shown : [element("p", "There are none yet.", { class: "quiet" })]));
  }

  #one(group, mayRun) {
    const path = group.group;
    const box = element("article", "", { class: "group", "data-group": path });
    const done = group.completed ?? 0;
    const isWhole = group.missing === null && group.completed === group.positions;
    const told = group.missing ?? (group.completed === null ? "nothing tells how much of it is done" : isWhole ? "complete" : `partial: ${count(done)} of ${count(group.positions)} positions`);
    const state = element("div", "", { class: "state" });
    state.append(element("span", `${isWhole ? "✓ " : "◔ "}${told}`, { class: isWhole ? "done" : "" }));
    if (!isWhole && group.positions) {
      state.append(element("progress", "", { max: group.positions, value: done, "aria-label": `how much of ${path} is done` }));
    }
    box.append(element("h3", `${group.process}: ${path}`), state);
    for (const { message, positions } of group.failures.reasons) {
      box.append(element("p", `✗ ${count(positions)} failed: ${message}`, { class: "error" }));
    }
    box.append(this.#details(group), this.#buttons(group, isWhole, mayRun), this.#answer(path));
    return box;
  }

  #details(group) {
    const details = element("details");
    details.open = this.#open.has(group.group);
    details.addEventListener("toggle", () => (details.open ? this.#open.add(group.group) : this.#open.delete(group.group)));
    const list = element("dl");
    const rows = [
      ["computed from", group.source],
      ["parameters", Object.entries(group.parameters).map(([name, value]) => `${name} = ${JSON.stringify(value)}`).join(", ") || "none"],
      ["hash", group.parameter_hash || "none: another program's"],
      ["created", group.created],
      ["last run", group.last_run],
      ["failed", group.failed.slice(0, 8).map(({ position, message }) => `${position}: ${message}`).join("; ")],
    ];
    for (const [name, value] of rows.filter(([, value]) => value)) list.append(element("dt", name), element("dd", plain(value)));
    details.append(element("summary", "Where it comes from"), list);
    return details;
  }

  #buttons(group, isWhole, mayRun) {
    const path = group.group;
    const buttons = element("div", "", { class: "buttons" });
    const add = (name, what, does) => {
      const button = element("button", name, { type: "button", "data-action": what, "aria-label": `${name} ${path}` });
      button.addEventListener("click", async () => {
        button.disabled = true;
        try {
          await does();
        } catch (error) {
          this.#say(path, [element("p", error.message, { class: "error" })]);
        }
        button.disabled = false;
      });
      buttons.append(button);
    };
    add("Show", "show", () => this.act.show(path));
    if (!isWhole && mayRun && this.act.knows(group.process)) add("Resume", "resume", () => this.act.resume(group));
    add("Verify", "verify", () => this.#verify(path));
    add("How made", "commands", () => this.#commands(path));
    if (mayRun) add("Remove …", "remove", () => this.#remove(path));
    return buttons;
  }

  /** What was answered about a group, which stays when groups are drawn anew. */
  #answer(path) {
    const box = element("div", "", { class: "answer", role: "status" });
    box.replaceChildren(...(this.#said.get(path) ?? []));
    return box;
  }

  #say(path, elements) {
    this.#said.set(path, elements);
    const boxes = [...byId("groups").querySelectorAll(".group")];
    boxes.find((box) => box.dataset.group === path)?.querySelector(".answer").replaceChildren(...elements);
  }

  async #verify(path) {
    this.#say(path, [element("p", "computes some of it again …", { class: "note" })]);
    const answer = await post("verify", { group: path, sample: 100 });
    const isSame = !answer.different.length && answer.same_data !== false && !answer.changed;
    const words = [`${count(answer.checked)} of ${count(answer.completed)} completed positions were computed again: `];
    words.push(answer.different.length ? `${count(answer.different.length)} give something else` : "all are the same, bit by bit");
    if (answer.same_data === false) words.push("; the data aren't those that it was computed from");
    if (answer.same_data) words.push("; the data are those that it was computed from");
    if (answer.changed) words.push(`; ${answer.changed}`);
    this.#say(path, [element("p", (isSame ? "✓ " : "✗ ") + words.join(""), { class: isSame ? "note done" : "note error" })]);
  }

  async #commands(path) {
    const { commands } = await get("commands", { group: path });
    const lines = commands.flatMap(({ notes, command }) => [...notes.map((note) => `# ${note}`), ...(command ? [command] : [])]);
    const copy = element("button", "Copy", { type: "button" });
    copy.addEventListener("click", () => navigator.clipboard.writeText(`${lines.join("\n")}\n`).then(() => (copy.textContent = "Copied")));
    this.#say(path, [element("pre", lines.join("\n")), copy]);
  }

  async #remove(path) {
    const plan = await post("remove", { group: path, with_dependents: true, dry_run: true });
    const goes = plan.removes.map(({ state, depends, bytes: size }) => element("li", `${state.group} (${bytes(size)})${depends ? `: it ${depends}` : ""}`));
    const list = element("ul");
    list.append(...goes, ...plan.links.map((link) => element("li", `${link}: a link into it`)));
    if (plan.obstacles.length) {
      this.#say(path, [element("p", "It can't be removed:", { class: "error" }), ...plan.obstacles.map((said) => element("p", said, { class: "error" }))]);
      return;
    }
    const yes = element("button", plan.removes.length > 1 ? `Remove all ${plan.removes.length}` : "Remove it", { type: "button", "data-action": "remove-now" });
    const no = element("button", "Keep", { type: "button" });
    yes.addEventListener("click", async () => {
      try {
        await post("remove", { group: path, with_dependents: true, dry_run: false });
        this.#said.delete(path);
        this.act.removed(path);
      } catch (error) {
        this.#say(path, [element("p", error.message, { class: "error" })]);
      }
    });
    no.addEventListener("click", () => this.#say(path, []));
    const buttons = element("div", "", { class: "buttons" });
    buttons.append(yes, no);
    this.#say(path, [element("p", "This can't be undone. It removes:"), list, buttons]);
    no.focus();
  }
}
