//! A formula and its derivatives as a list of steps over blocks of channels.
//!
//! What doesn't depend on the channel is computed once per evaluation; all else in registers of a
//! block each, which stay in the processor's first cache. A step changes one register in place.

use multiversion::multiversion;

use super::functions::Function;
use super::graph::{Graph, Id, Node};
use crate::curve_fit::components::Channels;

/// Channels that are computed at a time.
const BLOCK: usize = 128;

/// Steps that fill columns.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// What doesn't depend on the channel, each from those before it.
    scalars: Vec<Node>,
    steps: Vec<Step>,
    registers: usize,
    /// Columns of functions; those behind them are derivatives.
    functions: usize,
}

/// Where a step finds a number for each channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operand {
    /// The same for all.
    Scalar(usize),
    Register(usize),
    /// The place on the axis.
    Place,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Copies the operand to a register.
    Copy(usize, Operand),
    /// Changes a register by itself.
    Alone(usize, Alone),
    /// Changes a register by an operand.
    With(usize, With, Operand),
    /// Writes the operand into a column, weighted.
    Store(usize, Operand),
}

#[derive(Clone, Copy, Debug)]
enum Alone {
    Negate,
    Whole(u32),
    Call(Function),
}

/// What is done with a register r and an operand o.
#[derive(Clone, Copy, Debug)]
enum With {
    /// r + o.
    Add,
    /// r − o.
    Subtract,
    /// o − r.
    From,
    /// r · o.
    Multiply,
    /// r / o.
    Divide,
    /// o / r.
    Under,
    /// rᵒ.
    Power,
    /// oʳ.
    Base,
    /// rᵒ · log r.
    PowerLog,
    /// oʳ · log o.
    BaseLog,
}

/// What a worker computes with.
#[derive(Clone, Debug, Default)]
pub struct Registers {
    scalars: Vec<f64>,
    blocks: Vec<f64>,
}

impl Program {
    /// The steps that fill one column with each of these parts: some functions, and behind them
    /// derivatives.
    pub fn new(graph: &Graph, functions: usize, columns: &[Id]) -> Self {
        let reached = graph.reached(columns.iter().copied());
        let mut compiler = Compiler::new(graph, columns, &reached);
        for id in (0..reached.len()).filter(|id| reached[*id]) {
            compiler.compile(id);
        }
        Self { functions, ..compiler.program }
    }

    /// Fills the columns, one behind the other, each as long as there are channels.
    pub fn fill(
        &self,
        channels: Channels<'_>,
        parameters: impl Fn(usize) -> f64,
        columns: &mut [f64],
        registers: &mut Registers,
    ) {
        let Registers { scalars, blocks } = registers;
        scalars.clear();
        for node in &self.scalars {
            let value = scalar(*node, scalars, &parameters);
            scalars.push(value);
        }
        blocks.resize(self.registers * BLOCK, 0.0);
        let length = channels.x.len();
        for first in (0..length).step_by(BLOCK) {
            let end = length.min(first + BLOCK);
            let block = Block {
                places: &channels.x[first..end],
                weights: &channels.weights[first..end],
                scalars,
            };
            for step in &self.steps {
                match *step {
                    Step::Store(column, operand) => {
                        let target = &mut columns[column * length..][first..end];
                        block.store(operand, blocks, target);
                        if column >= self.functions {
                            finite_or_none(target);
                        }
                    }
                    other => block.take(other, blocks),
                }
            }
        }
    }
}

/// The value of a part that doesn't depend on the channel.
fn scalar(node: Node, scalars: &[f64], parameters: &impl Fn(usize) -> f64) -> f64 {
    match node {
        Node::Number(bits) => f64::from_bits(bits),
        Node::Place => f64::NAN,
        Node::Parameter(number) => parameters(number),
        Node::Negate(a) => -scalars[a],
        Node::Add(a, b) => scalars[a] + scalars[b],
        Node::Subtract(a, b) => scalars[a] - scalars[b],
        Node::Multiply(a, b) => scalars[a] * scalars[b],
        Node::Divide(a, b) => scalars[a] / scalars[b],
        Node::Power(a, b) => libm::pow(scalars[a], scalars[b]),
        Node::PowerLog(a, b) => power_log(scalars[a], scalars[b]),
        Node::Whole(a, n) => whole_power(scalars[a], n),
        Node::Call(function, a) => function.value(scalars[a]),
    }
}

