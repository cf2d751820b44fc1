// A part of what each position has: drawn with the mouse, moved and resized by it, or typed.

/** The numbers of each kind, in points of the frame or of the spectrum. */
export const KINDS = {
  disk: ["row", "column", "radius"],
  ring: ["row", "column", "inner", "outer"],
  rectangle: ["top", "left", "bottom", "right"],
  window: ["first", "last"],
};

/** How near the mouse has to be to an edge, in pixels of the screen. */
const NEAR = 8;

export function parsed(text) {
  const [kind, numbers] = (text ?? "").split(":");
  const values = (numbers ?? "").split(",").map(Number);
  if (!(kind in KINDS) || values.length !== KINDS[kind].length || values.some(Number.isNaN)) return null;
  return { kind, ...Object.fromEntries(KINDS[kind].map((name, at) => [name, values[at]])) };
}

const short = (value) => Number(value.toFixed(2)).toString();

export function written(detector) {
  return `${detector.kind}:${KINDS[detector.kind].map((name) => short(detector[name])).join(",")}`;
}

/** One to begin with, in the middle. */
export function first(kind, [rows, columns]) {
  const [row, column, size] = [(rows - 1) / 2, (columns - 1) / 2, Math.max(1, Math.min(rows, columns) / 8)];
  switch (kind) {
    case "disk":
      return { kind, row, column, radius: size };
    case "ring":
      return { kind, row, column, inner: size, outer: 2 * size };
    case "rectangle":
      return { kind, top: Math.round(row - size), left: Math.round(column - size), bottom: Math.round(row + size), right: Math.round(column + size) };
    default:
      return { kind, first: Math.round(columns * 0.4), last: Math.round(columns * 0.6) };
  }
}

/** What the mouse has got hold of at a place of the frame; `scale` is pixels of the screen per point. */
export function grabbed(detector, at, scale) {
  const near = NEAR / scale;
  if (detector.kind === "window") {
    if (Math.abs(at.column - detector.first) <= near) return "first";
    if (Math.abs(at.column - detector.last) <= near) return "last";
    return at.column > detector.first && at.column < detector.last ? "all" : null;
  }
  if (detector.kind === "rectangle") {
    const sides = { top: at.row - detector.top, bottom: at.row - detector.bottom, left: at.column - detector.left, right: at.column - detector.right };
    const within = at.row > detector.top - near && at.row < detector.bottom + near && at.column > detector.left - near && at.column < detector.right + near;
    const side = Object.keys(sides).find((name) => Math.abs(sides[name]) <= near);
    if (!within) return null;
    return side ?? "all";
  }
  const away = Math.hypot(at.row - detector.row, at.column - detector.column);
  const edges = detector.kind === "disk" ? ["radius"] : ["outer", "inner"];
  const edge = edges.find((name) => Math.abs(away - detector[name]) <= Math.min(near, detector[name] / 2));
  return edge ?? (away < (detector.radius ?? detector.outer) ? "all" : null);
}

/** The same after what was got hold of has come to another place of a frame of this size. */
export function pulled(detector, what, from, to, size) {
  let [down, right] = [to.row - from.row, to.column - from.column];
  if (detector.kind === "window" && what === "all") right = Math.max(-detector.first, Math.min(size[1] - 1 - detector.last, right));
  const next = { ...detector };
  if (what === "all") {
    for (const name of KINDS[detector.kind]) {
      if (["row", "top", "bottom"].includes(name)) next[name] += down;
      if (["column", "left", "right", "first", "last"].includes(name)) next[name] += right;
    }
  } else if (["radius", "inner", "outer"].includes(what)) {
    next[what] = Math.hypot(to.row - detector.row, to.column - detector.column);
  } else next[what] = ["top", "bottom"].includes(what) ? to.row : to.column;
  return ordered(next, size);
}

/** A new one from where the mouse was pressed to where it is. */
export function spanned(kind, from, to) {
  const radius = Math.hypot(to.row - from.row, to.column - from.column);
  switch (kind) {
    case "disk":
      return { kind, row: from.row, column: from.column, radius };
    case "ring":
      return { kind, row: from.row, column: from.column, inner: radius / 2, outer: radius };
    case "rectangle":
      return ordered({ kind, top: from.row, left: from.column, bottom: to.row, right: to.column });
    default:
      return ordered({ kind, first: from.column, last: to.column });
  }
}

