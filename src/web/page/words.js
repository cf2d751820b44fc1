// Numbers, units and times as people write them.

const SIGNS = Object.fromEntries(
  "alpha α beta β gamma γ delta δ epsilon ε varepsilon ε zeta ζ eta η theta θ vartheta ϑ iota ι kappa κ lambda λ mu µ nu ν xi ξ pi π rho ρ sigma σ tau τ upsilon υ phi φ varphi φ chi χ psi ψ omega ω Gamma Γ Delta Δ Theta Θ Lambda Λ Xi Ξ Pi Π Sigma Σ Phi Φ Psi Ψ Omega Ω hbar ℏ ell ℓ AA Å degree ° circ ° prime ′ cdot · times × pm ± mp ∓ approx ≈ sim ∼ propto ∝ infty ∞ partial ∂ nabla ∇ int ∫ sum Σ le ≤ leq ≤ ge ≥ geq ≥ neq ≠ to → rightarrow → parallel ∥ perp ⊥ langle ⟨ rangle ⟩ ldots … micro µ ohm Ω percent %"
    .split(" ")
    .flatMap((name, at, all) => (at % 2 ? [] : [[name, all[at + 1]]]))
);
const STYLES = new Set(["mathrm", "rm", "text", "mathit", "textrm", "mathbf", "left", "right"]);
const RAISED = ["0123456789+-=().in′*°aebcdfghjklmoprstuvwxyz", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾·ⁱⁿ′*°ᵃᵉᵇᶜᵈᶠᵍʰʲᵏˡᵐᵒᵖʳˢᵗᵘᵛʷˣʸᶻ"];
const LOWERED = ["0123456789+-=()aeoxhklmnpstijruv", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₒₓₕₖₗₘₙₚₛₜᵢⱼᵣᵤᵥ"];

/** TeX as the signs that it stands for, `$\sqrt E$` as √E; what has no sign is left as it is written, without its braces. */
export function plain(text) {
  if (!/\$[^$]*\$|\\|[\^_]\{/.test(text)) return text;
  const signs = [...text];
  let at = 0;
  const until = (end) => {
    let read = "";
    while (at < signs.length && signs[at] !== end) read += one();
    at += 1;
    return read;
  };
  const one = () => {
    const sign = signs[at++];
    if (sign === "{") return until("}");
    if (sign === "}" || sign === "$" || sign === undefined) return "";
    if (sign === "\\") return command();
    if (sign === "^") return script(one(), RAISED, "^");
    if (sign === "_") return script(one(), LOWERED, "_");
    return sign === "~" ? " " : sign;
  };
  const command = () => {
    let name = "";
    while (/[A-Za-z]/.test(signs[at] ?? "")) name += signs[at++];
    if (!name) {
      const sign = signs[at++] ?? "";
      return ",;:! ".includes(sign) ? " " : sign;
    }
    const isKnown = name in SIGNS || STYLES.has(name) || name === "sqrt" || name === "frac";
    while (isKnown && signs[at] === " ") at += 1;
    if (name === "sqrt") return `√${grouped(one())}`;
    if (name === "frac") return `${grouped(one())}/${grouped(one())}`;
    if (STYLES.has(name)) return one();
    return name === "quad" ? " " : SIGNS[name] ?? name;
  };
  return until(null);
}

const grouped = (text) => ([...text].length > 1 ? `(${text})` : text);

function script(text, [plains, shifted], sign) {
  const [from, to] = [[...plains], [...shifted]];
  const found = [...text].map((letter) => to[from.indexOf(letter)]);
  return found.every((letter) => letter !== undefined) ? found.join("") : `${sign}${text}`;
}

/**
 * A number with as many digits as tell it from all others of its type, which is single precision if it is one of these. With
 * `digits` it is rounded.
 */
export function number(value, digits = null) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "bigint") return String(value).replaceAll("-", "−");
  const isSingle = Math.fround(value) === value && !Number.isInteger(value);
  const tells = (most) => Math.fround(Number(value.toPrecision(most))) === value;
  const enough = digits ?? (isSingle ? [1, 2, 3, 4, 5, 6, 7, 8].find(tells) ?? 9 : null);
  const exact = enough === null ? value : Number(value.toPrecision(enough));
  const size = Math.abs(exact);
  const text = size === 0 || (size >= 1e-4 && size < (Number.isInteger(exact) ? 1e15 : 1e9)) ? String(exact) : exact.toExponential();
  return text.replaceAll("-", "−");
}

/** A number with its units. */
export const measured = (value, units) => `${number(value)} ${plain(units)}`.trim();

/** A count with its thousands apart. */
export const count = (value) => value.toLocaleString("en-US");

/** `1 position`, `2 positions`. */
export const counted = (value, name) => `${count(value)} ${name}${value === 1 ? "" : "s"}`;

export function bytes(value) {
  const names = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let at = 0;
  while (value >= 1024 && at < names.length - 1) [value, at] = [value / 1024, at + 1];
  return `${at ? value.toFixed(1) : Math.round(value)} ${names[at]}`;
}

export function duration(seconds) {
  if (seconds === null) return "unknown";
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const all = Math.round(seconds);
  const [hours, minutes, rest] = [Math.floor(all / 3600), Math.floor((all % 3600) / 60), all % 60];
  if (hours) return `${hours} h ${minutes} min`;
  return minutes ? `${minutes} min ${rest} s` : `${rest} s`;
}

const PREFIXES = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""], [1e-3, "m"], [1e-6, "µ"], [1e-9, "n"], [1e-12, "p"], [1e-15, "f"]];
const PREFIXED = new Set(["V", "A", "Hz", "s", "m", "eV", "W", "F", "Ohm", "N", "Pa", "J", "C", "T", "S"]);

/** What values of this size are divided by, and the units that they have then. */
export function scaled(units, size) {
  if (!PREFIXED.has(units) || !(size > 0)) return [1, plain(units)];
  const [factor, prefix] = PREFIXES.find(([factor]) => size >= factor * 0.9999) ?? [1, ""];
  return [factor, prefix + units];
}

/** `Name (units)`. */
export function labelled(name, units) {
  return units ? `${plain(name)} (${units})` : plain(name);
}

/** An element with its text and attributes. */
export function element(name, text = "", attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

/** Fills a choice with options of the given names and values, unless it has these: one that is just open stays so. */
export function offer(select, options, value) {
  const is = JSON.stringify(options);
  if (select.dataset.options !== is) {
    select.dataset.options = is;
    select.replaceChildren(...options.map(([name, of, title = ""]) => Object.assign(new Option(name, of), { title })));
  }
  select.value = value;
}
