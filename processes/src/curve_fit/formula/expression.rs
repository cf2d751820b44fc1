//! A formula as it was written, and as it is printed again: with as few parentheses as there can
//! be, so that equal formulas are equal texts.

use std::fmt;

use super::functions::Function;

/// A part of a formula.
#[derive(Clone, Debug, PartialEq)]
pub enum Expression {
    /// A number, not negative.
    Number(f64),
    /// π or e.
    Constant(Constant),
    /// The place on the axis.
    Place,
    /// A parameter, by its number.
    Parameter(usize),
    /// What is behind a minus sign.
    Negative(Box<Self>),
    /// Two parts and what joins them.
    Binary(Operator, Box<Self>, Box<Self>),
    /// A function of a part.
    Call(Function, Box<Self>),
}

/// A number with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Constant {
    /// The ratio of a circle's circumference to its diameter.
    Pi,
    /// The base of natural logarithms.
    E,
}

impl Constant {
    /// Both, with their names.
    pub const ALL: [(Self, &str); 2] = [(Self::Pi, "pi"), (Self::E, "e")];

    /// Its value.
    pub fn value(self) -> f64 {
        match self {
            Self::Pi => std::f64::consts::PI,
            Self::E => std::f64::consts::E,
        }
    }
}

/// What joins two parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// Their sum.
    Add,
    /// Their difference.
    Subtract,
    /// Their product.
    Multiply,
    /// Their ratio.
    Divide,
    /// The left one to the power of the right one.
    Power,
}

impl Operator {
    /// How tightly it binds.
    pub fn strength(self) -> u8 {
        match self {
            Self::Add | Self::Subtract => 1,
            Self::Multiply | Self::Divide => 2,
            Self::Power => POWER,
        }
    }

    fn sign(self) -> char {
        match self {
            Self::Add => '+',
            Self::Subtract => '-',
            Self::Multiply => '*',
            Self::Divide => '/',
            Self::Power => '^',
        }
    }
}

/// A minus sign in front binds tighter than a product, and less than a power: −x² is −(x²).
pub const NEGATIVE: u8 = 3;
const POWER: u8 = 4;
const ATOM: u8 = 5;

impl Expression {
    fn strength(&self) -> u8 {
        match self {
            Self::Binary(operator, ..) => operator.strength(),
            Self::Negative(_) => NEGATIVE,
            _ => ATOM,
        }
    }

    /// The formula with these names of parameters.
    pub fn with_names<'e>(&'e self, names: &'e [String]) -> impl fmt::Display + use<'e> {
        Printed { expression: self, names }
    }
}

struct Printed<'e> {
    expression: &'e Expression,
    names: &'e [String],
}

impl Printed<'_> {
    /// A part of it, in parentheses if it binds less than `least`.
    fn part(
        &self,
        expression: &Expression,
        least: u8,
        formatter: &mut fmt::Formatter<'_>,
    ) -> fmt::Result {
        let printed = Printed { expression, names: self.names };
        if expression.strength() < least {
            write!(formatter, "({printed})")
        } else {
            write!(formatter, "{printed}")
        }
    }
}

impl fmt::Display for Printed<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.expression {
            // All digits, and no more of them than there are.
            Expression::Number(value) if (1e-4..1e15).contains(value) || *value == 0.0 => {
                write!(formatter, "{value}")
            }
            Expression::Number(value) => write!(formatter, "{value:e}"),
            Expression::Constant(constant) => {
                let name = Constant::ALL.iter().find(|(known, _)| known == constant);
                formatter.write_str(name.map_or("", |(_, name)| name))
            }
            Expression::Place => formatter.write_str("x"),
            Expression::Parameter(number) => {
                formatter.write_str(self.names.get(*number).map_or("?", String::as_str))
            }
            Expression::Negative(inner) => {
                formatter.write_str("-")?;
                self.part(inner, NEGATIVE, formatter)
            }
            Expression::Binary(operator, left, right) => {
                let strength = operator.strength();
                // Powers are read from the right, all others from the left; an exponent may begin
                // with a minus sign.
                let (of_left, of_right) = match operator {
                    Operator::Power => (ATOM, NEGATIVE),
                    _ => (strength, strength + 1),
                };
                self.part(left, of_left, formatter)?;
                write!(formatter, "{}", operator.sign())?;
                self.part(right, of_right, formatter)
            }
            Expression::Call(function, inner) => {
                write!(formatter, "{}(", function.name())?;
                self.part(inner, 0, formatter)?;
                formatter.write_str(")")
            }
        }
    }
}
