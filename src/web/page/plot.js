// Drawing on a canvas: images with axes and a colour bar, curves, points. Pixels are never smoothed, and what is pending or has
// failed has a pattern, whatever the colours are.

import { labelled, measured, number, plain, scaled } from "./words.js";

let colours = { even: [[0, 0, 0], [255, 255, 255]], cyclic: [[0, 0, 0], [255, 255, 255]] };

export function useColours(maps) {
  colours = maps;
}

/** Around a drawing, in pixels where letters of the page have 14 of them. */
const ROOM = { left: 64, right: 16, top: 22, bottom: 40, bar: 84 };
/** Of smaller pixels not each one that has failed has a cross of its own, in pixels of the screen. */
const CROSSED = 4;

const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const isNumber = (value) => Number.isFinite(value);

/** The least and largest number that is there, or null. */
export function extent(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (!isNumber(value)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low <= high ? [low, high] : null;
}

/** Places on an axis: from values to a part of its length, by the edges of its pixels if these are known. */
export class Axis {
  constructor(axis) {
    this.name = axis.name;
    this.units = axis.units;
    this.values = axis.values;
    this.steps = axis.steps;
    this.hasPixels = axis.edges?.length > 1 && axis.edges.every(isNumber);
    this.edges = this.hasPixels ? axis.edges : extent(axis.values) ?? [0, 1];
    if (this.edges[0] === this.edges.at(-1)) this.edges = [this.edges[0] - 0.5, this.edges.at(-1) + 0.5];
  }

  get length() {
    return this.values.length;
  }

  get ends() {
    return [this.edges[0], this.edges.at(-1)];
  }

  /** Where a value is with pixels of the same size: 0 at the first edge, 1 at the last. */
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

  /** Where it is with units of the same size. */
  along(value) {
    const [first, last] = this.ends;
    return isNumber(value) ? (value - first) / (last - first) : NaN;
  }

  /** The value there. */
  at(part) {
    const [first, last] = this.ends;
    return first + part * (last - first);
  }

  /** The pixel at a part of the axis. */
  pixel(part) {
    return Math.min(this.length - 1, Math.max(0, Math.floor(part * this.length)));
  }

  /** The number of the value that is nearest. */
  nearest(value) {
    let [best, least] = [0, Infinity];
    this.values.forEach((own, at) => {
      const away = isNumber(own) ? Math.abs(own - value) : Infinity;
      if (away < least) [best, least] = [at, away];
    });
    return best;
  }

  /** A value with the axis' name and units. */
  told(at) {
    return `${plain(this.name)} ${measured(this.values[at], this.units)}`;
  }
}

/** Round numbers between two. */
export function ticks(low, high, most) {
  const span = Math.abs(high - low);
  if (!(span > 0) || !isNumber(span)) return [low];
  const rough = span / Math.max(1, most);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((of) => of * power >= rough * 0.999);
  const [from, to] = [Math.min(low, high), Math.max(low, high)];
  const found = [];
  for (let at = Math.ceil(from / step - 1e-9); at * step <= to + step * 1e-9; at += 1) found.push(at * step);
  return found;
}

function powers(low, high) {
  const found = [];
  for (let power = Math.ceil(Math.log10(low) - 1e-9); power <= Math.log10(high) + 1e-9; power += 1) found.push(10 ** power);
  return found.length > 1 ? found : ticks(low, high, 4).filter((value) => value > 0);
}

/** A tick with as few digits as are right, of those that are so far apart. */
const tick = (value, step) => number(Math.abs(value) < step * 1e-6 ? 0 : value, Math.min(12, Math.max(4, Math.ceil(Math.log10(Math.abs(value / step) || 1)) + 2)));
const labels = (found) => found.map((value) => tick(value, Math.abs(found[1] - found[0]) || Math.abs(value) || 1));

/** What an axis with the values of a picture is called, and its units. */
export function quantityOf({ part, quantity, units }) {
  if (part === "phase") return ["Phase", "rad"];
  return [part === "amplitude" ? `|${quantity}|` : quantity, units];
}

/** A text without its end, where it is much longer than there is room for; a bit longer it is only made narrower. */
function cut(context, text, room) {
  const most = 1.3 * room;
  const width = context.measureText(text).width;
  return width > most ? `${[...text].slice(0, Math.max(1, Math.floor(([...text].length * most) / width) - 1)).join("")}…` : text;
}

/** A canvas with the pixels of the screen. */
export class Sheet {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.drawn = 0;
  }

  /** Begins anew, with room for axes and maybe a colour bar. */
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
    for (const name of ["ink", "faint", "accent", "second", "failed", "paper"]) this[name] = style(`--${name}`);
    const [left, right, top, bottom] = [ROOM.left, hasBar ? ROOM.bar : ROOM.right, ROOM.top, ROOM.bottom].map((room) => room * this.unit);
    this.box = { x: left, y: top, width: Math.max(10, width - left - right), height: Math.max(10, height - top - bottom) };
  }

  end(what) {
    this.drawn += 1;
    this.canvas.dataset.drawn = this.drawn;
    for (const [name, value] of Object.entries(what)) this.canvas.dataset[name] = value ?? "";
  }

  text(text, x, y, { align = "left", baseline = "alphabetic", colour = this.ink, turned = false, room = undefined } = {}) {
    const context = this.context;
    context.save();
    context.fillStyle = colour;
    context.textAlign = align;
    context.textBaseline = baseline;
    context.translate(x, y);
    if (turned) context.rotate(-Math.PI / 2);
    context.fillText(room === undefined ? text : cut(context, text, room), 0, 0, room);
    context.restore();
  }

  title(text) {
    this.text(plain(text), this.box.x, 14 * this.unit, { room: this.width - this.box.x });
  }

  frame() {
    this.context.strokeStyle = this.ink;
    this.context.lineWidth = this.unit;
    this.context.strokeRect(this.box.x - 0.5, this.box.y - 0.5, this.box.width + 1, this.box.height + 1);
  }

  /** Ticks below, of an axis by `part` from 0 to 1. */
  across(name, units, [low, high], part) {
    const { x, y, width, height } = this.box;
    const [factor, named] = scaled(units, Math.max(Math.abs(low), Math.abs(high)));
    const found = ticks(low / factor, high / factor, width / (70 * this.unit));
    const said = labels(found);
    found.forEach((value, place) => {
      const at = x + part(value * factor) * width;
      this.line([[at, y + height], [at, y + height + 4 * this.unit]], this.ink);
      this.text(said[place], at, y + height + 6 * this.unit, { align: "center", baseline: "top" });
    });
    this.text(labelled(name, named), x + width / 2, y + height + 36 * this.unit, { align: "center" });
  }

  /** Ticks at the left. */
  upwards(name, units, [low, high], part, isLog = false) {
    const { x, y, height } = this.box;
    const [factor, named] = isLog ? [1, plain(units)] : scaled(units, Math.max(Math.abs(low), Math.abs(high)));
    const found = isLog ? powers(low, high) : ticks(low / factor, high / factor, height / (34 * this.unit));
    const said = isLog ? found.map((value) => number(value, 3)) : labels(found);
    found.forEach((value, place) => {
      const at = y + part(value * factor) * height;
      this.line([[x - 4 * this.unit, at], [x, at]], this.ink);
      this.text(said[place], x - 6 * this.unit, at, { align: "right", baseline: "middle", room: x - 24 * this.unit });
    });
    this.text(labelled(name, named), 11 * this.unit, y + height / 2, { align: "center", turned: true, room: this.height });
  }

  line(points, colour, width = 1, dash = []) {
    const context = this.context;
    context.strokeStyle = colour;
    context.lineWidth = width * this.unit;
    context.setLineDash(dash.map((length) => length * this.unit));
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

  /** What is seen on light and dark: a thick black line with a thin white one in it. */
  twice(path, dash = []) {
    for (const [colour, width, gaps] of [["#000", 3, []], ["#fff", 1.4, dash]]) {
      this.context.strokeStyle = colour;
      this.context.lineWidth = width * this.unit;
      this.context.setLineDash(gaps.map((length) => length * this.unit));
      this.context.beginPath();
      path(this.context);
      this.context.stroke();
    }
    this.context.setLineDash([]);
  }

  cross(x, y, size, colour, width = 2) {
    this.line([[x - size, y - size], [x + size, y + size], [NaN, NaN], [x - size, y + size], [x + size, y - size]], colour, width);
  }

  dot(x, y, size, colour) {
    this.context.fillStyle = colour;
    this.context.beginPath();
    this.context.arc(x, y, size, 0, 7);
    this.context.fill();
  }

  /** A colour bar with what its ends are. */
  bar({ low, high, percentiles, turn, isLog }, units) {
    const { x, y, width, height } = this.box;
    const left = x + width + 10 * this.unit;
    const thick = 12 * this.unit;
    const map = turn ? colours.cyclic : colours.even;
    for (let at = 0; at < height; at += 1) {
      this.context.fillStyle = `rgb(${map[Math.round((1 - at / height) * (map.length - 1))].join()})`;
      this.context.fillRect(left, y + at, thick, Math.min(1.5, height - at));
    }
    this.context.strokeStyle = this.ink;
    this.context.lineWidth = this.unit;
    this.context.strokeRect(left - 0.5, y - 0.5, thick + 1, height + 1);
    const [factor, named] = isLog ? [1, plain(units)] : scaled(units, Math.max(Math.abs(low), Math.abs(high)));
    const place = (value) => (isLog ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low));
    const found = isLog ? powers(low, high) : ticks(low / factor, high / factor, height / (40 * this.unit));
    const said = isLog ? found.map((value) => number(value, 3)) : labels(found);
    found.forEach((value, at) => {
      const down = y + (1 - place(value * factor)) * height;
      if (down >= y - 1 && down <= y + height + 1) this.text(said[at], left + thick + 4 * this.unit, down, { baseline: "middle", room: 56 * this.unit });
    });
    this.text(named, left, y + height + 16 * this.unit, { room: 72 * this.unit });
    const of = percentiles ? `${percentiles[0]}–${percentiles[1]} %` : turn ? "one turn" : "full range";
    this.text(of, left, y + height + 32 * this.unit, { colour: this.faint, room: 72 * this.unit });
  }
}

