// Numbers, units and times as people write them.

const SIGNS = {
  alpha: "α", beta: "β", gamma: "γ", delta: "δ", epsilon: "ε", eta: "η", theta: "θ", lambda: "λ", mu: "µ", nu: "ν", pi: "π",
  rho: "ρ", sigma: "σ", tau: "τ", phi: "φ", chi: "χ", psi: "ψ", omega: "ω", Gamma: "Γ", Delta: "Δ", Theta: "Θ", Lambda: "Λ",
  Sigma: "Σ", Phi: "Φ", Psi: "Ψ", Omega: "Ω", sqrt: "√", times: "×", cdot: "·", circ: "°", degree: "°", AA: "Å", pm: "±", infty: "∞",
};
const RAISED = { 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹", "-": "⁻", "+": "⁺" };

/** TeX between dollars as signs: `$\sqrt E$` is √E. */
export function plain(text) {
  return text.replace(/\$([^$]*)\$/g, (_, tex) =>
    tex
      .replace(/\\(?:mathrm|text|mathit|mathbf)\{([^}]*)\}/g, "$1")
      .replace(/\\([A-Za-z]+) ?/g, (all, name) => SIGNS[name] ?? name)
      .replace(/\^\{?([-+0-9]+)\}?/g, (_, digits) => [...digits].map((digit) => RAISED[digit]).join(""))
      .replace(/[{}]/g, "")
  );
}

/** As many digits as the number has, but no more than `digits`. */
export function number(value, digits = 9) {
  if (value === null || value === undefined) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  const text = size >= 1e-4 && size < 1e9 ? Number(value.toPrecision(digits)).toString() : value.toExponential(digits - 1).replace(/\.?0+e/, "e");
  return text.replaceAll("-", "−");
}

/** A count with its thousands apart. */
export const count = (value) => value.toLocaleString("en-US");

export function bytes(value) {
  const names = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let at = 0;
  while (value >= 1024 && at < names.length - 1) [value, at] = [value / 1024, at + 1];
  return `${at ? value.toFixed(1) : value} ${names[at]}`;
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
