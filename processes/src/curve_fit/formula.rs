//! A component by a formula of one's own, as `A*exp(-x/tau)+c`, with its derivatives.
//!
//! `x` is the place on the axis, `pi` and `e` are numbers, and every other name is a parameter.
//! A formula is read (`parse`), becomes a graph that is simplified and derived by the rules of
//! calculus (`graph`), and a list of steps over blocks of channels (`program`). Parameters that it
//! is linear in, all together, are found from the derivatives: f = f₀ + Σ c·g, and neither f₀ nor
//! any g depends on a c. A derivative that isn't finite where the formula is, as that of √x at 0,
//! counts as 0.

mod expression;
mod functions;
mod graph;
mod parse;
mod program;

use std::fmt;
use std::sync::Arc;

use pixelmill_core::process::Failure;
use serde::{Serialize, Serializer};

use super::components::{Channels, MOST_SHAPE};
use expression::Expression;
use graph::{Graph, Id, Node};
use program::Program;
pub use program::Registers;

/// Names that a component in full has for other things.
const TAKEN: [&str; 5] = ["type", "name", "order", "formula", "convolved"];
/// Where the search of a parameter starts of which nothing is said.
pub const START: f64 = 1.0;

/// A formula.
#[derive(Clone, Debug)]
pub struct Formula(Arc<Derived>);

#[derive(Debug)]
struct Derived {
    expression: Expression,
    /// Names of the parameters, in the order in which they occur.
    names: Vec<String>,
    /// Which of them the formula is linear in.
    linear: Vec<usize>,
    /// All others.
    shape: Vec<usize>,
    /// Whether something is left without the linear ones.
    has_rest: bool,
    /// The function and the shape parameter of each column of a derivative.
    derivatives: Vec<(usize, usize)>,
    program: Program,
}

impl PartialEq for Formula {
    fn eq(&self, other: &Self) -> bool {
        self.0.names == other.0.names && self.0.expression == other.0.expression
    }
}

impl fmt::Display for Formula {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0.expression.with_names(&self.0.names))
    }
}

impl Serialize for Formula {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Formula {
    /// Reads and derives a formula.
    ///
    /// # Errors
    /// What can't be read, and where; or why it is nothing that can be fitted.
    pub fn new(text: &str) -> Result<Self, Failure> {
        let parse::Parsed { expression, names } = parse::parse(text)?;
        let wrong = |why: &str| Err(Failure::new(format!("the formula `{}` {why}", text.trim())));
        if let Some(name) = names.iter().find(|name| TAKEN.contains(&name.as_str())) {
            return wrong(&format!("has a parameter `{name}`: call it something else"));
        }
        let mut graph = Graph::default();
        let whole = graph.build(&expression);
        if graph.divides_by_zero {
            return wrong("divides by zero everywhere");
        }
        let not_finite =
            |node: &Node| matches!(node, Node::Number(bits) if !f64::from_bits(*bits).is_finite());
        if graph.nodes().iter().any(not_finite) {
            return wrong("has a part that is no finite number, wherever `x` is");
        }
        if names.is_empty() {
            return wrong("has no parameter that could be fitted");
        }
        if !graph.depends_on(whole, |node| node == Node::Place) {
            return wrong("doesn't depend on `x`, the place on the axis");
        }
        for (number, name) in names.iter().enumerate() {
            let derivative = graph.derivative(whole, number);
            if graph.constant(derivative) == Some(0.0) {
                return wrong(&format!("doesn't depend on `{name}`"));
            }
        }
        let derived = Derived::new(expression, names, graph, whole);
        if derived.shape.len() > MOST_SHAPE {
            return wrong(&format!(
                "has {} parameters that it isn't linear in, more than {MOST_SHAPE}",
                derived.shape.len()
            ));
        }
        Ok(Self(Arc::new(derived)))
    }

    /// Names of the parameters, in the order in which they occur.
    pub fn names(&self) -> &[String] {
        &self.0.names
    }