/** The values at which colours end, as asked for. */
export function limitsOf(picture, isFull, isLog) {
  const all = extent(picture.values);
  let limits = picture.limits;
  if (!limits || !all || !isNumber(limits.low) || !isNumber(limits.high)) return null;
  if (isFull && !limits.turn) limits = { low: all[0], high: all[1], percentiles: null, turn: false };
  if (isLog && !limits.turn && limits.high > 0) {
    const least = extent(picture.values.map((value) => (value > 0 ? value : NaN)))[0];
    limits = { ...limits, low: Math.max(limits.low, least), isLog: true };
  }
  if (limits.low !== limits.high) return limits;
  const room = Math.abs(limits.low) * 1e-3 || 0.5;
  return { ...limits, low: limits.low - room, high: limits.high + room };
}

/** From a value to the number of its colour. */
function shade({ low, high, turn, isLog }) {
  const [from, span] = isLog ? [Math.log(low), Math.log(high / low)] : [low, high - low];
  return (value) => {
    let part = ((isLog ? Math.log(Math.max(value, low)) : value) - from) / span;
    if (turn) part -= Math.floor(part);
    return Math.round(255 * Math.min(1, Math.max(0, part)));
  };
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
  pixels.getContext("2d").putImageData(coloured(picture.values, columns.length, rows.length, limits), 0, 0);
  sheet.context.imageSmoothingEnabled = false;
  sheet.context.drawImage(pixels, box.x, box.y, box.width, box.height);
  const cell = { width: box.width / columns.length, height: box.height / rows.length };
  const where = (at) => [box.x + (at % columns.length) * cell.width, box.y + Math.floor(at / columns.length) * cell.height];
  marked(sheet, picture, columns.length, where, cell);
  sheet.frame();
  sheet.title(picture.title);
  sheet.across(columns.name, columns.units, columns.ends, (value) => columns.part(value));
  sheet.upwards(rows.name, rows.units, rows.ends, (value) => rows.part(value));
  if (limits) sheet.bar(limits, quantityOf(picture)[1]);
  return { kind: "image", box, rows, columns, cell };
}

