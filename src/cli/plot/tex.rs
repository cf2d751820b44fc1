//! TeX in the names and units of axes, as the signs that it stands for.

/// Commands that stand for one sign each.
const SIGNS: [(&str, &str); 70] = [
    ("alpha", "α"),
    ("beta", "β"),
    ("gamma", "γ"),
    ("delta", "δ"),
    ("epsilon", "ε"),
    ("varepsilon", "ε"),
    ("zeta", "ζ"),
    ("eta", "η"),
    ("theta", "θ"),
    ("vartheta", "ϑ"),
    ("iota", "ι"),
    ("kappa", "κ"),
    ("lambda", "λ"),
    ("mu", "µ"),
    ("nu", "ν"),
    ("xi", "ξ"),
    ("pi", "π"),
    ("rho", "ρ"),
    ("sigma", "σ"),
    ("tau", "τ"),
    ("upsilon", "υ"),
    ("phi", "φ"),
    ("varphi", "φ"),
    ("chi", "χ"),
    ("psi", "ψ"),
    ("omega", "ω"),
    ("Gamma", "Γ"),
    ("Delta", "Δ"),
    ("Theta", "Θ"),
    ("Lambda", "Λ"),
    ("Xi", "Ξ"),
    ("Pi", "Π"),
    ("Sigma", "Σ"),
    ("Phi", "Φ"),
    ("Psi", "Ψ"),
    ("Omega", "Ω"),
    ("hbar", "ℏ"),
    ("ell", "ℓ"),
    ("AA", "Å"),
    ("degree", "°"),
    ("circ", "°"),
    ("prime", "′"),
    ("cdot", "·"),
    ("times", "×"),
    ("pm", "±"),
    ("mp", "∓"),
    ("approx", "≈"),
    ("sim", "∼"),
    ("propto", "∝"),
    ("infty", "∞"),
    ("partial", "∂"),
    ("nabla", "∇"),
    ("int", "∫"),
    ("sum", "Σ"),
    ("le", "≤"),
    ("leq", "≤"),
    ("ge", "≥"),
    ("geq", "≥"),
    ("neq", "≠"),
    ("to", "→"),
    ("rightarrow", "→"),
    ("parallel", "∥"),
    ("perp", "⊥"),
    ("langle", "⟨"),
    ("rangle", "⟩"),
    ("ldots", "…"),
    ("quad", " "),
    ("micro", "µ"),
    ("ohm", "Ω"),
    ("percent", "%"),
];
const RAISED: (&str, &str) = (
    "0123456789+-=().in′*°aebcdfghjklmoprstuvwxyz",
    "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾·ⁱⁿ′*°ᵃᵉᵇᶜᵈᶠᵍʰʲᵏˡᵐᵒᵖʳˢᵗᵘᵛʷˣʸᶻ",
);
const LOWERED: (&str, &str) =
    ("0123456789+-=()aeoxhklmnpstijruv", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₒₓₕₖₗₘₙₚₛₜᵢⱼᵣᵤᵥ");

/// A text with signs for the TeX in it, if there is any: what stands between dollars, and commands
/// wherever they are. What has no sign is left as it is written, without its braces.
pub(crate) fn signs(text: &str) -> String {
    let is_tex = text.matches('$').count() >= 2 || text.contains('\\') || has_braced_script(text);
    if !is_tex {
        return text.to_owned();
    }
    let text: Vec<char> = text.chars().collect();
    Reader { text: &text, at: 0 }.until(None)
}

/// `m^{2}`: nobody writes that without meaning it.
fn has_braced_script(text: &str) -> bool {
    ["^{", "_{"].iter().any(|script| text.contains(script))
}

struct Reader<'t> {
    text: &'t [char],
    at: usize,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let next = self.text.get(self.at).copied();
        self.at += 1;
        next
    }

    fn until(&mut self, end: Option<char>) -> String {
        let mut read = String::new();
        while self.text.get(self.at).is_some_and(|sign| Some(*sign) != end) {
            read.push_str(&self.one());
        }
        self.at += 1;
        read
    }

    /// The next sign, or group of them.
    fn one(&mut self) -> String {
        match self.next() {
            Some('{') => self.until(Some('}')),
            Some('}' | '$') | None => String::new(),
            Some('\\') => self.command(),
            Some('^') => script(&self.one(), RAISED, '^'),
            Some('_') => script(&self.one(), LOWERED, '_'),
            Some('~') => " ".to_owned(),
            Some(other) => other.to_string(),
        }
    }

    fn command(&mut self) -> String {
        let begin = self.at;
        while self.text.get(self.at).is_some_and(char::is_ascii_alphabetic) {
            self.at += 1;
        }
        let name: String = self.text[begin..self.at].iter().collect();
        if name.is_empty() {
            // A space, or a sign that would mean something without the stroke.
            return match self.next() {
                Some(',' | ';' | ':' | '!' | ' ') => " ".to_owned(),
                Some(sign) => sign.to_string(),
                None => String::new(),
            };
        }
        // Spaces end a command and are no part of what it stands for.
        while self.text.get(self.at) == Some(&' ') && is_known(&name) {
            self.at += 1;
        }
        match name.as_str() {
            "sqrt" => format!("√{}", grouped(&self.one())),
            "frac" => {
                let (above, below) = (self.one(), self.one());
                format!("{}/{}", grouped(&above), grouped(&below))
            }
            "mathrm" | "rm" | "text" | "mathit" | "textrm" | "mathbf" | "left" | "right" => {
                self.one()
            }
            _ => {
                let known = SIGNS.iter().find(|(command, _)| *command == name);
                known.map_or(name.clone(), |(_, sign)| (*sign).to_owned())
            }
        }
    }
}

