// What was measured at the position under the cursor: a spectrum or a frame, with what a computation says of it on top, and the
// detector that is drawn in it.

import { Newest, get } from "./ask.js";
import * as detectors from "./detector.js";
import { Axis, Sheet, drawCurves, drawImage, drawNumber, quantityOf } from "./plot.js";
import { set, state } from "./state.js";
import { element, measured, offer, plain } from "./words.js";

const byId = (id) => document.getElementById(id);

/** Of so many spectra of a position each one can be chosen. */
const MOST_SPECTRA = 1024;
/** Phases of which more than one step in so many is larger than a quarter of a turn jump about. */
const MOST_LARGE_STEPS = 10;
const TURN = 2 * Math.PI;
const WAYS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

export class Signal {
  #sheet = new Sheet(byId("signal"));
  #newest = new Newest();
  #pictures = [];
  #shown = null;
  #drawn = null;
  #held = null;
  #tried = null;
  #read = null;

  constructor() {
    const canvas = byId("signal");
    canvas.addEventListener("pointerdown", (event) => this.#pressed(event));
    canvas.addEventListener("pointermove", (event) => this.#moved(event));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => (this.#held = null));
    canvas.addEventListener("pointerleave", () => (byId("under-mouse").textContent = ""));
    canvas.addEventListener("keydown", (event) => this.#typed(event));
    byId("scale").addEventListener("change", (event) => set({ scale: event.target.value }));
    byId("part").addEventListener("change", (event) => set({ part: event.target.value }));
    byId("spectrum").addEventListener("change", (event) => set({ spectrum: event.target.value }));
    byId("frame-full-range").addEventListener("change", (event) => set({ frame_range: event.target.checked ? "full" : "" }));
    byId("tool").addEventListener("change", (event) => this.#chosen(event.target.value));
  }

  /** Asks for what was measured at the position that is shown now. */
  load() {
    const { dataset: path, field, axes, position } = state;
    const isStill = () => state.dataset === path && state.field === field && state.axes === axes;
    this.#newest.ask(
      () => get("show", { path, field, positions_axes: axes, pixel: position }),
      (answer) => {
        if (!isStill()) return;
        byId("signal-says").textContent = "";
        this.#pictures = answer.pictures;
        this.#shown = position;
        this.#offer();
        this.draw();
      },
      (error) => {
        if (!isStill()) return;
        byId("signal-says").textContent = error.message;
        // What was there before is of another position.
        this.clear();
      }
    );
  }

  /** What a computation says of a position; null if nothing is to be drawn of any. */
  tried(test) {
    if (test === null && this.#tried === null) return;
    this.#tried = test;
    const { image } = this.picture?.layout ?? {};
    if (image && test?.spectrum && !test.spectrum.frame && state.spectrum === "") set({ spectrum: String(test.spectrum.number) }, { isStep: false });
    this.draw();
  }

  /** The parts of complex values, single spectra, and the detectors that can be drawn. */
  #offer() {
    const parts = this.#pictures.map((picture) => picture.part);
    const part = parts.includes(state.part) ? state.part : parts[0];
    byId("part-label").hidden = parts.length < 2;
    offer(byId("part"), parts.map((name) => [name, name]), part);
    const { image } = this.picture?.layout ?? {};
    // What has places in both directions is a frame.
    const rows = image && !image.to_scale && image.rows.steps === 1 && image.rows.values.length <= MOST_SPECTRA ? new Axis(image.rows) : null;
    byId("spectrum-label").hidden = !rows;
    const single = rows ? rows.values.map((_, at) => [rows.told(at), String(at)]) : [];
    offer(byId("spectrum"), [["all, as an image", ""], ...single], this.#row === null ? "" : String(this.#row));
    const kinds = image ? ["disk", "ring", "rectangle"] : this.picture?.layout.curve ? ["window"] : [];
    offer(byId("tool"), [["none", ""], ...kinds.map((kind) => [kind, kind])], this.detector?.kind ?? "");
    byId("tool-label").hidden = !kinds.length;
  }

  /** The row of the image that is drawn as a spectrum; null if none is. */
  get #row() {
    const { image } = this.picture?.layout ?? {};
    const row = Number.parseInt(state.spectrum, 10);
    return image && !image.to_scale && image.rows.steps === 1 && row >= 0 && row < image.rows.values.length ? row : null;
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
    byId("scale").disabled = picture.part === "phase";
    byId("spectrum").value = this.#row === null ? "" : state.spectrum;
    const isLog = state.scale === "log" && picture.part !== "phase";
    const isFull = state.frame_range === "full";
    const { layout } = picture;
    const isImage = layout.image && this.#row === null;
    byId("frame-full-range").checked = isFull;
    byId("frame-range-label").hidden = !isImage;
    if (isImage) {
      this.#drawn = drawImage(this.#sheet, picture, { isFull, isLog });
      if (this.#fits) this.#drawModelOfFrame();
    } else if (layout.image || layout.curve) this.#drawSpectrum(this.#spectrum(picture), isLog);
    else this.#drawn = drawNumber(this.#sheet, picture);
    if (this.detector && this.#row === null) detectors.draw(this.#sheet, this.detector, this.#place());
    this.#drawRead();
    this.#fields();
    const { kind, legend = "" } = this.#drawn;
    this.#sheet.end({ legend, position: this.#shown, path: picture.dataset, kind, part: picture.part, detector: state.detector, spectrum: this.#row, tried: this.#fits ? "true" : "false" });
  }

  /** A spectrum of the picture: its axis and values. */
  #spectrum(picture) {
    const { image, curve } = picture.layout;
    if (curve) return { ...picture, axis: new Axis(curve) };
    const axis = new Axis(image.columns);
    const values = picture.values.slice(this.#row * axis.length, (this.#row + 1) * axis.length);
    return { ...picture, axis, values, title: `${picture.title}, ${new Axis(image.rows).told(this.#row)}` };
  }

  /** Whether what was tried is of the position that is shown, and of the spectrum. */
  get #fits() {
    const { spectrum } = this.#tried ?? {};
    if (!spectrum || this.#tried.position !== this.#shown) return false;
    return Boolean(spectrum.frame) || spectrum.number === (this.#row ?? 0);
  }

  /** The data, and what a result says of them; the values that were computed with may be others than those of the file. */
  #drawSpectrum(picture, isLog) {
    const { part } = picture;
    const { spectrum } = this.#fits && !this.#tried.spectrum.frame ? this.#tried : {};
    const isPhase = part === "phase";
    const flat = (values) => (isPhase ? unwrapped(values) ?? values : values);
    const goesOn = !isPhase || unwrapped(picture.values) !== null;
    const isOther = spectrum && spectrum.axis.name !== picture.axis.name;
    const axis = isOther ? new Axis(spectrum.axis) : picture.axis;
    const { ink, faint, accent, second } = this.#sheet;
    const curves = isOther ? [] : [{ name: "as measured", values: flat(picture.values), isDots: !goesOn || picture.values.length === 1, colour: spectrum ? faint : ink }];
    if (spectrum) {
      const at = spectrum.axis.values;
      const data = flat(partOf(spectrum.data, part));
      curves.push({ name: "as computed with", values: data, at, isDots: true, colour: ink });
      for (const curve of spectrum.model?.curves ?? []) {
        const of = curve.is_part ? { colour: second, width: 1.2, dash: [4, 3] } : { colour: accent, width: 2 };
        const own = flat(partOf(curve.values, part));
        curves.push({ name: curve.name, values: isPhase ? beside(own, data) : own, at, counts: false, ...of });
      }
    }
    this.#drawn = drawCurves(this.#sheet, picture.title, axis, quantityOf(picture), curves, { isLog });
    if (spectrum && !isPhase) this.#drawMarks(spectrum.model?.marks ?? []);
  }

  #drawMarks(marks) {
    const { box, x, y } = this.#drawn;
    const { accent, unit } = this.#sheet;
    for (const mark of marks) {
      const at = x(mark.at);
      if (!(at >= box.x && at <= box.x + box.width)) continue;
      this.#sheet.line([[at, box.y], [at, box.y + box.height]], accent, 1, [2, 4]);
      const height = mark.height === null ? box.y + 12 : y(mark.height);
      this.#sheet.cross(at, height, 5 * unit, accent);
      const isRight = at > box.x + 0.75 * box.width;
      this.#sheet.text(plain(mark.name), at + (isRight ? -7 : 7) * unit, Math.max(box.y + 12 * unit, height - 6), { colour: accent, align: isRight ? "right" : "left" });
    }
  }

  #drawModelOfFrame() {
    const { model } = this.#tried.spectrum;
    if (!model) return;
    const place = this.#place();
    const { accent, context, unit } = this.#sheet;
    const columns = this.#drawn.columns.length * this.#drawn.columns.steps;
    for (const outline of model.outlines ?? []) {
      const inside = new Set(outline.inside.flatMap(([first, end]) => Array.from({ length: end - first }, (_, at) => first + at)));
      context.strokeStyle = accent;
      context.lineWidth = 1.5 * unit;
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
      this.#sheet.line([[x - 7, y], [x + 7, y], [NaN, NaN], [x, y - 7], [x, y + 7]], accent, 2);
      this.#sheet.text(plain(mark.name), x + 8 * unit, y - 6 * unit, { colour: accent });
    }
  }

  /** Where a point of the frame, or of the spectrum, is on the screen. */
  #place() {
    const { box, kind, rows, columns, axis, cell } = this.#drawn;
    if (kind === "curve") {
      const value = (column) => {
        const at = column / axis.steps;
        const low = Math.min(Math.max(0, axis.length - 2), Math.max(0, Math.floor(at)));
        const [from, to] = [axis.values[low], axis.values[Math.min(axis.length - 1, low + 1)]];
        return from + (to - from) * (at - low);
      };
      const within = (x) => Math.min(box.x + box.width, Math.max(box.x, x));
      return (_, column) => [within(box.x + axis.along(value(column)) * box.width), box.y];
    }
    return (row, column) => [box.x + ((column + 0.5) / columns.steps) * cell.width, box.y + ((row + 0.5) / rows.steps) * cell.height];
  }

  /** The point of the frame, or of the spectrum, under the mouse. */
  #under(event) {
    const { left, top } = this.#sheet.canvas.getBoundingClientRect();
    const { box, kind, rows, columns, axis } = this.#drawn;
    const [across, down] = [(event.clientX - left - box.x) / box.width, (event.clientY - top - box.y) / box.height];
    const isInside = across >= 0 && across <= 1 && down >= 0 && down <= 1;
    if (kind === "curve") return { row: 0, column: axis.nearest(axis.at(across)) * axis.steps, isInside };
    return { row: down * rows.length * rows.steps - 0.5, column: across * columns.length * columns.steps - 0.5, isInside };
  }

  /** Rows and columns of a position's values. */
  get #size() {
    const { image, curve } = this.picture.layout;
    const length = (axis) => axis.values.length * axis.steps;
    return image ? [length(image.rows), length(image.columns)] : [1, length(curve)];
  }