/** As large as it can be with steps of both axes of the same length. */
function fit(box, columns, rows) {
  const [across, down] = [columns, rows].map(({ ends: [first, last] }) => Math.abs(last - first));
  if (!(across > 0) || !(down > 0)) return;
  const ratio = Math.min(20, Math.max(0.05, across / down));
  const width = Math.min(box.width, box.height * ratio);
  [box.width, box.height] = [width, width / ratio];
}

function coloured(values, width, height, limits) {
  const image = new ImageData(width, height);
  if (!limits) return image;
  const map = Uint32Array.from(limits.turn ? colours.cyclic : colours.even, ([red, green, blue]) => (0xff000000 | (blue << 16) | (green << 8) | red) >>> 0);
  const pixels = new Uint32Array(image.data.buffer);
  const of = shade(limits);
  for (let at = 0; at < values.length; at += 1) {
    if (values[at] !== null) pixels[at] = map[Math.round((of(values[at]) * (map.length - 1)) / 255)];
  }
  return image;
}

/** Pending pixels are hatched, failed ones crossed. */
function marked(sheet, { pending, failed }, columns, where, cell) {
  const hatched = (numbers, colour, isCrossed) => {
    sheet.context.fillStyle = sheet.context.createPattern(tile(colour, isCrossed, sheet.unit), "repeat");
    let first = 0;
    for (let at = 1; at <= numbers.length; at += 1) {
      const goesOn = at < numbers.length && numbers[at] === numbers[at - 1] + 1 && numbers[at] % columns !== 0;
      if (goesOn) continue;
      sheet.context.fillRect(...where(numbers[first]), (at - first) * cell.width, cell.height);
      first = at;
    }
  };
  if (pending.length) hatched(pending, sheet.faint, false);
  if (Math.min(cell.width, cell.height) < CROSSED) {
    if (failed.length) hatched(failed, sheet.failed, true);
    return;
  }
  const size = 0.5 * Math.min(cell.width, cell.height, 16 * sheet.unit) - 1;
  for (const at of failed) {
    const [x, y] = where(at);
    sheet.cross(x + cell.width / 2, y + cell.height / 2, size, sheet.failed, 1.6);
  }
}