/// aᵇ · log a, and its limit at 0.
fn power_log(a: f64, b: f64) -> f64 {
    if a == 0.0 && b > 0.0 { 0.0 } else { libm::pow(a, b) * libm::log(a) }
}

/// aⁿ by squares, always in the same order.
#[inline(always)]
fn whole_power(a: f64, n: u32) -> f64 {
    let (mut rest, mut square, mut product) = (n, a, 1.0);
    loop {
        if rest & 1 == 1 {
            product *= square;
        }
        rest >>= 1;
        if rest == 0 {
            return product;
        }
        square *= square;
    }
}

/// Some channels, and what is the same for all.
struct Block<'a> {
    places: &'a [f64],
    weights: &'a [f64],
    scalars: &'a [f64],
}

impl Block<'_> {
    fn take(&self, step: Step, blocks: &mut [f64]) {
        let length = self.places.len();
        match step {
            Step::Copy(target, Operand::Register(from)) => {
                blocks.copy_within(from * BLOCK..from * BLOCK + length, target * BLOCK);
            }
            Step::Copy(target, operand) => {
                let target = &mut blocks[target * BLOCK..][..length];
                match operand {
                    Operand::Scalar(at) => target.fill(self.scalars[at]),
                    _ => target.copy_from_slice(self.places),
                }
            }
            Step::Alone(target, action) => {
                alone(action, &mut blocks[target * BLOCK..][..length]);
            }
            Step::With(target, action, operand) => match operand {
                Operand::Scalar(at) => {
                    with_one(action, &mut blocks[target * BLOCK..][..length], self.scalars[at]);
                }
                Operand::Place => {
                    with_each(action, &mut blocks[target * BLOCK..][..length], self.places);
                }
                Operand::Register(other) => {
                    let (target, other) = apart(blocks, target, other);
                    with_each(action, &mut target[..length], &other[..length]);
                }
            },
            Step::Store(..) => {}
        }
    }

    fn store(&self, operand: Operand, blocks: &[f64], target: &mut [f64]) {
        match operand {
            Operand::Scalar(at) => weigh_one(self.scalars[at], self.weights, target),
            Operand::Place => weigh(self.places, self.weights, target),
            Operand::Register(at) => weigh(&blocks[at * BLOCK..], self.weights, target),
        }
    }
}

/// Two registers.
fn apart(blocks: &mut [f64], target: usize, other: usize) -> (&mut [f64], &[f64]) {
    if target < other {
        let (before, after) = blocks.split_at_mut(other * BLOCK);
        (&mut before[target * BLOCK..][..BLOCK], &after[..BLOCK])
    } else {
        let (before, after) = blocks.split_at_mut(target * BLOCK);
        (&mut after[..BLOCK], &before[other * BLOCK..][..BLOCK])
    }
}

fn each(target: &mut [f64], function: impl Fn(f64) -> f64) {
    for value in target {
        *value = function(*value);
    }
}

fn pairs(target: &mut [f64], other: &[f64], function: impl Fn(f64, f64) -> f64) {
    for (value, other) in target.iter_mut().zip(other) {
        *value = function(*value, *other);
    }
}

#[multiversion(targets("x86_64+avx2"))]
fn alone(action: Alone, target: &mut [f64]) {
    match action {
        Alone::Negate => each(target, |value| -value),
        Alone::Whole(2) => each(target, |value| value * value),
        Alone::Whole(n) => each(target, |value| whole_power(value, n)),
        Alone::Call(Function::Exp) => each(target, |value| Function::Exp.value(value)),
        Alone::Call(Function::Sqrt) => each(target, |value| Function::Sqrt.value(value)),
        Alone::Call(Function::Abs) => each(target, |value| Function::Abs.value(value)),
        Alone::Call(function) => each(target, |value| function.value(value)),
    }
}

