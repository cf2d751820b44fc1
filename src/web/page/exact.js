// JSON with all digits of whole numbers: those that are more than a number holds here are a BigInt.

/** Texts, and numbers. */
const WORDS = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
const isLong = (word) => /^-?\d{16,}$/.test(word) && !Number.isSafeInteger(Number(word));

/** What a text doesn't have in it. */
function markFor(text) {
  let mark = "whole:";
  while (text.includes(mark)) mark += ":";
  return mark;
}

export function parsed(text) {
  if (!/\d{16}/.test(text)) return JSON.parse(text);
  const mark = markFor(text);
  const marked = text.replace(WORDS, (word) => (isLong(word) ? `"${mark}${word}"` : word));
  const long = (_, value) => (typeof value === "string" && value.startsWith(mark) ? BigInt(value.slice(mark.length)) : value);
  return JSON.parse(marked, long);
}

export function written(value) {
  const mark = markFor(JSON.stringify(value, (_, of) => (typeof of === "bigint" ? "" : of)) ?? "");
  const marked = JSON.stringify(value, (_, of) => (typeof of === "bigint" ? mark + of : of));
  return marked.replace(new RegExp(`"${mark}(-?\\d+)"`, "g"), "$1");
}

/** Whether all numbers in a value are some that JSON can write. */
export function isWritable(value) {
  if (Array.isArray(value)) return value.every(isWritable);
  if (value !== null && typeof value === "object") return Object.values(value).every(isWritable);
  return typeof value !== "number" || Number.isFinite(value);
}