    /// Names of the parameters that it is linear in.
    pub fn linear(&self) -> impl Iterator<Item = &str> {
        self.0.linear.iter().map(|number| self.0.names[*number].as_str())
    }

    /// Names of all others.
    pub fn shape(&self) -> impl Iterator<Item = &str> {
        self.0.shape.iter().map(|number| self.0.names[*number].as_str())
    }

    /// Whether there is a function that no parameter multiplies.
    pub fn has_rest(&self) -> bool {
        self.0.has_rest
    }

    /// For each derivative the number of the function and of the shape parameter.
    pub fn derivatives(&self) -> &[(usize, usize)] {
        &self.0.derivatives
    }

    /// Fills the columns: what each linear parameter is multiplied by, the rest if there is any,
    /// and the derivatives.
    pub fn fill(
        &self,
        channels: Channels<'_>,
        shape: &[f64],
        columns: &mut [f64],
        registers: &mut Registers,
    ) {
        let place = |number| self.0.shape.iter().position(|shape| *shape == number);
        let value = |number| place(number).map_or(f64::NAN, |at| shape[at]);
        self.0.program.fill(channels, value, columns, registers);
    }
}

impl Derived {
    fn new(expression: Expression, names: Vec<String>, mut graph: Graph, whole: Id) -> Self {
        let (linear, factors) = linear_in(&mut graph, whole, names.len());
        let shape: Vec<usize> = (0..names.len()).filter(|at| !linear.contains(at)).collect();
        let rest = graph.without(whole, &linear);
        let has_rest = graph.constant(rest) != Some(0.0);
        let mut columns = factors;
        columns.extend(has_rest.then_some(rest));
        let mut derivatives = Vec::new();
        for function in 0..columns.len() {
            for (number, parameter) in shape.iter().enumerate() {
                let derivative = graph.derivative(columns[function], *parameter);
                if graph.constant(derivative) != Some(0.0) {
                    derivatives.push((function, number));
                    columns.push(derivative);
                }
            }
        }
        // Functions come first, and each derivative was put behind those before it.
        let program = Program::new(&graph, linear.len() + usize::from(has_rest), &columns);
        Self { expression, names, linear, shape, has_rest, derivatives, program }
    }
}

/// Parameters that a part is linear in, all together, with what each is multiplied by.
fn linear_in(graph: &mut Graph, whole: Id, parameters: usize) -> (Vec<usize>, Vec<Id>) {
    let (mut linear, mut factors) = (Vec::new(), Vec::<Id>::new());
    for parameter in 0..parameters {
        let factor = graph.derivative(whole, parameter);
        let mut with = linear.clone();
        with.push(parameter);
        let is_in = |node| matches!(node, Node::Parameter(number) if with.contains(&number));
        let is_free = |id: &Id| !graph.depends_on(*id, is_in);
        if is_free(&factor) && factors.iter().all(is_free) {
            linear.push(parameter);
            factors.push(factor);
        }
    }
    (linear, factors)
}

#[cfg(test)]
mod tests {
    use super::expression::{Constant, Operator};
    use super::functions::{Function, NAMES};
    use super::*;
    use proptest::prelude::*;
    use std::cell::Cell;

    fn formula(text: &str) -> Formula {
        Formula::new(text).unwrap_or_else(|failure| panic!("{failure}"))
    }

    /// The columns of a formula, at unit weights.
    fn columns(formula: &Formula, x: &[f64], shape: &[f64]) -> Vec<Vec<f64>> {
        let weights = vec![1.0; x.len()];
        let functions = formula.linear().count() + usize::from(formula.has_rest());
        let count = functions + formula.derivatives().len();
        let mut columns = vec![f64::NAN; count * x.len()];
        let channels = Channels { x, y: &[], weights: &weights };
        // What registers hold from before must not count.
        let mut registers = Registers::default();
        for _ in 0..2 {
            formula.fill(channels, shape, &mut columns, &mut registers);
        }
        columns.chunks_exact(x.len()).map(<[f64]>::to_vec).collect()
    }