function tile(colour, isCrossed, unit) {
  const made = document.createElement("canvas");
  const size = Math.round((isCrossed ? 3 : 8) * unit);
  [made.width, made.height] = [size, size];
  const context = made.getContext("2d");
  context.strokeStyle = colour;
  context.lineWidth = unit;
  context.beginPath();
  for (const shift of [-size, 0, size]) {
    context.moveTo(shift, size);
    context.lineTo(shift + size, 0);
    if (isCrossed) {
      context.moveTo(shift, 0);
      context.lineTo(shift + size, size);
    }
  }
  context.stroke();
  return made;
}

/** What the curves are, in the upper corner where fewer of their points lie. */
function legend(sheet, curves, drawn) {
  const named = curves.map((curve, at) => [curve, drawn[at]]).filter(([curve]) => curve.name);
  if (named.length < 2) return "";
  const { box, context, unit } = sheet;
  const [row, line] = [16 * unit, 22 * unit];
  const wide = Math.min(box.width / 2, line + 14 * unit + Math.max(...named.map(([curve]) => context.measureText(plain(curve.name)).width)));
  const [high, far] = [row * named.length + 6 * unit, 6 * unit];
  const lies = (left) => drawn.flat().filter(([x, y]) => x >= left && x <= left + wide && y >= box.y && y <= box.y + high + far).length;
  const [left, right] = [box.x + far, box.x + box.width - far - wide];
  const x = lies(left) < lies(right) ? left : right;
  context.fillStyle = sheet.paper;
  context.globalAlpha = 0.85;
  context.fillRect(x, box.y + far, wide, high);
  context.globalAlpha = 1;
  named.forEach(([curve], at) => {
    const y = box.y + far + 3 * unit + row * (at + 0.5);
    if (curve.isDots) for (const part of [0.2, 0.5, 0.8]) sheet.dot(x + 4 * unit + part * line, y, 1.8 * unit, curve.colour);
    else sheet.line([[x + 4 * unit, y], [x + 4 * unit + line, y]], curve.colour, curve.width ?? 1.2, curve.dash ?? []);
    sheet.text(plain(curve.name), x + 10 * unit + line, y, { baseline: "middle", room: wide - line - 12 * unit });
  });
  return named.map(([curve]) => curve.name).join(", ");
}

