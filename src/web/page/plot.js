// Drawing on a canvas: images with axes and a colour bar, curves, points. Pixels are never smoothed, and what is pending or has
// failed has a pattern, whatever the colours are.

import { labelled, number, plain, scaled } from "./words.js";

let colours = { even: [[0, 0, 0], [255, 255, 255]], cyclic: [[0, 0, 0], [255, 255, 255]] };

export function useColours(maps) {
  colours = maps;
}

/** Around a drawing, in pixels where letters of the page have 14 of them. */
const ROOM = { left: 64, right: 16, top: 22, bottom: 40, bar: 84 };

const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Places on an axis: from values to a part of its length, by the edges of its pixels. */
export class Axis {
  constructor(axis) {
    this.name = axis.name;
    this.units = axis.units;
    this.values = axis.values;
    this.steps = axis.steps;
    const edges = axis.edges?.length ? axis.edges : null;
    this.edges = edges ?? [Math.min(...axis.values), Math.max(...axis.values)];
    this.hasPixels = edges !== null;
    if (this.edges[0] === this.edges.at(-1)) this.edges = [this.edges[0] - 0.5, this.edges.at(-1) + 0.5];
  }

  get length() {
    return this.values.length;
  }

  /** 0 at the first edge, 1 at the last. */
  part(value) {
    const edges = this.edges;
    const rises = edges.at(-1) > edges[0];
    let [low, high] = [0, edges.length - 1];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (edges[middle] <= value === rises) low = middle;
      else high = middle;
    }
    return (low + (value - edges[low]) / (edges[high] - edges[low])) / (edges.length - 1);
  }

  /** The pixel at a part of the axis. */
  pixel(part) {
    return Math.min(this.length - 1, Math.max(0, Math.floor(part * this.length)));
  }

  /** The number of the value that is nearest. */
  nearest(value) {
    let best = 0;
    this.values.forEach((own, at) => {
      if (Math.abs(own - value) < Math.abs(this.values[best] - value)) best = at;
    });
    return best;
  }

  get size() {
    return Math.max(...this.edges.map(Math.abs));
  }
}

/** Round numbers between two. */
export function ticks(low, high, most) {
  const span = Math.abs(high - low);
  if (!(span > 0) || !Number.isFinite(span)) return [low];
  const rough = span / Math.max(1, most);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((of) => of * power >= rough * 0.999);
  const [from, to] = [Math.min(low, high), Math.max(low, high)];
  const found = [];
  for (let at = Math.ceil(from / step - 1e-9); at * step <= to + step * 1e-9; at += 1) found.push(at * step);
  return found;
}

const tick = (value) => number(Number(value.toPrecision(6)), 6);

/** The least and largest number that is there, or null. */
export function extent(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value === null) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low <= high ? [low, high] : null;
}

