// A dataset as a scan: which position is where.

import { count, measured, plain } from "./words.js";

/** A dataset of which the file doesn't tell which axes are positions, with those that the user has named; null if it has no such. */
export function withAxes(dataset, text) {
  const numbers = text.split(",").map((part) => Number(part.trim() || "-"));
  const isWrong = (axis, at) => !Number.isInteger(axis) || axis < 0 || axis >= dataset.shape.length || numbers.indexOf(axis) !== at;
  if (!text || numbers.some(isWrong)) return null;
  const axis = (number) => ({ name: `axis ${number}`, units: "", length: dataset.shape[number], first: null, last: null, isNameless: true });
  const positions = numbers.reduce((all, number) => all * dataset.shape[number], 1);
  const all = dataset.shape.reduce((product, length) => product * length, 1);
  return { ...dataset, positions, spectral_points: all / positions, position_dimensions: numbers.map(axis), full_grid: true };
}

export class Scan {
  /** Of a dataset as `info` has it. */
  constructor(dataset) {
    this.dataset = dataset;
    this.axes = dataset.position_dimensions;
    this.positions = dataset.positions;
    this.isGrid = dataset.full_grid;
  }

  /** The steps of a position on each axis, the slowest first. */
  stepsOf(position) {
    if (!this.isGrid) return [position];
    const steps = [];
    for (const axis of [...this.axes].reverse()) {
      steps.unshift(position % axis.length);
      position = Math.floor(position / axis.length);
    }
    return steps;
  }

  positionAt(steps) {
    if (!this.isGrid) return Math.min(this.positions - 1, Math.max(0, steps[0]));
    return this.axes.reduce((position, axis, at) => position * axis.length + Math.min(axis.length - 1, Math.max(0, steps[at])), 0);
  }

  /** The numbers of the axes that are longer than a step. */
  get long() {
    return this.axes.map((_, at) => at).filter((at) => this.axes[at].length > 1);
  }

  /** The axes that an image of the scan has, rows first; one of a line. */
  get shown() {
    return this.long.slice(-2);
  }

  /** The first position of the image that a position lies in; null if there is only one image of the scan. */
  imageOf(position) {
    if (!this.isGrid || this.long.length < 3) return null;
    const steps = this.stepsOf(position);
    for (const axis of this.shown) steps[axis] = 0;
    return this.positionAt(steps);
  }

  /** Moves by steps along an axis of the image: 0 is down, 1 to the right; 2 is the axis that tells images apart. */
  moved(position, way, by) {
    const steps = this.stepsOf(position);
    if (!this.isGrid) return this.positionAt([steps[0] + by]);
    const shown = this.shown;
    const axis = way === 2 ? this.long.at(-3) : shown.length === 2 ? shown[way] : shown[0];
    if (axis === undefined) return position;
    steps[axis] += by;
    return this.positionAt(steps);
  }

  /** `position 660: Y 10 (1.587 um), X 20 (3.17 um)`, with the values that a picture's axes have there. */
  told(position, drawn = null) {
    const head = `position ${count(position)}`;
    const [row, column] = drawn ? this.pixelOf(drawn, position) : [];
    if (!this.isGrid) return drawn?.kind === "points" ? `${head}: ${[drawn.columns, drawn.rows].map((axis) => axis.told(column)).join(", ")}` : head;
    const steps = this.stepsOf(position);
    const places = new Map();
    if (drawn?.kind === "image") places.set(this.shown[0], [drawn.rows, row]).set(this.shown[1], [drawn.columns, column]);
    if (drawn?.kind === "curve") places.set(this.shown[0], [drawn.axis, column]);
    const of = (axis, at) => {
      const [ruler, pixel] = places.get(at) ?? [];
      const head = `${this.nameOf(at)} ${steps[at]}`;
      if (ruler?.steps === 1) return `${head} (${measured(ruler.values[pixel], ruler.units)})`;
      const end = steps[at] === 0 ? axis.first : steps[at] === axis.length - 1 ? axis.last : null;
      return end === null || end === undefined ? head : `${head} (${measured(end, axis.units)})`;
    };
    return `${head}: ${this.axes.map(of).join(", ")}`;
  }

  nameOf(axis) {
    return plain(this.axes[axis].name);
  }

  /** Takes names from a picture of the positions, of axes that the file's list doesn't name. */
  adopt(drawn) {
    const rulers = drawn.kind === "image" ? [drawn.rows, drawn.columns] : drawn.kind === "curve" ? [drawn.axis] : [];
    const nameless = this.isGrid ? rulers.map((ruler, at) => [ruler, this.axes[this.shown[at]]]).filter(([, axis]) => axis.isNameless) : [];
    for (const [ruler, axis] of nameless) Object.assign(axis, { name: ruler.name, units: ruler.units, isNameless: false });
    return nameless.length > 0;
  }

  /** The position that a pixel of a picture is of; null if the picture isn't one of the positions. */
  ofPixel(drawn, row, column, current) {
    const steps = this.stepsOf(current);
    const shown = this.shown;
    if (drawn.kind === "points") return Math.min(this.positions - 1, column * this.#every(drawn.places.length));
    if (!this.isGrid) return Math.min(this.positions - 1, column * this.#every(drawn.axis.length));
    if (drawn.kind === "curve") steps[shown[0]] = column * drawn.axis.steps;
    else {
      steps[shown[0]] = row * drawn.rows.steps;
      steps[shown[1]] = column * drawn.columns.steps;
    }
    return this.positionAt(steps);
  }

  /** The pixel of a picture that a position lies in, as row and column. */
  pixelOf(drawn, position) {
    const steps = this.stepsOf(position);
    const shown = this.shown;
    if (drawn.kind === "number") return [0, 0];
    if (drawn.kind === "points") return [0, Math.floor(position / this.#every(drawn.places.length))];
    if (!this.isGrid) return [0, Math.floor(position / this.#every(drawn.axis.length))];
    if (drawn.kind === "curve") return [0, Math.floor(steps[shown[0]] / drawn.axis.steps)];
    return [Math.floor(steps[shown[0]] / drawn.rows.steps), Math.floor(steps[shown[1]] / drawn.columns.steps)];
  }

  /** Whether a picture has a pixel for each position that it can be of, or for some beside each other. */
  isMap(drawn) {
    if (this.positions === 1) return drawn.kind === "number";
    const shown = this.shown.map((at) => this.axes[at].length);
    const fits = (axis, length) => axis.length === Math.ceil(length / axis.steps);
    if (drawn.kind === "points") return !this.isGrid;
    if (!this.isGrid) return drawn.kind === "curve";
    if (drawn.kind === "curve") return shown.length === 1 && fits(drawn.axis, shown[0]);
    return drawn.kind === "image" && shown.length === 2 && fits(drawn.rows, shown[0]) && fits(drawn.columns, shown[1]);
  }

  #every(places) {
    return Math.ceil(this.positions / places);
  }
}
