//! Formulae of axes as HyperSpy keeps them, `a / x + b`, evaluated at the values of another axis.
//!
//! What SymPy reads of them: numbers, names, + − * / **, brackets, common functions, and
//! substitutions behind semicolons (`a * y; y = x + 1`). Anything else is refused in words: an axis
//! that can't be evaluated must not become another one. Functions are those of `libm`, the same on
//! every machine.

use std::collections::BTreeMap;

/// Brackets, powers and substitutions within each other: more than anybody writes, fewer than a
/// stack has.
const MOST_DEPTH: usize = 50;

/// Operands in all, or with substitutions operators too. Sums are as deep as they are long, and
/// each substitution may double a formula.
const MOST_PARTS: usize = 1000;

/// What names stand for.
pub(crate) type Names = BTreeMap<String, f64>;

/// A formula, ready to be evaluated.
#[derive(Clone, Debug)]
pub(crate) enum Formula {
    Number(f64),
    Name(String),
    Negative(Box<Formula>),
    Two(char, Box<Formula>, Box<Formula>),
    Call(Function, Box<Formula>),
}

/// A function of one argument.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Function(Real);

type Real = fn(f64) -> f64;

const FUNCTIONS: [(&str, Real); 29] = [
    ("exp", libm::exp),
    ("log", libm::log),
    ("ln", libm::log),
    ("log10", libm::log10),
    ("log2", libm::log2),
    ("sqrt", libm::sqrt),
    ("cbrt", libm::cbrt),
    ("abs", libm::fabs),
    ("Abs", libm::fabs),
    ("sin", libm::sin),
    ("cos", libm::cos),
    ("tan", libm::tan),
    ("asin", libm::asin),
    ("acos", libm::acos),
    ("atan", libm::atan),
    ("arcsin", libm::asin),
    ("arccos", libm::acos),
    ("arctan", libm::atan),
    ("sinh", libm::sinh),
    ("cosh", libm::cosh),
    ("tanh", libm::tanh),
    ("asinh", libm::asinh),
    ("acosh", libm::acosh),
    ("atanh", libm::atanh),
    ("erf", libm::erf),
    ("erfc", libm::erfc),
    ("gamma", libm::tgamma),
    ("floor", libm::floor),
    ("ceiling", libm::ceil),
];

impl Formula {
    /// Reads a formula.
    ///
    /// # Errors
    /// What can't be read.
    pub fn new(text: &str) -> Result<Self, String> {
        let mut parts = text.split(';');
        let mut formula = Parser::new(parts.next().unwrap_or_default()).whole()?;
        for part in parts {
            let (name, value) = part
                .split_once('=')
                .ok_or_else(|| format!("`{}` is no substitution", part.trim()))?;
            let value = Parser::new(value).whole()?;
            formula = formula.with(name.trim(), &value, MOST_DEPTH, &mut 0)?;
        }
        Ok(formula)
    }

    /// The formula with another one in place of a name; `parts` counts what it is made of.
    fn with(
        &self,
        name: &str,
        other: &Self,
        depth: usize,
        parts: &mut usize,
    ) -> Result<Self, String> {
        let depth = depth.checked_sub(1).ok_or("it is nested too deeply")?;
        let is_replaced = matches!(self, Self::Name(found) if found == name);
        count(parts, if is_replaced { other.parts() } else { 1 })?;
        let mut inner = |formula: &Self| formula.with(name, other, depth, parts).map(Box::new);
        Ok(match self {
            Self::Name(_) if is_replaced => other.clone(),
            Self::Number(_) | Self::Name(_) => self.clone(),
            Self::Negative(formula) => Self::Negative(inner(formula)?),
            Self::Two(operator, left, right) => Self::Two(*operator, inner(left)?, inner(right)?),
            Self::Call(function, argument) => Self::Call(*function, inner(argument)?),
        })
    }

    /// How many numbers, names, operators and functions it is made of.
    fn parts(&self) -> usize {
        1 + match self {
            Self::Number(_) | Self::Name(_) => 0,
            Self::Negative(inner) | Self::Call(_, inner) => inner.parts(),
            Self::Two(_, left, right) => left.parts() + right.parts(),
        }
    }