/** A canvas with the pixels of the screen. */
export class Sheet {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.drawn = 0;
  }

  /** Begins anew; `margins` are what axes and colour bar take. */
  begin(hasBar) {
    const ratio = devicePixelRatio || 1;
    const { clientWidth: width, clientHeight: height } = this.canvas;
    [this.width, this.height] = [width, height];
    [this.canvas.width, this.canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.context.clearRect(0, 0, width, height);
    const letters = Number.parseFloat(getComputedStyle(document.documentElement).fontSize);
    this.unit = letters / 14;
    this.context.font = `${12 * this.unit}px system-ui, sans-serif`;
    this.ink = style("--ink");
    this.faint = style("--faint");
    this.accent = style("--accent");
    this.second = style("--second");
    const [left, right, top, bottom] = [ROOM.left, hasBar ? ROOM.bar : ROOM.right, ROOM.top, ROOM.bottom].map((room) => room * this.unit);
    this.box = { x: left, y: top, width: Math.max(10, width - left - right), height: Math.max(10, height - top - bottom) };
  }

  end(what) {
    this.drawn += 1;
    this.canvas.dataset.drawn = this.drawn;
    for (const [name, value] of Object.entries(what)) this.canvas.dataset[name] = value ?? "";
  }

  text(text, x, y, { align = "left", baseline = "alphabetic", colour = this.ink, turned = false } = {}) {
    const context = this.context;
    context.save();
    context.fillStyle = colour;
    context.textAlign = align;
    context.textBaseline = baseline;
    context.translate(x, y);
    if (turned) context.rotate(-Math.PI / 2);
    context.fillText(text, 0, 0);
    context.restore();
  }

  title(text) {
    this.text(plain(text), this.box.x, 14 * this.unit);
  }

  frame() {
    this.context.strokeStyle = this.ink;
    this.context.lineWidth = 1;
    this.context.strokeRect(this.box.x - 0.5, this.box.y - 0.5, this.box.width + 1, this.box.height + 1);
  }

  /** Ticks below, of an axis by `part` from 0 to 1. */
  across(name, units, [low, high], part) {
    const { x, y, width, height } = this.box;
    const [factor, named] = scaled(units, Math.max(Math.abs(low), Math.abs(high)));
    for (const value of ticks(low / factor, high / factor, width / (70 * this.unit))) {
      const at = x + part(value * factor) * width;
      this.line([[at, y + height], [at, y + height + 4 * this.unit]], this.ink);
      this.text(tick(value), at, y + height + 6 * this.unit, { align: "center", baseline: "top" });
    }
    this.text(labelled(name, named), x + width / 2, y + height + 36 * this.unit, { align: "center" });
  }

  /** Ticks at the left. */
  upwards(name, units, [low, high], part, isLog = false) {
    const { x, y, height } = this.box;
    const [factor, named] = isLog ? [1, plain(units)] : scaled(units, Math.max(Math.abs(low), Math.abs(high)));
    const found = isLog ? powers(low, high) : ticks(low / factor, high / factor, height / (34 * this.unit));
    for (const value of found) {
      const at = y + part(value * factor) * height;
      this.line([[x - 4 * this.unit, at], [x, at]], this.ink);
      this.text(tick(value), x - 6 * this.unit, at, { align: "right", baseline: "middle" });
    }
    this.text(labelled(name, named), 11 * this.unit, y + height / 2, { align: "center", turned: true });
  }

  line(points, colour, width = 1, dash = []) {
    const context = this.context;
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.setLineDash(dash);
    context.beginPath();
    let isDown = false;
    for (const [x, y] of points) {
      if (Number.isNaN(x) || Number.isNaN(y)) isDown = false;
      else if (isDown) context.lineTo(x, y);
      else {
        context.moveTo(x, y);
        isDown = true;
      }
    }
    context.stroke();
    context.setLineDash([]);
  }

  /** A colour bar with what its ends are. */
  bar({ low, high, percentiles, turn }, units, isLog) {
    const { x, y, width, height } = this.box;
    const left = x + width + 10 * this.unit;
    const thick = 12 * this.unit;
    const map = turn ? colours.cyclic : colours.even;
    for (let at = 0; at < height; at += 1) {
      const [red, green, blue] = map[Math.round((1 - at / height) * (map.length - 1))];
      this.context.fillStyle = `rgb(${red},${green},${blue})`;
      this.context.fillRect(left, y + at, thick, 1.5);
    }
    this.context.strokeStyle = this.ink;
    this.context.strokeRect(left - 0.5, y - 0.5, thick + 1, height + 1);
    const [factor, named] = scaled(units, Math.max(Math.abs(low), Math.abs(high)));
    const place = (value) => (isLog ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low));
    const found = isLog ? powers(low, high) : ticks(low / factor, high / factor, height / (40 * this.unit)).map((value) => value * factor);
    for (const value of found) {
      const at = y + (1 - place(value)) * height;
      if (at >= y - 1 && at <= y + height + 1) this.text(tick(value / factor), left + thick + 4 * this.unit, at, { baseline: "middle" });
    }
    this.text(named, left, y + height + 16 * this.unit);
    if (percentiles) this.text(`${percentiles[0]}–${percentiles[1]} %`, left, y + height + 32 * this.unit, { colour: this.faint });
  }
}

function powers(low, high) {
  const found = [];
  for (let power = Math.ceil(Math.log10(low) - 1e-9); power <= Math.log10(high) + 1e-9; power += 1) found.push(10 ** power);
  return found.length > 1 ? found : [low, high];
}

/** The values at which colours end, as asked for. */
export function limitsOf(picture, isFull, isLog) {
  let limits = picture.limits;
  if (!limits) return null;
  if (isFull && !limits.turn) {
    const all = extent(picture.values);
    limits = { low: all[0], high: all[1], percentiles: null, turn: false };
  }
  if (isLog && !limits.turn) {
    const positive = extent(picture.values.map((value) => (value > 0 ? value : null)));
    if (positive) limits = { ...limits, low: Math.max(limits.low, positive[0]), high: Math.max(limits.high, positive[0]) };
  }
  return limits.low === limits.high ? { ...limits, low: limits.low - 0.5, high: limits.high + 0.5 } : limits;
}