#[multiversion(targets("x86_64+avx2"))]
fn with_one(action: With, target: &mut [f64], other: f64) {
    match action {
        With::Add => each(target, |value| value + other),
        With::Subtract => each(target, |value| value - other),
        With::From => each(target, |value| other - value),
        With::Multiply => each(target, |value| value * other),
        With::Divide => each(target, |value| value / other),
        With::Under => each(target, |value| other / value),
        With::Power => each(target, |value| libm::pow(value, other)),
        With::Base => each(target, |value| libm::pow(other, value)),
        With::PowerLog => each(target, |value| power_log(value, other)),
        With::BaseLog => each(target, |value| power_log(other, value)),
    }
}

#[multiversion(targets("x86_64+avx2"))]
fn with_each(action: With, target: &mut [f64], others: &[f64]) {
    match action {
        With::Add => pairs(target, others, |value, other| value + other),
        With::Subtract => pairs(target, others, |value, other| value - other),
        With::From => pairs(target, others, |value, other| other - value),
        With::Multiply => pairs(target, others, |value, other| value * other),
        With::Divide => pairs(target, others, |value, other| value / other),
        With::Under => pairs(target, others, |value, other| other / value),
        With::Power => pairs(target, others, libm::pow),
        With::Base => pairs(target, others, |value, other| libm::pow(other, value)),
        With::PowerLog => pairs(target, others, power_log),
        With::BaseLog => pairs(target, others, |value, other| power_log(other, value)),
    }
}

#[multiversion(targets("x86_64+avx2"))]
fn weigh(values: &[f64], weights: &[f64], target: &mut [f64]) {
    for ((target, value), weight) in target.iter_mut().zip(values).zip(weights) {
        *target = value * weight;
    }
}

/// A derivative that isn't finite where the function is, as at the beginning of a root, counts as
/// 0; where the function isn't, the sum of squares says so.
#[multiversion(targets("x86_64+avx2"))]
fn finite_or_none(target: &mut [f64]) {
    for value in target {
        *value = if value.abs() < f64::INFINITY { *value } else { 0.0 };
    }
}

fn weigh_one(value: f64, weights: &[f64], target: &mut [f64]) {
    for (target, weight) in target.iter_mut().zip(weights) {
        *target = value * weight;
    }
}

/// Turns parts of a graph into steps, in their order.
struct Compiler<'g> {
    graph: &'g Graph,
    columns: &'g [Id],
    /// How often each part is still asked for.
    open: Vec<usize>,
    /// Where each part is.
    places: Vec<Option<Operand>>,
    free: Vec<usize>,
    program: Program,
}

impl<'g> Compiler<'g> {
    fn new(graph: &'g Graph, columns: &'g [Id], reached: &[bool]) -> Self {
        let mut open = vec![0; reached.len()];
        let nodes = graph.nodes().iter().zip(reached).filter(|(_, is_reached)| **is_reached);
        nodes.flat_map(|(node, _)| node.inputs()).for_each(|input| open[input] += 1);
        let (places, free) = (vec![None; reached.len()], Vec::new());
        Self { graph, columns, open, places, free, program: Program::default() }
    }

    /// Where a part is that was compiled before.
    fn place(&self, id: Id) -> Operand {
        self.places[id].expect("what a part is made of comes before it")
    }

    fn compile(&mut self, id: Id) {
        let node = self.graph.nodes()[id];
        let place = if node == Node::Place {
            Operand::Place
        } else if let Some(scalar) = self.as_scalar(node) {
            self.program.scalars.push(scalar);
            Operand::Scalar(self.program.scalars.len() - 1)
        } else {
            Operand::Register(self.steps_of(node))
        };
        self.places[id] = Some(place);
        for (column, _) in self.columns.iter().enumerate().filter(|(_, part)| **part == id) {
            self.program.steps.push(Step::Store(column, place));
        }
        self.let_go(id);
    }