    /// Its value; NaN where it has none.
    ///
    /// # Errors
    /// The first name that stands for nothing.
    pub fn value(&self, names: &Names) -> Result<f64, String> {
        Ok(match self {
            Self::Number(number) => *number,
            Self::Name(name) => match (names.get(name), name.as_str()) {
                (Some(value), _) => *value,
                (None, "pi") => std::f64::consts::PI,
                (None, "E") => std::f64::consts::E,
                _ => return Err(format!("nothing says what `{name}` is")),
            },
            Self::Negative(formula) => -formula.value(names)?,
            Self::Call(Function(function), argument) => function(argument.value(names)?),
            Self::Two(operator, left, right) => {
                let (left, right) = (left.value(names)?, right.value(names)?);
                match operator {
                    '+' => left + right,
                    '-' => left - right,
                    '*' => left * right,
                    '/' => left / right,
                    _ => power(left, right),
                }
            }
        })
    }
}

/// Counts some parts more.
fn count(parts: &mut usize, more: usize) -> Result<(), String> {
    *parts += more;
    if *parts > MOST_PARTS { Err("it is too long".to_owned()) } else { Ok(()) }
}

/// Squares exactly as a product, which `pow` of some machines isn't.
fn power(base: f64, exponent: f64) -> f64 {
    if exponent == 2.0 { base * base } else { libm::pow(base, exponent) }
}