/** An image with its axes; gives what is where, for the mouse. */
export function drawImage(sheet, picture, { isFull = false, isLog = false } = {}) {
  const rows = new Axis(picture.layout.image.rows);
  const columns = new Axis(picture.layout.image.columns);
  const limits = limitsOf(picture, isFull, isLog);
  sheet.begin(true);
  if (picture.layout.image.to_scale) fit(sheet.box, columns, rows);
  const box = sheet.box;
  const pixels = document.createElement("canvas");
  [pixels.width, pixels.height] = [columns.length, rows.length];
  const context = pixels.getContext("2d");
  context.putImageData(coloured(picture.values, columns.length, rows.length, limits, isLog), 0, 0);
  sheet.context.imageSmoothingEnabled = false;
  sheet.context.drawImage(pixels, box.x, box.y, box.width, box.height);
  const cell = { width: box.width / columns.length, height: box.height / rows.length };
  marked(sheet, picture.pending, "pending", columns.length, cell);
  marked(sheet, picture.failed, "failed", columns.length, cell);
  sheet.frame();
  sheet.title(picture.title);
  sheet.across(columns.name, columns.units, [columns.edges[0], columns.edges.at(-1)], (value) => columns.part(value));
  sheet.upwards(rows.name, rows.units, [rows.edges[0], rows.edges.at(-1)], (value) => rows.part(value));
  if (limits) sheet.bar(limits, picture.units, isLog && !limits.turn);
  return { kind: "image", box, rows, columns, cell };
}

/** As large as it can be with steps of both axes of the same length. */
function fit(box, columns, rows) {
  const [across, down] = [columns, rows].map((axis) => Math.abs(axis.edges.at(-1) - axis.edges[0]));
  if (!(across > 0) || !(down > 0)) return;
  const ratio = Math.min(20, Math.max(0.05, across / down));
  const width = Math.min(box.width, box.height * ratio);
  [box.width, box.height] = [width, width / ratio];
}

function coloured(values, width, height, limits, isLog) {
  const image = new ImageData(width, height);
  if (!limits) return image;
  const map = limits.turn ? colours.cyclic : colours.even;
  const log = isLog && !limits.turn && limits.low > 0;
  const [low, span] = log ? [Math.log(limits.low), Math.log(limits.high / limits.low)] : [limits.low, limits.high - limits.low];
  values.forEach((value, at) => {
    if (value === null) return;
    let part = ((log ? Math.log(value) : value) - low) / span;
    if (limits.turn) part -= Math.floor(part);
    part = part >= 0 ? Math.min(1, part) : 0;
    image.data.set([...map[Math.round(part * (map.length - 1))], 255], at * 4);
  });
  return image;
}

/** Pending pixels are hatched, failed ones crossed. */
function marked(sheet, numbers, kind, columns, cell) {
  if (!numbers.length) return;
  const tile = document.createElement("canvas");
  [tile.width, tile.height] = [8, 8];
  const context = tile.getContext("2d");
  context.strokeStyle = kind === "failed" ? style("--failed") : sheet.faint;
  context.lineWidth = kind === "failed" ? 1.6 : 1;
  context.beginPath();
  for (const shift of [-8, 0, 8]) {
    context.moveTo(shift, 8);
    context.lineTo(shift + 8, 0);
    if (kind === "failed") {
      context.moveTo(shift, 0);
      context.lineTo(shift + 8, 8);
    }
  }
  context.stroke();
  sheet.context.fillStyle = sheet.context.createPattern(tile, "repeat");
  let first = 0;
  for (let at = 1; at <= numbers.length; at += 1) {
    const goesOn = at < numbers.length && numbers[at] === numbers[at - 1] + 1 && numbers[at] % columns !== 0;
    if (goesOn) continue;
    const [row, column] = [Math.floor(numbers[first] / columns), numbers[first] % columns];
    sheet.context.fillRect(sheet.box.x + column * cell.width, sheet.box.y + row * cell.height, (at - first) * cell.width, cell.height);
    first = at;
  }
}

