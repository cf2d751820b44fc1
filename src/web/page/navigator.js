// The image of the scan, with the cursor in it.

import { Newest, get, query } from "./ask.js";
import { Sheet, drawCurves, drawImage, drawNumber, drawPoints, Axis } from "./plot.js";
import { set, state } from "./state.js";
import { count, number, plain } from "./words.js";

const byId = (id) => document.getElementById(id);

export class Navigator {
  #sheet = new Sheet(byId("navigator"));
  #pictures = [];
  #drawn = null;
  #plain = document.createElement("canvas");
  #newest = new Newest();
  #asked = "";
  #image = null;
  #isPinned = false;
  #isDragged = false;

  constructor() {
    const canvas = byId("navigator");
    canvas.addEventListener("pointermove", (event) => this.#pointed(event));
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.#isDragged = true;
      this.#isPinned = false;
      this.#pointed(event);
      this.#isPinned = true;
    });
    canvas.addEventListener("pointerup", () => (this.#isDragged = false));
    canvas.addEventListener("dblclick", () => (this.#isPinned = false));
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
    const options = [new Option(scan.dataset.spectral_points > 1 ? "sum over each position" : "values", "sum"), new Option("what the detector sees", "detector")];
    groups.forEach((group) => options.push(new Option(`${group.process}: ${group.group.split("/").at(-1)}`, group.group)));
    const image = byId("image");
    image.replaceChildren(...options);
    image.value = state.image;
    if (image.value !== state.image) set({ image: "sum", picture: 0 }, { isStep: false });
    image.value = state.image;
    options[1].disabled = !state.detector;
  }

  /** Asks for what is shown now, once more or anew. */
  load() {
    const { dataset, field, axes, image, detector } = state;
    const isSurvey = image === "sum" || image === "detector";
    const given = isSurvey ? { path: dataset, field, positions_axes: axes, pixel: this.scan?.imageOf(state.position), detector: image === "detector" ? detector : "" } : { path: image };
    this.#asked = query(given);
    this.#image = given.pixel ?? null;
    const asked = this.#asked;
    this.#newest.ask(
      () => get(isSurvey ? "survey" : "show", given),
      (answer) => this.#got(asked, isSurvey ? [answer.picture] : answer.pictures, isSurvey ? answer : null),
      (error) => {
        byId("navigator-says").textContent = error.message;
      }
    );
  }

  /** The cursor has moved: maybe to where another image is. */
  moved() {
    const isOther = this.#image !== (this.scan.imageOf(state.position) ?? null);
    if (isOther && (state.image === "sum" || state.image === "detector")) this.load();
    this.place();
  }

  /** More has been read of what is surveyed. */
  heard(survey) {
    if (survey.survey === this.#asked) this.load();
  }

  #got(asked, pictures, survey) {
    if (asked !== this.#asked) return;
    byId("navigator-says").textContent = "";
    this.#pictures = pictures;
    this.survey = survey;
    const names = pictures.map((picture, at) => new Option(plain(picture.title) + (picture.part === "value" ? "" : ` (${picture.part})`), at));
    byId("picture").replaceChildren(...names);
    byId("picture-label").hidden = pictures.length < 2;
    if (state.picture >= pictures.length) set({ picture: 0 }, { isStep: false });
    this.draw();
  }

  get picture() {
    return this.#pictures[state.picture] ?? null;
  }

  /** Shows nothing. */
  clear() {
    this.#pictures = [];
    this.#drawn = null;
    this.#sheet.begin(false);
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
    else if (layout.curve) {
      const curve = { values: picture.values, colour: this.#sheet.second, isDots: picture.values.length < 200, counts: true };
      this.#drawn = drawCurves(this.#sheet, picture.title, new Axis(layout.curve), [picture.quantity, picture.units], [curve, { ...curve, isDots: false }]);
    } else this.#drawn = drawNumber(this.#sheet, picture);
    this.#isMap = this.scan.isMap(this.#drawn);
    [this.#plain.width, this.#plain.height] = [this.#sheet.canvas.width, this.#sheet.canvas.height];
    this.#plain.getContext("2d").drawImage(this.#sheet.canvas, 0, 0);
    this.#told();
    this.place();
  }

  #isMap = false;

  #told() {
    const { picture } = this;
    const words = [];
    if (picture.pending_positions) words.push(`${count(picture.pending_positions)} pending (hatched)`);
    if (picture.failed_positions) words.push(`${count(picture.failed_positions)} failed (crossed)`);
    if (!picture.limits) words.push("there are no values yet");
    words.push(...picture.notes.map(plain));
    if (!this.#isMap) words.push("not an image of the positions");
    byId("survey").textContent = words.join(" · ");
    byId("survey").title = words.join("\n");
  }

  /** Draws the cursor where it is. */
  place() {
    if (!this.#drawn) return;
    const { context, canvas } = this.#sheet;
    context.save();
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.drawImage(this.#plain, 0, 0);
    context.restore();
    const value = this.#isMap ? this.#cursor() : null;
    const { picture, survey } = this;
    this.#sheet.end({
      position: state.position,
      path: picture.dataset,
      complete: survey ? survey.is_complete : picture.pending_positions === 0,
      value: value ?? "",
      pinned: this.#isPinned,
    });
    const told = value === undefined || value === null ? "" : ` = ${number(value)} ${plain(picture.units)}`;
    byId("position").textContent = this.scan.told(state.position) + told + (this.#isPinned ? " · pinned" : "");
  }

  /** Draws it, and gives the value there. */
  #cursor() {
    const sheet = this.#sheet;
    const [row, column] = this.scan.pixelOf(this.#drawn, state.position);
    const { box } = this.#drawn;
    if (this.#drawn.kind === "curve") {
      const x = this.#drawn.x(this.#drawn.axis.values[column]);
      sheet.line([[x, box.y], [x, box.y + box.height]], sheet.accent, 1.5);
      return this.picture.values[column];
    }
    if (this.#drawn.kind === "points") {
      const [x, y] = this.#drawn.places[column];
      ring(sheet, x, y);
      return this.picture.values[column];
    }
    const { cell } = this.#drawn;
    const [x, y] = [box.x + (column + 0.5) * cell.width, box.y + (row + 0.5) * cell.height];
    const gap = Math.max(4, cell.width / 2, cell.height / 2);
    for (const [colour, width] of [["#000", 3], ["#fff", 1.2]]) {
      sheet.line([[box.x, y], [x - gap, y]], colour, width);
      sheet.line([[x + gap, y], [box.x + box.width, y]], colour, width);
      sheet.line([[x, box.y], [x, y - gap]], colour, width);
      sheet.line([[x, y + gap], [x, box.y + box.height]], colour, width);
      sheet.context.strokeStyle = colour;
      sheet.context.lineWidth = width;
      sheet.context.strokeRect(x - gap, y - gap, 2 * gap, 2 * gap);
    }
    return this.picture.values[row * this.#drawn.columns.length + column];
  }

  #pointed(event) {
    if (!this.#drawn || !this.#isMap || (this.#isPinned && !this.#isDragged)) return;
    const position = this.#under(event);
    if (position !== null) set({ position });
  }

  #under(event) {
    const { left, top } = this.#sheet.canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - left, event.clientY - top];
    const { box, kind } = this.#drawn;
    if (kind === "points") {
      let best = 0;
      const far = ([px, py]) => (px - x) ** 2 + (py - y) ** 2;
      this.#drawn.places.forEach((place, at) => {
        if (far(place) < far(this.#drawn.places[best])) best = at;
      });
      return this.scan.ofPixel(this.#drawn, 0, best, state.position);
    }
    const [across, down] = [(x - box.x) / box.width, (y - box.y) / box.height];
    const isInside = across >= 0 && across < 1 && down >= 0 && down < 1;
    if (!isInside && !this.#isDragged) return null;
    if (kind === "curve") {
      const { axis } = this.#drawn;
      const value = axis.hasPixels ? null : axis.edges[0] + across * (axis.edges.at(-1) - axis.edges[0]);
      return this.scan.ofPixel(this.#drawn, 0, value === null ? axis.pixel(across) : axis.nearest(value), state.position);
    }
    return this.scan.ofPixel(this.#drawn, this.#drawn.rows.pixel(down), this.#drawn.columns.pixel(across), state.position);
  }

  #pressed(event) {
    const by = event.shiftKey ? 10 : 1;
    const isLine = this.scan?.shown.length < 2;
    const ways = { ArrowUp: [0, -by], ArrowDown: [0, by], ArrowLeft: [1, -by], ArrowRight: [1, by] };
    let position = null;
    if (event.key in ways) {
      const [way, step] = ways[event.key];
      if (!(isLine && way === 0)) position = this.scan.moved(state.position, way, step);
    } else if (event.key === "Home") position = 0;
    else if (event.key === "End") position = this.scan.positions - 1;
    else if (event.key === "Enter" || event.key === " ") {
      this.#isPinned = !this.#isPinned;
      this.place();
    } else if (event.key === "Escape") {
      this.#isPinned = false;
      this.place();
    } else return;
    event.preventDefault();
    if (position !== null) {
      this.#isPinned = true;
      set({ position });
    }
  }
}

function ring(sheet, x, y) {
  for (const [colour, width] of [["#000", 3], ["#fff", 1.2]]) {
    sheet.context.strokeStyle = colour;
    sheet.context.lineWidth = width;
    sheet.context.beginPath();
    sheet.context.arc(x, y, 6, 0, 7);
    sheet.context.stroke();
  }
}