    /// The value of an expression, by the plainest way there is; `is_lossy` is set if a number on
    /// the way is so large that digits are lost, or so small that it is lost itself, or if there is
    /// no value nearby.
    fn value(expression: &Expression, x: f64, parameters: &[f64], is_lossy: &Cell<bool>) -> f64 {
        let of = |inner: &Expression| value(inner, x, parameters, is_lossy);
        let found = match expression {
            Expression::Number(value) => *value,
            Expression::Constant(constant) => constant.value(),
            Expression::Place => x,
            Expression::Parameter(number) => parameters[*number],
            Expression::Negative(inner) => -of(inner),
            Expression::Binary(operator, left, right) => {
                let is_fixed = matches!(**right, Expression::Number(_));
                let (left, right) = (of(left), of(right));
                // Such numbers have powers at single exponents only.
                if *operator == Operator::Power && left <= 0.0 && !is_fixed {
                    is_lossy.set(true);
                }
                match operator {
                    Operator::Add => left + right,
                    Operator::Subtract => left - right,
                    Operator::Multiply => left * right,
                    Operator::Divide => left / right,
                    Operator::Power => left.powf(right),
                }
            }
            Expression::Call(function, inner) => {
                let inner = of(inner);
                match function {
                    Function::Exp => inner.exp(),
                    Function::Log => inner.ln(),
                    Function::Erf => libm::erf(inner),
                    Function::Erfc => libm::erfc(inner),
                    other => other.value(inner),
                }
            }
        };
        let size = found.abs();
        if size > 1e4 || size > 0.0 && size < 1e-9 {
            is_lossy.set(true);
        }
        found
    }

    fn names() -> Vec<String> {
        ["a", "b", "c"].map(str::to_owned).to_vec()
    }

    fn expressions() -> impl Strategy<Value = Expression> {
        let leaf = prop_oneof![
            (0u32..40).prop_map(|value| Expression::Number(f64::from(value) / 8.0)),
            proptest::num::f64::POSITIVE.prop_map(Expression::Number),
            Just(Expression::Constant(Constant::Pi)),
            Just(Expression::Constant(Constant::E)),
            Just(Expression::Place),
            Just(Expression::Place),
            (0usize..3).prop_map(Expression::Parameter),
            (0usize..3).prop_map(Expression::Parameter),
        ];
        leaf.prop_recursive(5, 40, 2, |inner| {
            let operator = prop_oneof![
                Just(Operator::Add),
                Just(Operator::Subtract),
                Just(Operator::Multiply),
                Just(Operator::Divide),
                Just(Operator::Power),
            ];
            let function = (0..NAMES.len()).prop_map(|at| NAMES[at].1);
            prop_oneof![
                inner.clone().prop_map(|inner| Expression::Negative(Box::new(inner))),
                (operator, inner.clone(), inner.clone()).prop_map(|(operator, left, right)| {
                    Expression::Binary(operator, Box::new(left), Box::new(right))
                }),
                (function, inner)
                    .prop_map(|(function, inner)| Expression::Call(function, Box::new(inner))),
            ]
        })
    }

    /// The same with parameters numbered as they occur.
    fn in_order(expression: &Expression, seen: &mut Vec<usize>) -> Expression {
        match expression {
            Expression::Parameter(number) => {
                let at = seen.iter().position(|known| known == number).unwrap_or(seen.len());
                if at == seen.len() {
                    seen.push(*number);
                }
                Expression::Parameter(at)
            }
            Expression::Negative(inner) => Expression::Negative(Box::new(in_order(inner, seen))),
            Expression::Binary(operator, left, right) => {
                let left = Box::new(in_order(left, seen));
                Expression::Binary(*operator, left, Box::new(in_order(right, seen)))
            }
            Expression::Call(function, inner) => {
                Expression::Call(*function, Box::new(in_order(inner, seen)))
            }
            other => other.clone(),
        }
    }