/** Curves over one axis; each has values, a colour, and is a line or dots. */
export function drawCurves(sheet, title, axis, [quantity, units], curves, { isLog = false, range = null } = {}) {
  sheet.begin(false);
  const all = range ?? extent(curves.filter((curve) => curve.counts !== false).flatMap((curve) => (isLog ? curve.values.map((value) => (value > 0 ? value : null)) : curve.values)));
  let [low, high] = all ?? [isLog ? 1 : 0, isLog ? 10 : 1];
  if (isLog) [low, high] = low === high ? [low / 2, high * 2] : [low / 1.1, high * 1.1];
  else {
    const room = (high - low || Math.abs(high) || 1) * 0.05;
    [low, high] = [low - room, high + room];
  }
  const { box } = sheet;
  const log = (value) => (value > 0 ? Math.log(value / low) / Math.log(high / low) : NaN);
  const up = (value) => 1 - (isLog ? log(value) : (value - low) / (high - low));
  const x = (value) => box.x + axis.part(value) * box.width;
  const y = (value) => (value === null ? NaN : box.y + up(value) * box.height);
  sheet.frame();
  sheet.context.save();
  sheet.context.beginPath();
  sheet.context.rect(box.x, box.y, box.width, box.height);
  sheet.context.clip();
  for (const curve of curves) {
    const points = curve.values.map((value, at) => [x((curve.at ?? axis.values)[at]), y(value)]);
    if (curve.isDots) dots(sheet, points, curve.colour ?? sheet.ink);
    else sheet.line(points, curve.colour ?? sheet.ink, curve.width ?? 1.2, curve.dash ?? []);
  }
  sheet.context.restore();
  sheet.title(title);
  sheet.across(axis.name, axis.units, [axis.edges[0], axis.edges.at(-1)], (value) => axis.part(value));
  sheet.upwards(quantity, units, [low, high], up, isLog);
  return { kind: "curve", box, axis, x, y };
}

function dots(sheet, points, colour) {
  sheet.context.fillStyle = colour;
  const size = points.length > 600 ? 1 : 1.7;
  for (const [x, y] of points) {
    if (Number.isNaN(x) || Number.isNaN(y)) continue;
    sheet.context.beginPath();
    sheet.context.arc(x, y, size, 0, 7);
    sheet.context.fill();
  }
}

/** Values at places of their own. */
export function drawPoints(sheet, picture, { isFull = false } = {}) {
  const { rows, columns, to_scale: toScale } = picture.layout.points;
  const limits = limitsOf(picture, isFull, false);
  const axis = (places) => {
    const [low, high] = extent(places.values) ?? [0, 1];
    const room = (high - low || 1) * 0.03;
    return new Axis({ ...places, edges: [low - room, high + room], steps: 1 });
  };
  const [down, across] = [axis(rows), axis(columns)];
  sheet.begin(true);
  if (toScale) fit(sheet.box, across, down);
  const { box } = sheet;
  const map = limits?.turn ? colours.cyclic : colours.even;
  const places = columns.values.map((value, at) => [box.x + across.part(value) * box.width, box.y + down.part(rows.values[at]) * box.height]);
  const states = new Map([...picture.pending.map((at) => [at, sheet.faint]), ...picture.failed.map((at) => [at, style("--failed")])]);
  places.forEach(([x, y], at) => {
    const value = picture.values[at];
    sheet.context.beginPath();
    sheet.context.arc(x, y, 3, 0, 7);
    if (value === null || !limits) {
      sheet.context.strokeStyle = states.get(at) ?? sheet.faint;
      sheet.context.stroke();
      return;
    }
    const part = Math.min(1, Math.max(0, (value - limits.low) / (limits.high - limits.low)));
    const [red, green, blue] = map[Math.round(part * (map.length - 1))];
    sheet.context.fillStyle = `rgb(${red},${green},${blue})`;
    sheet.context.fill();
  });
  sheet.frame();
  sheet.title(picture.title);
  sheet.across(across.name, across.units, [across.edges[0], across.edges[1]], (value) => across.part(value));
  sheet.upwards(down.name, down.units, [down.edges[0], down.edges[1]], (value) => down.part(value));
  if (limits) sheet.bar(limits, picture.units, false);
  return { kind: "points", box, places };
}

/** A single number, or that there is none. */
export function drawNumber(sheet, picture) {
  sheet.begin(false);
  sheet.title(picture.title);
  const text = `${number(picture.values[0] ?? null)} ${plain(picture.units)}`;
  sheet.context.font = `${24 * sheet.unit}px system-ui, sans-serif`;
  sheet.text(text, sheet.width / 2, sheet.height / 2, { align: "center" });
  return { kind: "number", box: sheet.box };
}