/** Curves over one axis; each has values, a colour, and is a line or dots. What is said of `states` is marked over its place. */
export function drawCurves(sheet, title, axis, [quantity, units], curves, { isLog = false, states = null } = {}) {
  sheet.begin(false);
  const counts = curves.filter((curve) => curve.counts !== false);
  const all = counts.map((curve) => extent(isLog ? curve.values.map((value) => (value > 0 ? value : NaN)) : curve.values)).filter(Boolean);
  let [low, high] = all.length ? [Math.min(...all.map(([least]) => least)), Math.max(...all.map(([, most]) => most))] : [isLog ? 1 : 0, isLog ? 10 : 1];
  if (isLog) [low, high] = low === high ? [low / 2, high * 2] : [low / 1.1, high * 1.1];
  else {
    const room = (high - low || Math.abs(high) || 1) * 0.05;
    [low, high] = [low - room, high + room];
  }
  const { box } = sheet;
  const log = (value) => (value > 0 ? Math.log(value / low) / Math.log(high / low) : NaN);
  const up = (value) => 1 - (isLog ? log(value) : (value - low) / (high - low));
  const x = (value) => box.x + axis.along(value) * box.width;
  const y = (value) => (isNumber(value) ? box.y + up(value) * box.height : NaN);
  if (states) {
    const cell = { width: box.width / axis.length, height: box.height };
    marked(sheet, states, axis.length, (at) => [x(axis.values[at]) - cell.width / 2, box.y], cell);
  }
  sheet.frame();
  sheet.context.save();
  sheet.context.beginPath();
  sheet.context.rect(box.x, box.y, box.width, box.height);
  sheet.context.clip();
  const places = [];
  for (const curve of curves) {
    const points = curve.values.map((value, at) => [x((curve.at ?? axis.values)[at]), y(value)]);
    places.push(points);
    if (!curve.isDots || curve.isBoth) sheet.line(points, curve.colour, curve.width ?? 1.2, curve.dash ?? []);
    if (!curve.isDots) continue;
    const size = (points.length > 600 ? 1 : 1.8) * sheet.unit;
    points.filter(([across, down]) => isNumber(across) && isNumber(down)).forEach(([across, down]) => sheet.dot(across, down, size, curve.colour));
  }
  sheet.context.restore();
  if (!all.length) sheet.text(isLog ? "There are no values above 0 here." : "There are no values here.", box.x + box.width / 2, box.y + box.height / 2, { align: "center", colour: sheet.faint });
  sheet.title(title);
  sheet.across(axis.name, axis.units, axis.ends, (value) => axis.along(value));
  sheet.upwards(quantity, units, [low, high], up, isLog);
  return { kind: "curve", box, axis, x, y, legend: legend(sheet, curves, places) };
}

/** Values at places of their own: those that have failed are crosses, those that are pending rings. */
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
  const of = limits && shade(limits);
  const places = columns.values.map((value, at) => [box.x + across.along(value) * box.width, box.y + down.along(rows.values[at]) * box.height]);
  const size = Math.min(7, Math.max(2, 0.35 * Math.sqrt((box.width * box.height) / Math.max(1, places.length)))) * sheet.unit;
  const failed = new Set(picture.failed);
  places.forEach(([x, y], at) => {
    if (!isNumber(x) || !isNumber(y)) return;
    const value = picture.values[at];
    if (value !== null && limits) sheet.dot(x, y, size, `rgb(${map[Math.round((of(value) * (map.length - 1)) / 255)].join()})`);
    else if (failed.has(at)) sheet.cross(x, y, 0.8 * size, sheet.failed);
    else {
      sheet.context.strokeStyle = sheet.faint;
      sheet.context.lineWidth = sheet.unit;
      sheet.context.beginPath();
      sheet.context.arc(x, y, 0.8 * size, 0, 7);
      sheet.context.stroke();
    }
  });
  sheet.frame();
  sheet.title(picture.title);
  sheet.across(across.name, across.units, across.ends, (value) => across.along(value));
  sheet.upwards(down.name, down.units, down.ends, (value) => down.along(value));
  if (limits) sheet.bar(limits, quantityOf(picture)[1]);
  return { kind: "points", box, places, rows: down, columns: across };
}

/** A single number, or that there is none. */
export function drawNumber(sheet, picture) {
  sheet.begin(false);
  sheet.title(picture.title);
  const value = picture.values[0] ?? null;
  sheet.context.font = `${24 * sheet.unit}px system-ui, sans-serif`;
  sheet.text(value === null ? "no value" : measured(value, quantityOf(picture)[1]), sheet.width / 2, sheet.height / 2, { align: "center" });
  return { kind: "number", box: sheet.box };
}