    proptest! {
        #[test]
        fn printing_and_reading_again_is_the_same(expression in expressions()) {
            let expression = in_order(&expression, &mut Vec::new());
            let text = expression.with_names(&names()).to_string();
            let read = parse::parse(&text);
            prop_assume!(text.len() < 1000);
            let read = read.unwrap_or_else(|failure| panic!("{failure}"));
            prop_assert_eq!(&read.expression, &expression, "{}", text);
            let again = read.expression.with_names(&read.names).to_string().len();
            prop_assert_eq!(again, text.len());
        }

        #[test]
        fn no_text_makes_it_panic(text in "[-+*/^() .,0-9eExap_πlogsinτ]{0,40}|\\PC{0,30}") {
            let _ = Formula::new(&text).is_ok();
        }

        #[test]
        fn values_and_derivatives_are_those_of_the_formula(
            expression in expressions(),
            parameters in proptest::array::uniform3(0.3f64..2.0),
        ) {
            let expression = in_order(&expression, &mut Vec::new());
            let text = expression.with_names(&names()).to_string();
            let Ok(formula) = Formula::new(&text) else { return Ok(()) };
            let places: Vec<f64> = (0..150).map(|at| 0.21 + 0.013 * f64::from(at)).collect();
            let named = |name: &str| {
                parameters[formula.names().iter().position(|known| known == name).unwrap()]
            };
            let linear: Vec<f64> = formula.linear().map(named).chain([1.0]).collect();
            let shape: Vec<f64> = formula.shape().map(named).collect();
            let columns = columns(&formula, &places, &shape);
            let functions = columns.len() - formula.derivatives().len();
            for (channel, x) in places.iter().enumerate() {
                let is_lossy = Cell::new(false);
                let at = |parameters: &[f64]| value(&expression, *x, parameters, &is_lossy);
                let expected = at(&parameters);
                // Where its terms cancel, digits are lost as well.
                let terms = || (0..functions).map(|f| linear[f] * columns[f][channel]);
                let size = terms().map(f64::abs).sum::<f64>();
                if is_lossy.get() || ![expected, size].iter().all(|value| value.abs() < 1e4) {
                    continue;
                }
                let found: f64 = terms().sum();
                // Rounded twice as a part of an exponent, a number may be off by more.
                prop_assert!(
                    (found - expected).abs() <= 1e-7 * (1.0 + size),
                    "{} at {}: {} {}", text, x, found, expected
                );
                for (number, name) in formula.shape().enumerate() {
                    let which = formula.names().iter().position(|known| known == name).unwrap();
                    let slope = |step: f64| {
                        let moved = |by: f64| {
                            let mut moved = parameters;
                            moved[which] += by;
                            at(&moved)
                        };
                        (moved(step) - moved(-step)) / (2.0 * step)
                    };
                    let (fine, coarse) = (slope(1e-5), slope(2e-5));
                    // Two steps agree where the function is smooth.
                    let is_smooth = (fine - coarse).abs() < 1e-6 * (1.0 + fine.abs());
                    if !is_smooth || fine.abs() > 1e6 || is_lossy.get() {
                        continue;
                    }
                    let terms = formula.derivatives().iter().enumerate();
                    let derivative: f64 = terms
                        .filter(|(_, (_, shape))| *shape == number)
                        .map(|(column, (f, _))| linear[*f] * columns[functions + column][channel])
                        .sum();
                    prop_assert!(
                        (derivative - fine).abs() <= 1e-4 * (1.0 + fine.abs()),
                        "{} by {} at {}: {} {}", text, name, x, derivative, fine
                    );
                }
            }
        }
    }

