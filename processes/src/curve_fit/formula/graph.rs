//! A formula as a graph, in which equal parts are one: simplified while it is built, and derived.

use std::collections::HashMap;

use super::expression::{Expression, Operator};
use super::functions::Function;

/// A part of a graph; those that it is made of have smaller numbers.
pub type Id = usize;

/// What a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Node {
    /// A number, by its bits.
    Number(u64),
    /// The place on the axis.
    Place,
    /// A parameter.
    Parameter(usize),
    /// −a.
    Negate(Id),
    /// a + b.
    Add(Id, Id),
    /// a − b.
    Subtract(Id, Id),
    /// a · b.
    Multiply(Id, Id),
    /// a / b.
    Divide(Id, Id),
    /// aᵇ.
    Power(Id, Id),
    /// aᵇ · log a, which is 0 where a is 0 and b above it.
    PowerLog(Id, Id),
    /// aⁿ.
    Whole(Id, u32),
    /// A function of a.
    Call(Function, Id),
}

impl Node {
    /// The parts that it is made of.
    pub fn inputs(self) -> impl Iterator<Item = Id> {
        let (first, second) = match self {
            Self::Number(_) | Self::Place | Self::Parameter(_) => (None, None),
            Self::Negate(a) | Self::Whole(a, _) | Self::Call(_, a) => (Some(a), None),
            Self::Add(a, b)
            | Self::Subtract(a, b)
            | Self::Multiply(a, b)
            | Self::Divide(a, b)
            | Self::Power(a, b)
            | Self::PowerLog(a, b) => (Some(a), Some(b)),
        };
        first.into_iter().chain(second)
    }
}

/// The largest power that is multiplied out.
const MOST_FACTORS: f64 = 64.0;

/// A formula and what was derived from it.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    nodes: Vec<Node>,
    known: HashMap<Node, Id>,
    /// Whether something that is nothing but zero was divided by.
    pub divides_by_zero: bool,
}