    /// The node with the places of scalars in it, if it doesn't depend on the channel.
    fn as_scalar(&self, node: Node) -> Option<Node> {
        let of = |id: Id| match self.places[id] {
            Some(Operand::Scalar(at)) => Some(at),
            _ => None,
        };
        Some(match node {
            Node::Number(_) | Node::Parameter(_) => node,
            Node::Place => return None,
            Node::Negate(a) => Node::Negate(of(a)?),
            Node::Add(a, b) => Node::Add(of(a)?, of(b)?),
            Node::Subtract(a, b) => Node::Subtract(of(a)?, of(b)?),
            Node::Multiply(a, b) => Node::Multiply(of(a)?, of(b)?),
            Node::Divide(a, b) => Node::Divide(of(a)?, of(b)?),
            Node::Power(a, b) => Node::Power(of(a)?, of(b)?),
            Node::PowerLog(a, b) => Node::PowerLog(of(a)?, of(b)?),
            Node::Whole(a, n) => Node::Whole(of(a)?, n),
            Node::Call(function, a) => Node::Call(function, of(a)?),
        })
    }

    /// Steps that leave a part in a register.
    fn steps_of(&mut self, node: Node) -> usize {
        let (with, turned, a, b) = match node {
            Node::Negate(a) => return self.alone(a, Alone::Negate),
            Node::Whole(a, n) => return self.alone(a, Alone::Whole(n)),
            Node::Call(function, a) => return self.alone(a, Alone::Call(function)),
            Node::Add(a, b) => (With::Add, With::Add, a, b),
            Node::Subtract(a, b) => (With::Subtract, With::From, a, b),
            Node::Multiply(a, b) => (With::Multiply, With::Multiply, a, b),
            Node::Divide(a, b) => (With::Divide, With::Under, a, b),
            Node::Power(a, b) => (With::Power, With::Base, a, b),
            Node::PowerLog(a, b) => (With::PowerLog, With::BaseLog, a, b),
            Node::Number(_) | Node::Place | Node::Parameter(_) => {
                unreachable!("a leaf is a scalar or the place")
            }
        };
        // The one that can be changed in place is copied from, if any.
        let is_last = |id: Id| matches!(self.place(id), Operand::Register(_)) && self.open[id] == 1;
        let is_scalar = |id: Id| matches!(self.place(id), Operand::Scalar(_));
        let (action, from, other) = if a != b && (is_scalar(a) || is_last(b) && !is_last(a)) {
            (turned, b, a)
        } else {
            (with, a, b)
        };
        let operand = self.place(other);
        let target = self.own(from, a == b);
        self.program.steps.push(Step::With(target, action, operand));
        if a != b {
            self.drop_input(other);
        }
        target
    }

    fn alone(&mut self, a: Id, action: Alone) -> usize {
        let target = self.own(a, false);
        self.program.steps.push(Step::Alone(target, action));
        target
    }

    /// A register with the values of a part, which may be changed: its own if nobody asks for it
    /// any more and `is_operand` doesn't say that the step does.
    fn own(&mut self, id: Id, is_operand: bool) -> usize {
        let uses = if is_operand { 2 } else { 1 };
        self.open[id] -= uses;
        match self.place(id) {
            Operand::Register(register) if self.open[id] == 0 && !is_operand => register,
            place => {
                let target = self.free.pop().unwrap_or_else(|| {
                    self.program.registers += 1;
                    self.program.registers - 1
                });
                self.program.steps.push(Step::Copy(target, place));
                if let Operand::Register(register) = place
                    && self.open[id] == 0
                {
                    self.free.push(register);
                }
                target
            }
        }
    }

    fn drop_input(&mut self, id: Id) {
        self.open[id] -= 1;
        self.let_go(id);
    }

    /// Frees the register of a part that nobody asks for any more.
    fn let_go(&mut self, id: Id) {
        if let (0, Some(Operand::Register(register))) = (self.open[id], self.places[id]) {
            self.free.push(register);
        }
    }
}