    #[test]
    fn signs_and_powers_bind_as_in_python() {
        for (text, expected) in [
            ("-x^2*a", -9.0),
            ("a*2^-x", 0.125),
            ("a*2^x^2", 512.0),
            ("a*2**x", 8.0),
            ("a*x-2-1", 0.0),
            ("a*x/2/3", 0.5),
            ("a*(-x)^2", 9.0),
            ("a*x--1", 4.0),
            ("2e-1*a*x", 0.6),
            ("a*x+ +1", 4.0),
        ] {
            let parsed = parse::parse(text).unwrap();
            let found = value(&parsed.expression, 3.0, &[1.0], &Cell::default());
            assert!((found - expected).abs() < 1e-12, "{text}: {found}");
        }
    }

    #[test]
    fn parameters_are_linear_where_the_model_is() {
        for (text, linear, shape) in [
            ("A*exp(-x/tau)+c", "A c", "tau"),
            ("(A*x+c)/(1+b*x)", "A c", "b"),
            ("A*B*x+C", "A C", "B"),
            ("exp(-x/tau)", "", "tau"),
            ("a+b*x+c*x^2", "a b c", ""),
            ("abs(A)*x", "", "A"),
            ("A*(1-exp(-x/t))/t", "A", "t"),
        ] {
            let formula = formula(text);
            let joined = |names: Vec<&str>| names.join(" ");
            assert_eq!(joined(formula.linear().collect()), linear, "{text}");
            assert_eq!(joined(formula.shape().collect()), shape, "{text}");
        }
        assert!(!formula("A*exp(-x/tau)+c").has_rest());
        assert!(formula("A*x+2*x").has_rest());
        assert_eq!(formula("c + A * exp( -x/tau )").to_string(), "c+A*exp(-x/tau)");
    }

    #[test]
    fn a_derivative_that_is_not_finite_counts_as_none() {
        // The stretched exponential begins with a slope of −∞.
        let formula = formula("A*exp(-(x/tau)^beta)");
        let found = columns(&formula, &[0.0, 1.0], &[2.0, 0.5]);
        assert_eq!(found[0][0], 1.0);
        assert!(found.iter().flatten().all(|value| value.is_finite()), "{found:?}");
        assert!(found[1][1] > 0.0 && found[2][1] != 0.0);
    }

    #[test]
    fn what_cannot_be_read_or_fitted_says_where_and_why() {
        let deep = "(".repeat(200) + "a*x";
        let long = "+x*a".repeat(300);
        for (text, reason) in [
            ("A*exp(-x/tau", "a `)` is missing, at its end"),
            ("A*exp(-x/tau))+c", "a `)` has no `(` before it, at character 14, before `)+c`"),
            ("A*ecp(-x)", "there is no function `ecp`; did you mean `exp`?, at character 3"),
            ("A*quux(x)", "there is no function `quux`; there are: exp log"),
            ("A*exp-x", "`exp` is a function, as in exp(x), at character 3"),
            ("2 A*x", "there is no operator, as `*`, before this, at character 3, before `A*x`"),
            ("A*x+", "a number or a name is missing, at its end"),
            ("A**/x", "a number or a name is missing before `/`, at character 4"),
            ("", "a number or a name is missing, at its end"),
            ("A*x$", "`$` means nothing here, at character 4"),
            ("A*?", "`?` means nothing, at character 3"),
            ("A*atan(x, 2)", "a function has one argument, at character 9"),
            ("A*1.2.3*x", "`.` means nothing here, at character 6"),
            ("A*x*1e999", "`1e999` is too large a number, at character 5"),
            ("A/(x-x)", "divides by zero everywhere"),
            ("A*x/0", "divides by zero everywhere"),
            ("A*x*log(0)", "no finite number"),
            ("exp(-x)", "no parameter"),
            ("A*exp(-t/tau)", "doesn't depend on `x`"),
            ("A*x+b-b", "doesn't depend on `b`"),
            ("A*x+b*0", "doesn't depend on `b`"),
            ("order*x", "a parameter `order`"),
            (&deep, "nested more than 100 deep"),
            (&long, "1200 characters, more than 1000"),
        ] {
            let message = Formula::new(text).unwrap_err().to_string();
            assert!(message.contains(reason), "{text}: {message}");
            assert!(!message.contains('\n'));
        }
    }
}
