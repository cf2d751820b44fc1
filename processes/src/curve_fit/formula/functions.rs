//! The functions that a formula may have: their names, values and derivatives.

use super::graph::{Graph, Id};
use crate::curve_fit::arrays;

/// A function of one variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Function {
    /// eˣ.
    Exp,
    /// The natural logarithm.
    Log,
    /// The logarithm to the base 10.
    Log10,
    /// The logarithm to the base 2.
    Log2,
    /// The square root.
    Sqrt,
    /// The sine of an angle in radians.
    Sin,
    /// Its cosine.
    Cos,
    /// Its tangent.
    Tan,
    /// The angle that has this sine.
    Asin,
    /// The angle that has this cosine.
    Acos,
    /// The angle that has this tangent.
    Atan,
    /// The hyperbolic sine.
    Sinh,
    /// The hyperbolic cosine.
    Cosh,
    /// The hyperbolic tangent.
    Tanh,
    /// The error function.
    Erf,
    /// 1 − erf.
    Erfc,
    /// The magnitude.
    Abs,
    /// −1, 0 or 1: the derivative of the magnitude, which no formula can name. It has no derivative
    /// by which one could tell what it depends on.
    Sign,
}

/// All names that people may write; the first of a function is the one that is printed.
pub const NAMES: [(&str, Function); 18] = [
    ("exp", Function::Exp),
    ("log", Function::Log),
    ("ln", Function::Log),
    ("log10", Function::Log10),
    ("log2", Function::Log2),
    ("sqrt", Function::Sqrt),
    ("sin", Function::Sin),
    ("cos", Function::Cos),
    ("tan", Function::Tan),
    ("asin", Function::Asin),
    ("acos", Function::Acos),
    ("atan", Function::Atan),
    ("sinh", Function::Sinh),
    ("cosh", Function::Cosh),
    ("tanh", Function::Tanh),
    ("erf", Function::Erf),
    ("erfc", Function::Erfc),
    ("abs", Function::Abs),
];

impl Function {
    /// The function of a name.
    pub fn of(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, function)| *function)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(_, function)| *function == self).map_or("sign", |(name, _)| name)
    }

    /// Its value, with the same bits on every machine.
    #[inline(always)]
    pub fn value(self, at: f64) -> f64 {
        match self {
            Self::Exp => exp(at),
            Self::Log => libm::log(at),
            Self::Log10 => libm::log10(at),
            Self::Log2 => libm::log2(at),
            Self::Sqrt => at.sqrt(),
            Self::Sin => libm::sin(at),
            Self::Cos => libm::cos(at),
            Self::Tan => libm::tan(at),
            Self::Asin => libm::asin(at),
            Self::Acos => libm::acos(at),
            Self::Atan => libm::atan(at),
            Self::Sinh => libm::sinh(at),
            Self::Cosh => libm::cosh(at),
            Self::Tanh => libm::tanh(at),
            Self::Erf => libm::erf(at),
            Self::Erfc => libm::erfc(at),
            Self::Abs => at.abs(),
            Self::Sign if at == 0.0 => 0.0,
            Self::Sign => at.signum(),
        }
    }

    /// Its derivative at `inner`; `whole` is the function of it.
    pub fn derivative(self, graph: &mut Graph, inner: Id, whole: Id) -> Id {
        let number = |graph: &mut Graph, value| graph.number(value);
        let over = |graph: &mut Graph, below: Id| {
            let one = graph.number(1.0);
            graph.divide(one, below)
        };
        match self {
            Self::Exp => whole,
            Self::Log => over(graph, inner),
            Self::Log10 | Self::Log2 => {
                let base: f64 = if self == Self::Log2 { 2.0 } else { 10.0 };
                let scale = number(graph, libm::log(base));
                let below = graph.multiply(scale, inner);
                over(graph, below)
            }
            Self::Sqrt => {
                let two = number(graph, 2.0);
                let below = graph.multiply(two, whole);
                over(graph, below)
            }
            Self::Sin => graph.call(Self::Cos, inner),
            Self::Cos => {
                let sine = graph.call(Self::Sin, inner);
                graph.negate(sine)
            }
            Self::Sinh => graph.call(Self::Cosh, inner),
            Self::Cosh => graph.call(Self::Sinh, inner),
            Self::Tan | Self::Tanh | Self::Atan | Self::Asin | Self::Acos => {
                self.by_square(graph, inner, whole)
            }
            Self::Erf | Self::Erfc => {
                let square = graph.whole_power(inner, 2);
                let exponent = graph.negate(square);
                let bell = graph.call(Self::Exp, exponent);
                let sign = if self == Self::Erf { 1.0 } else { -1.0 };
                let scale = number(graph, sign * std::f64::consts::FRAC_2_SQRT_PI);
                graph.multiply(scale, bell)
            }
            Self::Abs => graph.call(Self::Sign, inner),
            Self::Sign => number(graph, 0.0),
        }
    }

    /// Those derivatives that have 1 ± a square.
    fn by_square(self, graph: &mut Graph, inner: Id, whole: Id) -> Id {
        let one = graph.number(1.0);
        let of_whole = matches!(self, Self::Tan | Self::Tanh);
        let square = graph.whole_power(if of_whole { whole } else { inner }, 2);
        let sum = match self {
            Self::Tan | Self::Atan => graph.add(one, square),
            _ => graph.subtract(one, square),
        };
        match self {
            Self::Tan | Self::Tanh => sum,
            Self::Atan => graph.divide(one, sum),
            _ => {
                let root = graph.call(Self::Sqrt, sum);
                let above = graph.number(if self == Self::Acos { -1.0 } else { 1.0 });
                graph.divide(above, root)
            }
        }
    }
}

/// eˣ, which is 0 below e⁻⁷⁰⁰ and infinite above e⁷⁰⁰.
#[inline(always)]
fn exp(x: f64) -> f64 {
    let within = arrays::exp(x);
    let within = if x < -700.0 { 0.0 } else { within };
    if x > 700.0 { f64::INFINITY } else { within }
}