  #chosen(kind) {
    if (!kind) set({ detector: "", image: state.image === "detector" ? "sum" : state.image });
    else this.#see(detectors.first(kind, this.#size), true);
  }

  /** Shows what a detector sees. */
  #see(detector, isStep = false) {
    set({ detector: detectors.written(detector), image: "detector", picture: 0, spectrum: detector.kind === "window" ? state.spectrum : "" }, { isStep });
  }

  /** What the mouse would take hold of at a point. */
  #grip(at) {
    const { detector } = this;
    if (!detector || this.#row !== null) return null;
    const axis = this.#drawn.columns ?? this.#drawn.axis;
    return detectors.grabbed(detector, at, this.#drawn.box.width / (axis.length * axis.steps));
  }

  #pressed(event) {
    const { detector } = this;
    if (!detector || !this.#drawn || this.#row !== null || event.button !== 0) return;
    const from = this.#under(event);
    const what = this.#grip(from);
    if (!from.isInside && !what) return;
    this.#sheet.canvas.setPointerCapture(event.pointerId);
    this.#held = { what, from, detector };
  }

  #moved(event) {
    if (!this.#drawn || this.#drawn.kind === "number") return;
    const at = this.#under(event);
    if (this.#held) {
      const { what, from, detector } = this.#held;
      if (!what && Math.hypot(at.row - from.row, at.column - from.column) < 1) return;
      this.#see(what ? detectors.pulled(detector, what, from, at, this.#size) : detectors.spanned(detector.kind, from, at));
      return;
    }
    const grip = this.#grip(at);
    this.#sheet.canvas.style.cursor = { all: "move", first: "ew-resize", last: "ew-resize", left: "ew-resize", right: "ew-resize", top: "ns-resize", bottom: "ns-resize", radius: "nwse-resize", inner: "nwse-resize", outer: "nwse-resize" }[grip] ?? "crosshair";
    if (this.#read) {
      this.#read = null;
      this.draw();
    }
    byId("under-mouse").textContent = at.isInside ? this.#told(this.#pixel(at)) : "";
  }

  /** The pixel that a point lies in. */
  #pixel({ row, column }) {
    const within = (axis, at) => Math.min(axis.length - 1, Math.max(0, Math.floor(at / axis.steps)));
    if (this.#drawn.kind === "curve") return [0, within(this.#drawn.axis, column)];
    return [within(this.#drawn.rows, row + 0.5), within(this.#drawn.columns, column + 0.5)];
  }

  /** The value of a pixel, with where it is. */
  #told([row, column]) {
    const { picture } = this;
    const [, units] = quantityOf(picture);
    const told = (value) => (value === null || value === undefined ? "no value" : measured(value, units));
    if (this.#drawn.kind === "curve") {
      const axis = this.#drawn.axis;
      const values = picture.layout.curve ? picture.values : this.#spectrum(picture).values;
      return axis.length === values.length ? `${axis.told(column)}: ${told(values[column])}` : axis.told(column);
    }
    const { rows, columns } = this.#drawn;
    return `${rows.told(row)}, ${columns.told(column)}: ${told(picture.values[row * columns.length + column])}`;
  }

  /** Marks the pixel that is read out by keys. */
  #drawRead() {
    if (!this.#read || this.#drawn.kind === "number") return;
    const [row, column] = this.#read;
    const { box, kind, axis, x, cell } = this.#drawn;
    if (kind === "curve") {
      const at = x(axis.values[Math.min(column, axis.length - 1)]);
      this.#sheet.line([[at, box.y], [at, box.y + box.height]], this.#sheet.second, 1.5);
    } else this.#sheet.twice((path) => path.rect(box.x + column * cell.width - 2, box.y + row * cell.height - 2, cell.width + 4, cell.height + 4));
  }

  /** The arrows move the detector, with Alt they make it larger or smaller; without one they read values out. */
  #typed(event) {
    if (!(event.key in WAYS) || !this.#drawn || this.#drawn.kind === "number" || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const by = event.shiftKey ? 10 : 1;
    const [down, right] = WAYS[event.key].map((step) => step * by);
    const { detector } = this;
    if (!detector || this.#row !== null) this.#readOn(down, right);
    else if (!event.altKey) this.#see(detectors.pulled(detector, "all", { row: 0, column: 0 }, { row: down, column: right }, this.#size));
    else {
      const edge = { disk: "radius", ring: "outer", rectangle: right ? "right" : "bottom", window: "last" }[detector.kind];
      const by = right || (edge === "bottom" ? down : -down);
      this.#see(detectors.ordered({ ...detector, [edge]: Math.max(0, detector[edge] + by) }, this.#size));
    }
  }

  #readOn(down, right) {
    const { kind, rows, columns, axis } = this.#drawn;
    const [height, width] = kind === "curve" ? [1, axis.length] : [rows.length, columns.length];
    const [row, column] = this.#read ?? [Math.floor(height / 2) - down, Math.floor(width / 2) - right];
    const within = (at, length) => Math.min(length - 1, Math.max(0, at));
    this.#read = [within(row + down, height), within(column + right, width)];
    this.draw();
    byId("under-mouse").textContent = this.#told(this.#read);
  }

  /** The numbers of the detector, to be typed. */
  #fields() {
    const { detector } = this;
    const fields = byId("detector-fields");
    byId("tool").value = detector?.kind ?? "";
    byId("use-detector").hidden = !(detector && detectors.asMasks(detector));
    if (fields.dataset.kind !== (detector?.kind ?? "")) {
      fields.dataset.kind = detector?.kind ?? "";
      fields.replaceChildren(...(detector ? detectors.KINDS[detector.kind] : []).map((name) => this.#field(name)));
    }
    for (const input of fields.querySelectorAll("input")) {
      if (input !== document.activeElement) input.value = Number(detector[input.dataset.name].toFixed(2));
    }
  }

  #field(name) {
    const label = element("label", `${name} `);
    const input = element("input", "", { type: "number", step: "any", "data-name": name });
    input.addEventListener("change", () => this.#see(detectors.ordered({ ...this.detector, [name]: Number(input.value) || 0 }, this.#size), true));
    label.append(input);
    return label;
  }
}

/** Phases without jumps of a turn; null if they jump about, so that nobody can tell how often they went round. */
function unwrapped(phases) {
  let [turns, last, large, steps] = [0, null, 0, 0];
  const flat = phases.map((phase) => {
    if (phase === null) return null;
    if (last !== null) {
      const turn = -Math.round((phase - last) / TURN) * TURN;
      turns += turn;
      steps += 1;
      if (Math.abs(phase - last + turn) > TURN / 4) large += 1;
    }
    last = phase;
    return phase + turns;
  });
  return large * MOST_LARGE_STEPS <= steps ? flat : null;
}

/** The same phases, by as many turns higher or lower as brings them beside others. */
function beside(phases, others) {
  const apart = phases.map((phase, at) => (phase === null || others[at] === null ? null : others[at] - phase)).filter((one) => one !== null);
  const turns = apart.length ? Math.round(apart.reduce((sum, one) => sum + one, 0) / apart.length / TURN) : 0;
  return phases.map((phase) => (phase === null ? null : phase + turns * TURN));
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
