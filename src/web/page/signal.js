// What was measured at the position under the cursor: a spectrum or a frame, with what a computation says of it on top, and the
// detector that is drawn in it.

import { Newest, get } from "./ask.js";
import * as detectors from "./detector.js";
import { Axis, Sheet, drawCurves, drawImage, drawNumber } from "./plot.js";
import { set, state } from "./state.js";
import { element, number, plain } from "./words.js";

const byId = (id) => document.getElementById(id);

export class Signal {
  #sheet = new Sheet(byId("signal"));
  #newest = new Newest();
  #pictures = [];
  #shown = null;
  #drawn = null;
  #held = null;
  #tried = null;

  constructor() {
    const canvas = byId("signal");
    canvas.addEventListener("pointerdown", (event) => this.#pressed(event));
    canvas.addEventListener("pointermove", (event) => this.#moved(event));
    canvas.addEventListener("pointerup", () => (this.#held = null));
    canvas.addEventListener("pointerleave", () => (byId("under-mouse").textContent = ""));
    canvas.addEventListener("keydown", (event) => this.#typed(event));
    byId("scale").addEventListener("change", (event) => set({ scale: event.target.value }));
    byId("part").addEventListener("change", (event) => set({ part: event.target.value }));
    byId("tool").addEventListener("change", (event) => this.#chosen(event.target.value));
  }

  /** Asks for what was measured at the position that is shown now. */
  load() {
    const { dataset: path, field, axes, position } = state;
    this.#newest.ask(
      () => get("show", { path, field, positions_axes: axes, pixel: position }),
      (answer) => {
        byId("signal-says").textContent = "";
        this.#pictures = answer.pictures;
        this.#shown = position;
        this.#offer();
        this.draw();
      },
      (error) => {
        byId("signal-says").textContent = error.message;
      }
    );
  }

  /** What a computation says of a position; null if nothing is to be drawn of any. */
  tried(test) {
    this.#tried = test;
    this.draw();
  }

  /** The parts of complex values, and the detectors that can be drawn. */
  #offer() {
    const parts = this.#pictures.map((picture) => picture.part);
    const part = byId("part");
    byId("part-label").hidden = parts.length < 2;
    part.replaceChildren(...parts.map((name) => new Option(name, name)));
    part.value = parts.includes(state.part) ? state.part : parts[0];
    const { image, curve } = this.picture?.layout ?? {};
    const kinds = image ? ["disk", "ring", "rectangle"] : curve ? ["window"] : [];
    const tool = byId("tool");
    if (tool.dataset.kinds !== kinds.join()) {
      tool.dataset.kinds = kinds.join();
      tool.replaceChildren(new Option("none", ""), ...kinds.map((kind) => new Option(kind, kind)));
    }
    tool.value = this.detector?.kind ?? "";
  }

  get picture() {
    return this.#pictures.find((picture) => picture.part === state.part) ?? this.#pictures[0] ?? null;
  }

  /** The detector that is drawn, if it is one of these data. */
  get detector() {
    const detector = detectors.parsed(state.detector);
    const { image, curve } = this.picture?.layout ?? {};
    const fits = detector && (detector.kind === "window" ? curve : image);
    return fits ? detector : null;
  }

  /** Shows nothing. */
  clear() {
    this.#pictures = [];
    this.#drawn = null;
    this.#sheet.begin(false);
  }

  draw() {
    const picture = this.picture;
    if (!picture) return;
    byId("scale").value = state.scale;
    const isLog = state.scale === "log" && picture.part !== "phase";
    const { layout } = picture;
    if (layout.image) {
      this.#drawn = drawImage(this.#sheet, picture, { isLog });
      if (this.#fits) this.#drawModelOfFrame();
    } else if (layout.curve) this.#drawSpectrum(picture, isLog);
    else this.#drawn = drawNumber(this.#sheet, picture);
    if (this.detector) detectors.draw(this.#sheet, this.detector, this.#place());
    this.#fields();
    const kind = this.#drawn.kind;
    this.#sheet.end({ position: this.#shown, path: picture.dataset, kind, part: picture.part, detector: state.detector, tried: this.#fits ? "true" : "false" });
  }

  /** Whether what was tried is of the position that is shown. */
  get #fits() {
    return this.#tried?.position === this.#shown && this.#tried?.spectrum;
  }

  #drawSpectrum(picture, isLog) {
    const axis = new Axis(picture.layout.curve);
    const values = picture.part === "phase" ? unwrapped(picture.values) : picture.values;
    const hasModel = this.#fits && this.#tried.spectrum.model;
    const curves = [{ values, isDots: hasModel && values.length < 1000, colour: this.#sheet.ink }];
    if (hasModel) {
      const at = this.#tried.spectrum.axis.values;
      for (const curve of this.#tried.spectrum.model.curves) {
        const own = partOf(curve.values, picture.part);
        const of = curve.is_part ? { colour: this.#sheet.second, width: 1, dash: [4, 3] } : { colour: this.#sheet.accent, width: 2 };
        curves.push({ values: picture.part === "phase" ? unwrapped(own) : own, at, counts: false, ...of });
      }
    }
    this.#drawn = drawCurves(this.#sheet, picture.title, axis, [picture.quantity, picture.units], curves, { isLog });
    if (hasModel && picture.part !== "phase") this.#drawMarks(this.#tried.spectrum.model.marks);
  }

  #drawMarks(marks) {
    const { box, x, y } = this.#drawn;
    for (const mark of marks) {
      if (mark.at === null) continue;
      const at = x(mark.at);
      this.#sheet.line([[at, box.y], [at, box.y + box.height]], this.#sheet.accent, 1, [2, 4]);
      const height = mark.height === null ? box.y + 12 : y(mark.height);
      this.#sheet.line([[at - 5, height - 5], [at + 5, height + 5]], this.#sheet.accent, 2);
      this.#sheet.line([[at - 5, height + 5], [at + 5, height - 5]], this.#sheet.accent, 2);
      this.#sheet.text(plain(mark.name), at + 7, Math.max(box.y + 12, height - 6), { colour: this.#sheet.accent });
    }
  }

  #drawModelOfFrame() {
    const model = this.#tried.spectrum.model;
    if (!model) return;
    const place = this.#place();
    const columns = this.#drawn.columns.length * this.#drawn.columns.steps;
    const context = this.#sheet.context;
    for (const outline of model.outlines ?? []) {
      const inside = new Set(outline.inside.flatMap(([first, end]) => Array.from({ length: end - first }, (_, at) => first + at)));
      context.strokeStyle = this.#sheet.accent;
      context.lineWidth = 1.2;
      context.beginPath();
      for (const point of inside) {
        const [row, column] = [Math.floor(point / columns), point % columns];
        const [left, top] = place(row - 0.5, column - 0.5);
        const [right, bottom] = place(row + 0.5, column + 0.5);
        const edge = (other, from, to) => {
          if (inside.has(other)) return;
          context.moveTo(...from);
          context.lineTo(...to);
        };
        edge(point - columns, [left, top], [right, top]);
        edge(point + columns, [left, bottom], [right, bottom]);
        edge(column ? point - 1 : -1, [left, top], [left, bottom]);
        edge(column < columns - 1 ? point + 1 : -1, [right, top], [right, bottom]);
      }
      context.stroke();
    }
    for (const mark of model.places ?? []) {
      if (mark.row === null || mark.column === null) continue;
      const [x, y] = place(mark.row, mark.column);
      this.#sheet.line([[x - 7, y], [x + 7, y]], this.#sheet.accent, 2);
      this.#sheet.line([[x, y - 7], [x, y + 7]], this.#sheet.accent, 2);
      this.#sheet.text(plain(mark.name), x + 8, y - 6, { colour: this.#sheet.accent });
    }
  }

  /** Where a point of the frame, or of the spectrum, is on the screen. */
  #place() {
    const { box, kind, rows, columns, axis, cell } = this.#drawn;
    if (kind === "curve") {
      const value = (column) => {
        const at = Math.min(axis.length - 1, Math.max(0, column / axis.steps));
        const [low, high] = [Math.floor(at), Math.ceil(at)];
        return axis.values[low] + (axis.values[high] - axis.values[low]) * (at - low);
      };
      return (_, column) => [box.x + axis.part(value(column)) * box.width, box.y];
    }
    return (row, column) => [box.x + ((column + 0.5) / columns.steps) * cell.width, box.y + ((row + 0.5) / rows.steps) * cell.height];
  }

  /** The point of the frame, or of the spectrum, under the mouse. */
  #under(event) {
    const { left, top } = this.#sheet.canvas.getBoundingClientRect();
    const { box, kind, rows, columns, axis } = this.#drawn;
    const [across, down] = [(event.clientX - left - box.x) / box.width, (event.clientY - top - box.y) / box.height];
    const isInside = across >= 0 && across <= 1 && down >= 0 && down <= 1;
    if (kind === "curve") {
      const value = axis.edges[0] + across * (axis.edges.at(-1) - axis.edges[0]);
      return { row: 0, column: axis.nearest(value) * axis.steps, isInside };
    }
    return { row: down * rows.length * rows.steps - 0.5, column: across * columns.length * columns.steps - 0.5, isInside };
  }

  #chosen(kind) {
    if (!kind) {
      set({ detector: "", image: state.image === "detector" ? "sum" : state.image });
      return;
    }
    const { image, curve } = this.picture.layout;
    const size = image ? [image.rows.values.length * image.rows.steps, image.columns.values.length * image.columns.steps] : [1, curve.values.length * curve.steps];
    set({ detector: detectors.written(detectors.first(kind, size)), image: "detector", picture: 0 });
  }

  #pressed(event) {
    const { detector } = this;
    if (!detector || !this.#drawn) return;
    const from = this.#under(event);
    if (!from.isInside) return;
    this.#sheet.canvas.setPointerCapture(event.pointerId);
    const { box } = this.#drawn;
    const columns = (this.#drawn.columns ?? this.#drawn.axis);
    const what = detectors.grabbed(detector, from, box.width / (columns.length * columns.steps));
    this.#held = { what, from, detector };
  }

  #moved(event) {
    if (!this.#drawn || this.#drawn.kind === "number") return;
    const at = this.#under(event);
    if (this.#held) {
      const { what, from, detector } = this.#held;
      if (!what && Math.hypot(at.row - from.row, at.column - from.column) < 1) return;
      const next = what ? detectors.pulled(detector, what, from, at) : detectors.spanned(detector.kind, from, at);
      set({ detector: detectors.written(next), image: "detector", picture: 0 }, { isStep: false });
      return;
    }
    byId("under-mouse").textContent = at.isInside ? this.#told(at) : "";
  }

  /** The value at a point, with where it is. */
  #told({ row, column }) {
    const picture = this.picture;
    const of = (axis, at) => `${plain(axis.name)} ${number(axis.values[at], 6)} ${plain(axis.units)}`.trim();
    if (this.#drawn.kind === "curve") {
      const at = column / this.#drawn.axis.steps;
      return `${of(this.#drawn.axis, at)}: ${number(picture.values[at])} ${plain(picture.units)}`;
    }
    const { rows, columns } = this.#drawn;
    const [down, across] = [Math.min(rows.length - 1, Math.max(0, Math.floor((row + 0.5) / rows.steps))), Math.min(columns.length - 1, Math.max(0, Math.floor((column + 0.5) / columns.steps)))];
    return `${of(rows, down)}, ${of(columns, across)}: ${number(picture.values[down * columns.length + across])} ${plain(picture.units)}`;
  }

  /** The arrows move the detector, with Alt they make it larger or smaller. */
  #typed(event) {
    const { detector } = this;
    const ways = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    if (!detector || !(event.key in ways)) return;
    event.preventDefault();
    const by = event.shiftKey ? 10 : 1;
    const [down, right] = ways[event.key].map((step) => step * by);
    if (!event.altKey) {
      const next = detectors.pulled(detector, "all", { row: 0, column: 0 }, { row: down, column: right });
      set({ detector: detectors.written(next), image: "detector", picture: 0 }, { isStep: false });
      return;
    }
    const edge = { disk: "radius", ring: "outer", rectangle: right ? "right" : "bottom", window: "last" }[detector.kind];
    const next = { ...detector, [edge]: Math.max(0, detector[edge] + (right || -down)) };
    set({ detector: detectors.written(next), image: "detector", picture: 0 }, { isStep: false });
  }

  /** The numbers of the detector, to be typed. */
  #fields() {
    const { detector } = this;
    const fields = byId("detector-fields");
    byId("use-detector").hidden = !(detector && detectors.asMasks(detector));
    const names = detector ? detectors.KINDS[detector.kind] : [];
    if (fields.dataset.kind !== (detector?.kind ?? "")) {
      fields.dataset.kind = detector?.kind ?? "";
      fields.replaceChildren(
        ...names.map((name) => {
          const label = element("label", `${name} `);
          const input = element("input", "", { type: "number", step: "any", "data-name": name });
          input.addEventListener("change", () => {
            const next = { ...this.detector, [name]: Number(input.value) || 0 };
            set({ detector: detectors.written(next), image: "detector", picture: 0 });
          });
          label.append(input);
          return label;
        })
      );
    }
    for (const input of fields.querySelectorAll("input")) {
      if (input !== document.activeElement) input.value = Number(detector[input.dataset.name].toFixed(2));
    }
  }
}

/** Phases without jumps of a turn. */
function unwrapped(phases) {
  let [turns, last] = [0, null];
  return phases.map((phase) => {
    if (phase === null) return null;
    if (last !== null) turns -= Math.round((phase - last) / (2 * Math.PI));
    last = phase;
    return phase + turns * 2 * Math.PI;
  });
}

/** A part of values that may be complex. */
function partOf(values, part) {
  if (Array.isArray(values)) return part === "phase" ? values.map(() => null) : values;
  const { real, imaginary } = values;
  return real.map((value, at) => {
    if (value === null || imaginary[at] === null) return null;
    return part === "phase" ? Math.atan2(imaginary[at], value) : Math.hypot(value, imaginary[at]);
  });
}