impl Graph {
    /// All parts; each is behind those that it is made of.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    fn node(&mut self, node: Node) -> Id {
        let next = self.nodes.len();
        let id = *self.known.entry(node).or_insert(next);
        if id == next {
            self.nodes.push(node);
        }
        id
    }

    /// The value of a part that is a number.
    pub fn constant(&self, id: Id) -> Option<f64> {
        match self.nodes[id] {
            Node::Number(bits) => Some(f64::from_bits(bits)),
            _ => None,
        }
    }

    /// A number.
    pub fn number(&mut self, value: f64) -> Id {
        // There is one zero.
        self.node(Node::Number((value + 0.0).to_bits()))
    }

    /// A formula.
    pub fn build(&mut self, expression: &Expression) -> Id {
        match expression {
            Expression::Number(value) => self.number(*value),
            Expression::Constant(constant) => self.number(constant.value()),
            Expression::Place => self.node(Node::Place),
            Expression::Parameter(number) => self.node(Node::Parameter(*number)),
            Expression::Negative(inner) => {
                let inner = self.build(inner);
                self.negate(inner)
            }
            Expression::Binary(operator, left, right) => {
                let (left, right) = (self.build(left), self.build(right));
                match operator {
                    Operator::Add => self.add(left, right),
                    Operator::Subtract => self.subtract(left, right),
                    Operator::Multiply => self.multiply(left, right),
                    Operator::Divide => self.divide(left, right),
                    Operator::Power => self.power(left, right),
                }
            }
            Expression::Call(function, inner) => {
                let inner = self.build(inner);
                self.call(*function, inner)
            }
        }
    }

    /// −a.
    pub fn negate(&mut self, a: Id) -> Id {
        match self.nodes[a] {
            Node::Number(bits) => self.number(-f64::from_bits(bits)),
            Node::Negate(inner) => inner,
            _ => self.node(Node::Negate(a)),
        }
    }

    /// a + b.
    pub fn add(&mut self, a: Id, b: Id) -> Id {
        match (self.constant(a), self.constant(b)) {
            (Some(a), Some(b)) => self.number(a + b),
            (Some(0.0), None) => b,
            (None, Some(0.0)) => a,
            _ if a == b => {
                let two = self.number(2.0);
                self.multiply(two, a)
            }
            _ => self.node(Node::Add(a, b)),
        }
    }

    /// a − b.
    pub fn subtract(&mut self, a: Id, b: Id) -> Id {
        match (self.constant(a), self.constant(b)) {
            (Some(a), Some(b)) => self.number(a - b),
            (Some(0.0), None) => self.negate(b),
            (None, Some(0.0)) => a,
            _ if a == b => self.number(0.0),
            _ => self.node(Node::Subtract(a, b)),
        }
    }

    /// a · b.
    pub fn multiply(&mut self, a: Id, b: Id) -> Id {
        match (self.constant(a), self.constant(b)) {
            (Some(a), Some(b)) => self.number(a * b),
            (Some(0.0), None) | (None, Some(0.0)) => self.number(0.0),
            (Some(1.0), None) => b,
            (None, Some(1.0)) => a,
            (Some(-1.0), None) => self.negate(b),
            (None, Some(-1.0)) => self.negate(a),
            _ if a == b => self.node(Node::Whole(a, 2)),
            _ => self.node(Node::Multiply(a, b)),
        }
    }

    /// a / b.
    pub fn divide(&mut self, a: Id, b: Id) -> Id {
        match (self.constant(a), self.constant(b)) {
            (_, Some(0.0)) => {
                self.divides_by_zero = true;
                self.number(f64::NAN)
            }
            (Some(a), Some(b)) => self.number(a / b),
            (Some(0.0), None) => self.number(0.0),
            (None, Some(1.0)) => a,
            _ if a == b => self.number(1.0),
            _ => self.node(Node::Divide(a, b)),
        }
    }

    /// aᵇ.
    pub fn power(&mut self, a: Id, b: Id) -> Id {
        match (self.constant(a), self.constant(b)) {
            (Some(0.0), Some(b)) if b < 0.0 => {
                self.divides_by_zero = true;
                self.number(f64::NAN)
            }
            (Some(a), Some(b)) => self.number(libm::pow(a, b)),
            (None, Some(0.0)) => self.number(1.0),
            (None, Some(1.0)) => a,
            (None, Some(0.5)) => self.call(Function::Sqrt, a),
            (None, Some(whole)) if whole == whole.trunc() && whole.abs() <= MOST_FACTORS => {
                let positive = self.whole_power(a, whole.abs() as u32);
                if whole > 0.0 {
                    return positive;
                }
                let one = self.number(1.0);
                self.divide(one, positive)
            }
            _ => self.node(Node::Power(a, b)),
        }
    }

    /// aⁿ for n of 1 and more.
    pub fn whole_power(&mut self, a: Id, n: u32) -> Id {
        match (self.constant(a), n) {
            (Some(a), _) => self.number(libm::pow(a, f64::from(n))),
            (None, 1) => a,
            _ => self.node(Node::Whole(a, n)),
        }
    }

    fn power_log(&mut self, a: Id, b: Id) -> Id {
        self.node(Node::PowerLog(a, b))
    }

    /// A function of a.
    pub fn call(&mut self, function: Function, a: Id) -> Id {
        match self.constant(a) {
            Some(value) => self.number(function.value(value)),
            None => self.node(Node::Call(function, a)),
        }
    }

    /// Which parts are reached from `from`.
    pub fn reached(&self, from: impl IntoIterator<Item = Id>) -> Vec<bool> {
        let mut reached = vec![false; self.nodes.len()];
        from.into_iter().for_each(|id| reached[id] = true);
        for (id, node) in self.nodes.iter().enumerate().rev() {
            if reached[id] {
                node.inputs().for_each(|input| reached[input] = true);
            }
        }
        reached
    }

    /// Whether a part depends on any of these.
    pub fn depends_on(&self, id: Id, any: impl Fn(Node) -> bool) -> bool {
        let reached = self.reached([id]);
        self.nodes.iter().zip(reached).any(|(node, is_reached)| is_reached && any(*node))
    }

    /// A part with 0 in the place of some parameters.
    pub fn without(&mut self, whole: Id, parameters: &[usize]) -> Id {
        let mut ids: Vec<Id> = Vec::new();
        for at in 0..=whole {
            let node = self.nodes[at];
            let id = match node {
                Node::Parameter(number) if parameters.contains(&number) => self.number(0.0),
                _ => self.rebuilt(node, &ids),
            };
            ids.push(id);
        }
        ids[whole]
    }

    /// The same node of other parts.
    fn rebuilt(&mut self, node: Node, ids: &[Id]) -> Id {
        match node {
            Node::Number(_) | Node::Place | Node::Parameter(_) => self.node(node),
            Node::Negate(a) => self.negate(ids[a]),
            Node::Add(a, b) => self.add(ids[a], ids[b]),
            Node::Subtract(a, b) => self.subtract(ids[a], ids[b]),
            Node::Multiply(a, b) => self.multiply(ids[a], ids[b]),
            Node::Divide(a, b) => self.divide(ids[a], ids[b]),
            Node::Power(a, b) => self.power(ids[a], ids[b]),
            Node::PowerLog(a, b) => self.power_log(ids[a], ids[b]),
            Node::Whole(a, n) => self.whole_power(ids[a], n),
            Node::Call(function, a) => self.call(function, ids[a]),
        }
    }

    /// The derivative of a part by a parameter.
    pub fn derivative(&mut self, whole: Id, parameter: usize) -> Id {
        let mut derivatives: Vec<Id> = Vec::new();
        let zero = self.number(0.0);
        for at in 0..=whole {
            let node = self.nodes[at];
            let is_constant = node.inputs().all(|input| derivatives[input] == zero);
            let derivative = match node {
                Node::Parameter(number) if number == parameter => self.number(1.0),
                _ if is_constant => zero,
                _ => self.chain(node, at, &derivatives),
            };
            derivatives.push(derivative);
        }
        derivatives[whole]
    }

    /// The derivative of a part from those of what it is made of.
    fn chain(&mut self, node: Node, id: Id, of: &[Id]) -> Id {
        match node {
            Node::Number(_) | Node::Place | Node::Parameter(_) => self.number(0.0),
            Node::Negate(a) => self.negate(of[a]),
            Node::Add(a, b) => self.add(of[a], of[b]),
            Node::Subtract(a, b) => self.subtract(of[a], of[b]),
            Node::Multiply(a, b) => {
                let (left, right) = (self.multiply(of[a], b), self.multiply(a, of[b]));
                self.add(left, right)
            }
            Node::Divide(a, b) => {
                // (a′ − (a/b)·b′)/b, which has no square that could leave the range of numbers.
                let part = self.multiply(id, of[b]);
                let above = self.subtract(of[a], part);
                self.divide(above, b)
            }
            Node::Power(a, b) => {
                let one = self.number(1.0);
                let less = self.subtract(b, one);
                let below = self.power(a, less);
                let factor = self.multiply(b, below);
                let by_base = self.multiply(factor, of[a]);
                let by_exponent = if self.constant(of[b]) == Some(0.0) {
                    self.number(0.0)
                } else {
                    let logarithm = self.power_log(a, b);
                    self.multiply(logarithm, of[b])
                };
                self.add(by_base, by_exponent)
            }
            Node::Whole(a, n) => {
                let factor = self.number(f64::from(n));
                let below = self.whole_power(a, n - 1);
                let slope = self.multiply(factor, below);
                self.multiply(slope, of[a])
            }
            Node::Call(function, a) => {
                let outer = function.derivative(self, a, id);
                self.multiply(outer, of[a])
            }
            // Nothing is derived twice.
            Node::PowerLog(..) => self.number(f64::NAN),
        }
    }
}