/** Ends in their order, and whole points of what there is where they have to be. */
export function ordered(detector, size = [Infinity, Infinity]) {
  const next = { ...detector };
  const pair = (low, high) => ([next[low], next[high]] = [Math.min(next[low], next[high]), Math.max(next[low], next[high])]);
  if (next.kind === "ring") pair("inner", "outer");
  if (next.kind === "rectangle") {
    pair("top", "bottom");
    pair("left", "right");
  }
  if (next.kind === "window") {
    pair("first", "last");
    [next.first, next.last] = [next.first, next.last].map((point) => Math.min(size[1] - 1, Math.max(0, Math.round(point))));
  }
  return next;
}

/** The points at which the mouse can take hold of it. */
function handles({ kind, ...of }) {
  const around = (radius) => [[0, radius], [0, -radius], [radius, 0], [-radius, 0]].map(([down, right]) => [of.row + down, of.column + right]);
  if (kind === "disk") return [[of.row, of.column], ...around(of.radius)];
  if (kind === "ring") return [[of.row, of.column], ...around(of.inner), ...around(of.outer)];
  const [row, column] = [(of.top + of.bottom) / 2, (of.left + of.right) / 2];
  return [[row, column], [row, of.left], [row, of.right], [of.top, column], [of.bottom, column]];
}

/** Draws it; `place` gives the screen's place of a row and a column. */
export function draw(sheet, detector, place) {
  const { box, context } = sheet;
  if (detector.kind === "window") {
    const [left, right] = [place(0, detector.first - 0.5)[0], place(0, detector.last + 0.5)[0]];
    context.fillStyle = sheet.second;
    context.globalAlpha = 0.15;
    context.fillRect(Math.min(left, right), box.y, Math.abs(right - left), box.height);
    context.globalAlpha = 1;
    for (const x of [left, right]) {
      sheet.line([[x, box.y], [x, box.y + box.height]], sheet.second, 1.5);
      context.fillStyle = sheet.second;
      context.fillRect(x - 3, box.y + box.height / 2 - 9, 6, 18);
    }
    return;
  }
  context.save();
  context.beginPath();
  context.rect(box.x, box.y, box.width, box.height);
  context.clip();
  if (detector.kind === "rectangle") {
    const [left, top] = place(detector.top, detector.left);
    const [right, bottom] = place(detector.bottom, detector.right);
    sheet.twice((path) => path.rect(left, top, right - left, bottom - top), [6, 4]);
  } else {
    const [x, y] = place(detector.row, detector.column);
    const [dx, dy] = [place(0, 1)[0] - place(0, 0)[0], place(1, 0)[1] - place(0, 0)[1]];
    for (const radius of detector.kind === "disk" ? [detector.radius] : [detector.inner, detector.outer]) {
      sheet.twice((path) => path.ellipse(x, y, radius * dx, radius * dy, 0, 0, 7), [6, 4]);
    }
  }
  for (const [row, column] of handles(detector)) {
    const [x, y] = place(row, column);
    context.fillStyle = "#fff";
    context.strokeStyle = "#000";
    context.lineWidth = sheet.unit;
    const half = 3 * sheet.unit;
    for (const draw of ["fillRect", "strokeRect"]) context[draw](x - half, y - half, 2 * half, 2 * half);
  }
  context.restore();
}

/** The parameters of the process `masks` for the same part of a frame; null if it has none for it. */
export function asMasks(detector) {
  // The middle of two numbers has a digit more than these.
  const near = (value) => Number(value.toFixed(6));
  switch (detector.kind) {
    case "disk":
      return { shape: "disk", center_y: near(detector.row), center_x: near(detector.column), radius: near(detector.radius) };
    case "ring":
      return { shape: "ring", center_y: near(detector.row), center_x: near(detector.column), radius: near(detector.outer), radius_inner: near(detector.inner) };
    case "rectangle":
      return {
        shape: "rectangle", center_y: near((detector.top + detector.bottom) / 2), center_x: near((detector.left + detector.right) / 2),
        height: near(detector.bottom - detector.top), width: near(detector.right - detector.left),
      };
    default:
      return null;
  }
}
