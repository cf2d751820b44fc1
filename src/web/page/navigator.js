// The image of the scan, with the cursor in it.

import { Newest, get, query } from "./ask.js";
import { Axis, Sheet, drawCurves, drawImage, drawNumber, drawPoints, quantityOf } from "./plot.js";
import { tell } from "./notice.js";
import { set, state } from "./state.js";
import { count, measured, offer, plain } from "./words.js";

const byId = (id) => document.getElementById(id);
const isSurveyed = () => state.image === "sum" || state.image === "detector";

export class Navigator {
  #sheet = new Sheet(byId("navigator"));
  #pictures = [];
  #groups = [];
  #drawn = null;
  #plain = document.createElement("canvas");
  #newest = new Newest();
  #asked = "";
  #answered = "";
  #image = null;
  #isMap = false;
  #isPinned = false;
  #isDragged = false;

  /** `named` hears when a picture has told the names of the scan's axes. */
  constructor(named) {
    this.named = named;
    const canvas = byId("navigator");
    canvas.addEventListener("pointermove", (event) => this.#pointed(event));
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.#isDragged = this.#isPinned = true;
      this.#pointed(event);
      this.place();
    });
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => (this.#isDragged = false));
    canvas.addEventListener("pointerleave", () => (byId("under-mouse").textContent = ""));
    canvas.addEventListener("dblclick", () => this.#pin(false));
    canvas.addEventListener("keydown", (event) => this.#pressed(event));
    byId("image").addEventListener("change", (event) => {
      this.isChosen = true;
      set({ image: event.target.value, picture: 0 });
    });
    byId("picture").addEventListener("change", (event) => set({ picture: Number(event.target.value) }));
    byId("full-range").addEventListener("change", (event) => set({ range: event.target.checked ? "full" : "" }));
  }

  /** Whether the user has chosen what is shown, so that a run doesn't. */
  isChosen = false;

  /** Whether the cursor stays where it is while the mouse moves. */
  get isPinned() {
    return this.#isPinned;
  }

  /** What there is to choose from. */
  offer(scan, groups) {
    this.scan = scan;
    this.#groups = groups;
    const names = [[scan.dataset.spectral_points > 1 ? "sum over each position" : "values", "sum"]];
    if (state.detector) names.push(["what the detector sees", "detector"]);
    groups.forEach((group) => names.push([`${group.process}: ${group.group.split("/").at(-1)}`, group.group, group.group]));
    if (!names.some(([, value]) => value === state.image)) {
      if (state.image !== "detector") tell(`There are no results ${state.image} in this file; the data are shown instead.`);
      set({ image: "sum", picture: 0 }, { isStep: false });
    }
    offer(byId("image"), names, state.image);
  }

  /** Asks for what is shown now, once more or anew. */
  load() {
    const { dataset, field, axes, image, detector } = state;
    const isSurvey = isSurveyed();
    const pixel = this.scan.imageOf(state.position);
    const given = isSurvey ? { path: dataset, field, positions_axes: axes, pixel, detector: image === "detector" ? detector : "" } : { path: image, of: "results" };
    this.#asked = query(given);
    this.#image = pixel;
    const asked = this.#asked;
    const isNew = () => asked === this.#asked;
    this.#newest.ask(
      () => get(isSurvey ? "survey" : "show", given),
      (answer) => isNew() && this.#got(isSurvey ? [answer.picture] : answer.pictures, isSurvey ? answer : null),
      (error) => {
        if (!isNew()) return;
        byId("navigator-says").textContent = error.message;
        // What was there before is of something else.
        this.#pictures = [];
        this.#drawn = null;
        this.#sheet.begin(false);
      }
    );
  }

  /** The cursor has moved: maybe to where another image is. */
  moved() {
    if (isSurveyed() && this.#image !== this.scan.imageOf(state.position)) this.load();
    this.place();
  }

  /** More has been read of what is surveyed, unless it is here already. */
  heard(survey) {
    const isHere = this.#answered === this.#asked && this.survey?.is_complete && survey.is_complete;
    if (survey.survey === this.#asked && !isHere) this.load();
  }

  #got(pictures, survey) {
    byId("navigator-says").textContent = pictures.length ? "" : "There is nothing in it that can be drawn.";
    this.#pictures = pictures;
    this.#answered = this.#asked;
    this.survey = survey;
    const names = pictures.map((picture, at) => [plain(picture.title) + (picture.part === "value" ? "" : ` (${picture.part})`), String(at)]);
    if (state.picture >= pictures.length) set({ picture: 0 }, { isStep: false });
    offer(byId("picture"), names, String(state.picture));
    byId("picture-label").hidden = pictures.length < 2;
    this.draw();
  }

  get picture() {
    return this.#pictures[state.picture] ?? null;
  }

  /** Shows nothing. */
  clear() {
    this.#asked = "";
    this.#pictures = [];
    this.#drawn = null;
    this.#sheet.begin(false);
    byId("survey").textContent = byId("position").textContent = "";
  }

  draw() {
    const picture = this.picture;
    if (!picture || !this.scan) return;
    byId("picture").value = state.picture;
    byId("full-range").checked = state.range === "full";
    const isFull = state.range === "full";
    const { layout } = picture;
    if (layout.image) this.#drawn = drawImage(this.#sheet, picture, { isFull });
    else if (layout.points) this.#drawn = drawPoints(this.#sheet, picture, { isFull });
    else if (layout.curve) this.#drawn = this.#curve(picture);
    else this.#drawn = drawNumber(this.#sheet, picture);
    // A frame may have the lengths of the scan as well.
    this.#isMap = this.scan.isMap(this.#drawn) && (this.scan.positions === 1 || picture.first_position !== null);
    if (this.#isMap && this.scan.adopt(this.#drawn)) this.named();
    [this.#plain.width, this.#plain.height] = [this.#sheet.canvas.width, this.#sheet.canvas.height];
    if (this.#plain.width && this.#plain.height) this.#plain.getContext("2d").drawImage(this.#sheet.canvas, 0, 0);
    this.#told();
    this.place();
  }

  #curve(picture) {
    this.#sheet.begin(false);
    const curve = { values: picture.values, colour: this.#sheet.second, isDots: picture.values.length < 200, isBoth: true };
    return drawCurves(this.#sheet, picture.title, new Axis(picture.layout.curve), quantityOf(picture), [curve], { states: picture });
  }

  #told() {
    const { picture, survey } = this;
    const words = [];
    if (survey && !survey.is_complete) words.push(`${count(survey.seen)} of ${count(survey.positions)} positions read so far`);
    if (picture.pending_positions) words.push(`${count(picture.pending_positions)} pending (hatched)`);
    if (picture.failed_positions) words.push(`${count(picture.failed_positions)} failed (crossed)`);
    if (!picture.limits && !(survey && !survey.is_complete)) words.push("there are no values");
    words.push(...picture.notes.map(plain));
    if (!this.#isMap) words.push("not an image of the positions");
    byId("survey").textContent = words.join(" · ");
    byId("survey").title = words.join("\n");
  }

  /** Whether the cursor lies in this image of the scan; there may be others. */
  get #isHere() {
    return this.#isMap && this.scan.imageOf(this.picture.first_position ?? 0) === this.scan.imageOf(state.position);
  }

  /** Whether a pixel has the value of its position: it may have the mean of several, or that of one beside it. */
  get #equals() {
    const { rows, columns, axis } = this.#drawn;
    const isOne = [rows, columns, axis].every((of) => (of?.steps ?? 1) === 1);
    return isOne && (this.survey?.is_complete ?? true) ? "=" : "≈";
  }

  /** Draws the cursor where it is. */
  place() {
    if (!this.#drawn) return;
    const { context, canvas } = this.#sheet;
    context.save();
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (this.#plain.width && this.#plain.height) context.drawImage(this.#plain, 0, 0);
    context.restore();
    const { picture, survey } = this;
    const pixel = this.#isHere ? this.#cursor() : null;
    const value = pixel === null ? null : picture.values[pixel] ?? null;
    this.#sheet.end({
      position: state.position,
      path: picture.dataset,
      complete: survey ? survey.is_complete : picture.pending_positions === 0,
      value: value ?? "",
      pinned: this.#isPinned,
    });
    const told = [this.scan.told(state.position, this.#isHere ? this.#drawn : null)];
    if (value !== null) told[0] += ` ${this.#equals} ${measured(value, quantityOf(picture)[1])}`;
    else if (pixel !== null) told.push(this.#missing(pixel, state.position));
    if (this.#isPinned) told.push("pinned");
    byId("position").textContent = byId("position").title = told.join(" · ");
  }

  /** Why a position has no value. */
  #missing(pixel, position) {
    const { picture } = this;
    if (picture.pending.includes(pixel)) return "not computed yet";
    const group = this.#groups.find((group) => group.group === state.image);
    const failed = group?.failed.find((failed) => failed.position === position);
    if (failed) return `failed: ${failed.message}`;
    return picture.failed.includes(pixel) ? "failed" : "no value";
  }

  /** Draws it, and gives the number of the pixel. */
  #cursor() {
    const sheet = this.#sheet;
    const [row, column] = this.scan.pixelOf(this.#drawn, state.position);
    const { box, kind, cell } = this.#drawn;
    if (kind === "curve") {
      const x = this.#drawn.x(this.#drawn.axis.values[column]);
      sheet.line([[x, box.y], [x, box.y + box.height]], sheet.accent, 1.5);
      return column;
    }
    if (kind === "points") {
      const [x, y] = this.#drawn.places[column] ?? [NaN, NaN];
      sheet.twice((path) => path.arc(x, y, 9 * sheet.unit, 0, 7));
      return column;
    }
    if (kind === "number") return 0;
    const [x, y] = [box.x + (column + 0.5) * cell.width, box.y + (row + 0.5) * cell.height];
    const [across, down] = [Math.max(4, cell.width / 2), Math.max(4, cell.height / 2)];
    sheet.context.save();
    sheet.context.beginPath();
    sheet.context.rect(box.x - 2, box.y - 2, box.width + 4, box.height + 4);
    sheet.context.clip();
    sheet.twice((path) => {
      for (const [x1, y1, x2, y2] of [[box.x, y, x - across, y], [x + across, y, box.x + box.width, y], [x, box.y, x, y - down], [x, y + down, x, box.y + box.height]]) {
        path.moveTo(x1, y1);
        if (x2 >= x1 && y2 >= y1) path.lineTo(x2, y2);
      }
      path.rect(x - across, y - down, 2 * across, 2 * down);
    });
    sheet.context.restore();
    return row * this.#drawn.columns.length + column;
  }

  #pointed(event) {
    if (!this.#drawn || !this.#isMap) return;
    const position = this.#under(event);
    if (position === null) {
      byId("under-mouse").textContent = "";
      return;
    }
    if (!this.#isPinned || this.#isDragged) {
      byId("under-mouse").textContent = "";
      set({ position });
      return;
    }
    const [row, column] = this.scan.pixelOf(this.#drawn, position);
    const pixel = this.#drawn.kind === "image" ? row * this.#drawn.columns.length + column : column;
    const value = this.picture.values[pixel] ?? null;
    const told = value === null ? ` · ${this.#missing(pixel, position)}` : ` ${this.#equals} ${measured(value, quantityOf(this.picture)[1])}`;
    byId("under-mouse").textContent = `under the mouse: ${this.scan.told(position, this.#drawn)}${told}`;
  }

  #under(event) {
    const { left, top } = this.#sheet.canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - left, event.clientY - top];
    const { box, kind } = this.#drawn;
    // The other axes are where this image of the scan is, wherever the cursor is.
    const first = this.picture.first_position ?? state.position;
    if (kind === "points") {
      let [best, least] = [0, Infinity];
      this.#drawn.places.forEach(([px, py], at) => {
        const away = (px - x) ** 2 + (py - y) ** 2;
        if (away < least) [best, least] = [at, away];
      });
      return this.scan.ofPixel(this.#drawn, 0, best, first);
    }
    const [across, down] = [(x - box.x) / box.width, (y - box.y) / box.height];
    const isInside = across >= 0 && across < 1 && down >= 0 && down < 1;
    if ((!isInside && !this.#isDragged) || kind === "number") return null;
    if (kind === "curve") return this.scan.ofPixel(this.#drawn, 0, this.#drawn.axis.nearest(this.#drawn.axis.at(across)), first);
    return this.scan.ofPixel(this.#drawn, this.#drawn.rows.pixel(down), this.#drawn.columns.pixel(across), first);
  }

  #pin(isPinned) {
    this.#isPinned = isPinned;
    this.place();
  }

  #pressed(event) {
    if (!this.scan || event.ctrlKey || event.metaKey || event.altKey) return;
    const by = event.shiftKey ? 10 : 1;
    const isLine = this.scan.shown.length < 2;
    const ways = { ArrowUp: [0, -by], ArrowDown: [0, by], ArrowLeft: [1, -by], ArrowRight: [1, by], PageUp: [2, -by], PageDown: [2, by] };
    let position = null;
    if (event.key in ways) {
      const [way, step] = ways[event.key];
      if (!(isLine && way === 0)) position = this.scan.moved(state.position, way, step);
    } else if (event.key === "Home") position = 0;
    else if (event.key === "End") position = this.scan.positions - 1;
    else if (event.key === "Enter" || event.key === " ") this.#pin(!this.#isPinned);
    else if (event.key === "Escape") this.#pin(false);
    else return;
    event.preventDefault();
    if (position === null) return;
    this.#isPinned = true;
    set({ position });
  }
}