/// Reads a formula from left to right, with Python's precedences.
struct Parser<'a> {
    rest: &'a str,
    depth: usize,
    parts: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Self {
        Self { rest: text, depth: 0, parts: 0 }
    }

    fn whole(mut self) -> Result<Formula, String> {
        let formula = self.sum()?;
        match self.rest.trim_start() {
            "" => Ok(formula),
            rest => Err(format!("`{rest}` can't be understood")),
        }
    }

    /// Takes one of some symbols, if it is next.
    fn take(&mut self, symbols: &[&'static str]) -> Option<&'static str> {
        let rest = self.rest.trim_start();
        let symbol = symbols.iter().find(|symbol| rest.starts_with(**symbol))?;
        self.rest = &rest[symbol.len()..];
        Some(symbol)
    }

    fn sum(&mut self) -> Result<Formula, String> {
        let mut sum = self.product()?;
        while let Some(operator) = self.take(&["+", "-"]) {
            sum = two(operator, sum, self.product()?);
        }
        Ok(sum)
    }

    fn product(&mut self) -> Result<Formula, String> {
        let mut product = self.signed()?;
        // A power has been taken before; what is left of it has nothing to its left.
        while let Some(operator) = self.take(&["**", "//", "*", "/"]) {
            if operator.len() > 1 {
                return Err(format!("`{operator}` can't be understood"));
            }
            product = two(operator, product, self.signed()?);
        }
        Ok(product)
    }

    /// `-x**2` is `-(x**2)`.
    fn signed(&mut self) -> Result<Formula, String> {
        count(&mut self.parts, 1)?;
        self.depth += 1;
        if self.depth > MOST_DEPTH {
            return Err("it is nested too deeply".to_owned());
        }
        let formula = match self.take(&["+", "-"]) {
            Some("-") => Formula::Negative(Box::new(self.signed()?)),
            Some(_) => self.signed()?,
            None => self.power()?,
        };
        self.depth -= 1;
        Ok(formula)
    }

    /// `a**b**c` is `a**(b**c)`. SymPy reads `^` as a power too.
    fn power(&mut self) -> Result<Formula, String> {
        let base = self.atom()?;
        match self.take(&["**", "^"]) {
            Some(_) => Ok(two("^", base, self.signed()?)),
            None => Ok(base),
        }
    }

    fn atom(&mut self) -> Result<Formula, String> {
        if self.take(&["("]).is_some() {
            return self.inside();
        }
        self.rest = self.rest.trim_start();
        if let Some(number) = self.number() {
            return number;
        }
        let is_name = |letter: char| letter.is_alphanumeric() || letter == '_';
        let end = self.rest.find(|letter| !is_name(letter)).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        if name.is_empty() {
            let found = if rest.is_empty() { "the end" } else { rest };
            return Err(format!("`{found}` can't be understood"));
        }
        self.rest = rest;
        if self.take(&["("]).is_none() {
            return Ok(Formula::Name(name.to_owned()));
        }
        let known = FUNCTIONS.iter().find(|(known, _)| *known == name);
        let (_, function) = known.ok_or_else(|| format!("the function `{name}` isn't known"))?;
        Ok(Formula::Call(Function(*function), Box::new(self.inside()?)))
    }

    /// What is in brackets, after the opening one.
    fn inside(&mut self) -> Result<Formula, String> {
        let formula = self.sum()?;
        match self.take(&[")"]) {
            Some(_) => Ok(formula),
            None => Err("a bracket isn't closed".to_owned()),
        }
    }

    /// The number that is next: `2`, `0.5`, `.5`, `1e-3`.
    fn number(&mut self) -> Option<Result<Formula, String>> {
        let first = self.rest.chars().next()?;
        if !first.is_ascii_digit() && first != '.' {
            return None;
        }
        let bytes = self.rest.as_bytes();
        let digits = |from: usize| {
            bytes[from..].iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count()
        };
        let mut end = digits(0);
        if bytes.get(end).is_some_and(|byte| matches!(byte, b'e' | b'E')) {
            let sign = usize::from(bytes.get(end + 1).is_some_and(|b| matches!(b, b'+' | b'-')));
            let exponent = digits(end + 1 + sign);
            end += if exponent > 0 { 1 + sign + exponent } else { 0 };
        }
        let (number, rest) = self.rest.split_at(end);
        self.rest = rest;
        let read = number.parse().map(Formula::Number);
        Some(read.map_err(|_| format!("`{number}` is no number")))
    }
}

fn two(operator: &str, left: Formula, right: Formula) -> Formula {
    let symbol = operator.chars().next().unwrap_or('+');
    Formula::Two(symbol, Box::new(left), Box::new(right))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Result<f64, String> {
        let names = [("x", 3.0), ("a", 2.0), ("b_1", 0.5)];
        let names = names.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Formula::new(text)?.value(&names)
    }

    #[test]
    fn formulae_have_the_values_that_python_gives() {
        for (text, expected) in [
            ("a / x + b_1", 2.0 / 3.0 + 0.5),
            ("a * x ** 2", 18.0),
            ("-x**2", -9.0),
            ("(-x)^2", 9.0),
            ("2**3**2", 512.0),
            ("2**-1", 0.5),
            ("1 - 2 - 3", -4.0),
            ("12 / 2 / 3", 2.0),
            ("2*-x", -6.0),
            (".5e1 + 1E-1", 5.1),
            ("exp(0) + log(E) + cos(pi)", 1.0),
            ("sqrt(x*x + 16)", 5.0),
            ("a * y + z; y = x + z; z = 1", 9.0),
            ("1239.8 / (x + 1)", 309.95),
        ] {
            let found = value(text).unwrap();
            assert!((found - expected).abs() < 1e-14 * expected.abs(), "{text}: {found}");
        }
    }

    #[test]
    fn what_cannot_be_evaluated_is_said() {
        let deep = format!("{}x{}", "(".repeat(1000), ")".repeat(1000));
        for (text, reason) in [
            ("", "the end"),
            ("a +", "the end"),
            ("a * c", "what `c` is"),
            ("Piecewise((x, x > 1))", "the function `Piecewise`"),
            ("log(x, 2)", "a bracket isn't closed"),
            ("x // 2", "`//`"),
            ("2 x", "`x`"),
            ("1.2.3", "no number"),
            ("x; y", "no substitution"),
            (&deep, "too deeply"),
        ] {
            let told = value(text).unwrap_err();
            assert!(told.contains(reason), "{text}: {told}");
        }
    }

    #[test]
    fn formulae_that_would_overflow_the_stack_or_memory_are_too_long() {
        let sum = format!("x{}", " + x".repeat(1 << 20));
        let doubled: String = (0..40).map(|at| format!("; x{at} = x{0} * x{0}", at + 1)).collect();
        for text in [sum, format!("x0{doubled}")] {
            assert_eq!(value(&text), Err("it is too long".to_owned()));
        }
        assert_eq!(value(&format!("x{}", " + x".repeat(500))), Ok(1503.0));
    }
}