fn is_known(name: &str) -> bool {
    SIGNS.iter().any(|(command, _)| *command == name)
        || ["sqrt", "frac", "mathrm", "rm", "text", "mathit", "textrm", "mathbf"].contains(&name)
}

/// In brackets, if it is more than one sign.
fn grouped(text: &str) -> String {
    if text.chars().count() > 1 { format!("({text})") } else { text.to_owned() }
}

/// Raised or lowered, if there are such signs for all of it.
fn script(text: &str, (plain, moved): (&str, &str), mark: char) -> String {
    if text == "°" || text == "′" {
        return text.to_owned();
    }
    let sign = |sign: char| {
        let at = plain.chars().position(|known| known == sign)?;
        moved.chars().nth(at)
    };
    let moved: Option<String> = text.replace('−', "-").chars().map(sign).collect();
    moved.unwrap_or_else(|| format!("{mark}{}", grouped(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tex_is_drawn_as_the_signs_that_it_stands_for() {
        for (text, expected) in [
            (r"$\sqrt E$", "√E"),
            (r"$\sqrt{2 E}$ (eV)", "√(2 E) (eV)"),
            (r"$\mu$m", "µm"),
            (r"\mu m", "µm"),
            ("m^{2}", "m²"),
            ("A^{-1}", "A⁻¹"),
            ("$k_{0}$", "k₀"),
            ("V_{dc}", "V_(dc)"),
            (r"$\frac{dI}{dV}$", "(dI)/(dV)"),
            (r"$\theta_{max}$ ($^\circ$)", "θₘₐₓ (°)"),
            (r"$\AA^{-1}$", "Å⁻¹"),
            (r"$\mathrm{counts}\,s^{-1}$", "counts s⁻¹"),
            (r"$\Delta E$", "ΔE"),
            (r"$x^2$", "x²"),
            ("$(V/m)^{0.5}$", "(V/m)⁰·⁵"),
            (r"50\%", "50%"),
        ] {
            assert_eq!(signs(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_tex_stays_as_it_is() {
        for text in ["DC_Offset", "x^2", "a{b}", "US$", "", "µm", "Quality Factor [%]"] {
            assert_eq!(signs(text), text);
        }
        // Nor does what is broken break anything.
        for text in ["$^", r"$\", r"$\sqrt", "$_{a", r"$\unheard of$", "}$$"] {
            signs(text);
        }
        assert_eq!(signs(r"$\unheard$ x"), "unheard x");
    }
}
