//! A sum of components as numbers: which parameters are free, linear or not, bounded or tied.
//!
//! Every parameter of a component is `factor · free parameter + shift`, or a constant. Free linear
//! parameters are those that the model is linear in; `separable` solves them exactly, and only
//! shape parameters are searched for.

use std::borrow::Cow;

use pixelmill_core::process::Failure;

use super::components::{self, Channels, Kind, MOST_SHAPE};
use super::description::{Component, Components, Known};
use super::formula::{self, Formula};

/// A compiled model.
#[derive(Clone, Debug)]
pub struct Model {
    /// The components, in the user's order.
    pub parts: Vec<Part>,
    /// Free linear parameters.
    pub linear: Vec<Free>,
    /// Free shape parameters.
    pub shape: Vec<Free>,
}

/// One component.
#[derive(Clone, Debug)]
pub struct Part {
    /// What it is.
    pub kind: Kind,
    /// What a formula says.
    pub formula: Option<Formula>,
    /// Its linear parameters: one, or those of a polynomial.
    pub linear: Vec<Value>,
    /// Its shape parameters.
    pub shape: Vec<Value>,
    /// Whether it is convolved where anything is.
    pub is_convolved: bool,
    /// Whether its first shape parameter, a place, is a free one itself and follows from no other.
    pub owns_place: bool,
}

/// How a parameter of a component follows from the free ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Value {
    /// Which free parameter, of the linear or of the shape ones; none for a constant.
    pub free: Option<usize>,
    /// What it is multiplied by.
    pub factor: f64,
    /// What is added, or the constant.
    pub shift: f64,
}

impl Value {
    /// What always is 1.
    const ONE: Self = Self { free: None, factor: 0.0, shift: 1.0 };

    /// The value for these values of the free parameters.
    pub fn of(&self, free: &[f64]) -> f64 {
        self.free.map_or(self.shift, |at| self.factor * free[at] + self.shift)
    }
}

/// A free parameter.
#[derive(Clone, Copy, Debug)]
pub struct Free {
    /// Where the search starts, if that is given.
    pub start: Option<f64>,
    /// The least it may be.
    pub lower: f64,
    /// The most it may be.
    pub upper: f64,
    /// How other starts of the search differ.
    pub scatter: Scatter,
}

/// How far a shape parameter may be off at the start of a search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scatter {
    /// It may be anywhere on the axis, or along the rows of a frame.
    Place,
    /// It may be anywhere across the rows of a frame.
    Across,
    /// By a factor.
    Factor,
    /// By about one.
    Amount,
}

/// What the axis says about widths and places.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// Least place.
    pub least: f64,
    /// Greatest place.
    pub most: f64,
    /// The smallest distance of neighbouring channels.
    pub channel: f64,
}

impl Part {
    /// What each of its functions is multiplied by: a linear parameter, or 1.
    pub fn functions(&self) -> impl Iterator<Item = Value> {
        let has_rest = self.formula.as_ref().is_some_and(Formula::has_rest);
        self.linear.iter().copied().chain(has_rest.then_some(Value::ONE))
    }

    /// Of each derivative the number of the function, and of the shape parameter: of all
    /// components but formulae the first function by all of these.
    pub fn derivatives(&self) -> Cow<'_, [(usize, usize)]> {
        match &self.formula {
            Some(formula) => formula.derivatives().into(),
            None => (0..self.shape.len()).map(|shape| (0, shape)).collect(),
        }
    }

    /// How many columns its functions and derivatives take.
    pub fn columns(&self) -> usize {
        self.functions().count() + self.derivatives().len()
    }

    /// Fills its columns, each as long as the channels: the functions, and then the derivatives.
    pub fn fill(
        &self,
        channels: Channels<'_>,
        shape: &[f64; MOST_SHAPE],
        columns: &mut [f64],
        registers: &mut formula::Registers,
    ) {
        match &self.formula {
            Some(formula) => formula.fill(channels, shape, columns, registers),
            None => components::fill(self.kind, channels, shape, columns),
        }
    }

    /// The values of its shape parameters.
    pub fn shape_values(&self, free: &[f64]) -> [f64; MOST_SHAPE] {
        let mut values = [0.0; MOST_SHAPE];
        for (value, parameter) in values.iter_mut().zip(&self.shape) {
            *value = parameter.of(free);
        }
        values
    }
}

impl Model {
    /// Compiles components for an axis.
    ///
    /// # Errors
    /// If names, bounds or ties make no sense; the parameter is named.
    pub fn new(components: &Components, extent: Extent) -> Result<Self, Failure> {
        Self::over(components, [extent; 2])
    }

    /// Compiles components for the axes x and y of a frame, or for one axis that is told twice.
    ///
    /// # Errors
    /// If names, bounds or ties make no sense; the parameter is named.
    pub fn over(components: &Components, extents: [Extent; 2]) -> Result<Self, Failure> {
        check_names(components)?;
        check_axes(components)?;
        let mut model = Self { parts: Vec::new(), linear: Vec::new(), shape: Vec::new() };
        for component in &components.0 {
            let (mut linear, mut shape) = (Vec::new(), Vec::new());
            let shape_names = component.shape_names();
            for name in component.parameter_names() {
                let is_shape = shape_names.contains(&name);
                let value = Compiler { components, extents }.value(&mut model, component, &name)?;
                if is_shape { shape.push(value) } else { linear.push(value) }
            }
            let owns_place = shape.first().is_some_and(|place| place.free.is_some());
            let (kind, formula) = (component.kind, component.formula.clone());
            let is_convolved = component.is_convolved();
            model.parts.push(Part { kind, formula, linear, shape, is_convolved, owns_place });
        }
        resolve_ties(components, &mut model)?;
        Ok(model)
    }

    /// How many parameters are free.
    pub fn free(&self) -> usize {
        self.linear.len() + self.shape.len()
    }
}

struct Compiler<'a> {
    components: &'a Components,
    extents: [Extent; 2],
}

impl Compiler<'_> {
    /// A parameter by itself: constant, free, or tied and then filled in later.
    fn value(
        &self,
        model: &mut Model,
        component: &Component,
        name: &str,
    ) -> Result<Value, Failure> {
        let known = component.known(name);
        let place = format!("{}.{name}", component.name);
        check_known(&place, &known)?;
        if let Some(target) = &known.tied {
            find(self.components, &place, target)?;
            return Ok(Value { free: None, factor: 0.0, shift: f64::NAN });
        }
        let usual = usual(component.kind, name, self.extents);
        let constant = known.fixed.or(match (known.start, &usual) {
            (None, Usual::Fixed(value)) => Some(*value),
            _ => None,
        });
        if let Some(shift) = constant {
            return Ok(Value { free: None, factor: 0.0, shift });
        }
        let (lower, upper) = match usual {
            Usual::Within(lower, upper) => (lower, upper),
            Usual::Fixed(_) => (-BOUNDLESS, BOUNDLESS),
        };
        // What is given beyond a usual bound says that it doesn't hold here.
        let given = [known.start, known.min, known.max];
        let beyond = |is_beyond: &dyn Fn(f64) -> bool| given.into_iter().flatten().any(is_beyond);
        let is_shape = component.shape_names().iter().any(|shape| shape == name);
        // What a formula means nobody knows.
        let is_formula = component.kind == Kind::Formula;
        let free = Free {
            start: known.start.or(is_formula.then_some(formula::START)),
            lower: known.min.unwrap_or(if beyond(&|given| given <= lower) {
                -BOUNDLESS
            } else {
                lower
            }),
            upper: known.max.unwrap_or(if beyond(&|given| given >= upper) {
                BOUNDLESS
            } else {
                upper
            }),
            scatter: match name {
                _ if is_formula => Scatter::Factor,
                "centre" | "centre_x" => Scatter::Place,
                "centre_y" => Scatter::Across,
                "origin" if component.kind == Kind::Erf => Scatter::Place,
                "sigma" | "gamma" | "tau" => Scatter::Factor,
                "sigma_x" | "sigma_y" | "gamma_x" | "gamma_y" | "radius" | "edge" => {
                    Scatter::Factor
                }
                _ => Scatter::Amount,
            },
        };
        let list = if is_shape { &mut model.shape } else { &mut model.linear };
        list.push(free);
        Ok(Value { free: Some(list.len() - 1), factor: 1.0, shift: 0.0 })
    }
}

const BOUNDLESS: f64 = f64::INFINITY;

enum Usual {
    Within(f64, f64),
    Fixed(f64),
}

/// What holds for a parameter of which nothing is said. Peaks narrower than a quarter of a channel,
/// wider than ten times the axis or farther away than its length can't be told from others.
fn usual(kind: Kind, name: &str, [extent, across]: [Extent; 2]) -> Usual {
    let length = extent.most - extent.least;
    let (narrowest, longest) =
        (extent.channel.min(across.channel), length.max(across.most - across.least));
    match name {
        _ if kind == Kind::Formula => Usual::Within(-BOUNDLESS, BOUNDLESS),
        "sigma" | "gamma" => Usual::Within(extent.channel / 4.0, 10.0 * length),
        "centre" => Usual::Within(extent.least - length, extent.most + length),
        "origin" if kind == Kind::PowerLaw => Usual::Fixed(0.0),
        "origin" => Usual::Within(extent.least - length, extent.most + length),
        "fraction" => Usual::Within(0.0, 1.0),
        "sigma_x" | "sigma_y" | "gamma_x" | "gamma_y" | "radius" | "edge" => {
            Usual::Within(narrowest / 4.0, 10.0 * longest)
        }
        "centre_x" => Usual::Within(extent.least - length, extent.most + length),
        "centre_y" => {
            let length = across.most - across.least;
            Usual::Within(across.least - length, across.most + length)
        }
        _ => Usual::Within(-BOUNDLESS, BOUNDLESS),
    }
}

fn check_names(components: &Components) -> Result<(), Failure> {
    if components.0.is_empty() {
        return Err(Failure::new("`components` is empty; name at least one, such as gaussian"));
    }
    let title = |component: &Component| component.name.to_lowercase();
    for (at, component) in components.0.iter().enumerate() {
        let name = &component.name;
        if name.is_empty() || !name.chars().all(|letter| letter.is_alphanumeric() || letter == '_')
        {
            return Err(Failure::new(format!(
                "`{name}` can't be the name of a component: take letters, digits and `_`"
            )));
        }
        if components.0[..at].iter().any(|other| title(other) == title(component)) {
            return Err(Failure::new(format!("two components are called `{name}`")));
        }
        let known = component.parameter_names();
        if let Some(wrong) = component.parameters.keys().find(|name| !known.contains(name)) {
            return Err(Failure::new(format!(
                "`{name}` has no parameter `{wrong}`; it has: {}",
                known.join(", ")
            )));
        }
    }
    Ok(())
}

/// A component is either of spectra or of frames, but for a constant.
fn check_axes(components: &Components) -> Result<(), Failure> {
    let of_frames = components.0.iter().find(|component| component.kind.is_of_frames());
    let of_spectra =
        |component: &&Component| component.kind != Kind::Offset && !component.kind.is_of_frames();
    match (of_frames, components.0.iter().find(of_spectra)) {
        (Some(of_frames), Some(of_spectra)) => Err(Failure::new(format!(
            "`{}` is a component of frames, and `{}` one of spectra",
            of_frames.name, of_spectra.name
        ))),
        _ => Ok(()),
    }
}

fn check_known(place: &str, known: &Known) -> Result<(), Failure> {
    let searched = known.start.is_some() || known.min.is_some() || known.max.is_some();
    let wrong = |reason: &str| Err(Failure::new(format!("`{place}` {reason}")));
    if known.fixed.is_some() && (searched || known.tied.is_some()) {
        return wrong("is `fixed`, so it can have no `start`, `min`, `max` or `tied`");
    }
    if known.tied.is_some() && searched {
        return wrong("is `tied`, so it can have no `start`, `min` or `max` of its own");
    }
    if known.tied.is_none() && (known.factor.is_some() || known.shift.is_some()) {
        return wrong("has a `factor` or `shift`, but isn't `tied` to anything");
    }
    let (min, max) = (known.min.unwrap_or(f64::NEG_INFINITY), known.max.unwrap_or(f64::INFINITY));
    if min >= max {
        return wrong(&format!("has `min` {min}, which is not below `max` {max}"));
    }
    match known.start {
        Some(start) if start < min || start > max => {
            wrong(&format!("starts at {start}, outside of its bounds"))
        }
        _ => Ok(()),
    }
}

/// The component and the parameter that `component.parameter` names.
fn find<'c>(
    components: &'c Components,
    place: &str,
    target: &str,
) -> Result<(usize, usize, &'c Component), Failure> {
    let (name, parameter) = target.split_once('.').unwrap_or((target, ""));
    let found = components.0.iter().enumerate().find_map(|(at, component)| {
        let parameters = component.parameter_names();
        let number = parameters.iter().position(|known| known == parameter)?;
        (component.name == name).then_some((at, number, component))
    });
    found.ok_or_else(|| {
        let names: Vec<&str> = components.0.iter().map(|known| known.name.as_str()).collect();
        Failure::new(format!(
            "`{place}` is tied to `{target}`, which doesn't exist; name a parameter as \
             COMPONENT.PARAMETER, with one of the components {}",
            names.join(", ")
        ))
    })
}

fn resolve_ties(components: &Components, model: &mut Model) -> Result<(), Failure> {
    for (at, component) in components.0.iter().enumerate() {
        for (number, name) in component.parameter_names().iter().enumerate() {
            if component.known(name).tied.is_some() {
                let value = follow(components, model, (at, number))?;
                *slot(model, (at, number)) = value;
            }
        }
    }
    Ok(())
}

/// The value of a tied parameter, through as many ties as there are.
fn follow(
    components: &Components,
    model: &mut Model,
    first: (usize, usize),
) -> Result<Value, Failure> {
    let name_of = |(at, number): (usize, usize)| components.0[at].parameter_names()[number].clone();
    let place = format!("{}.{}", components.0[first.0].name, name_of(first));
    let is_shape = |(at, number): (usize, usize)| number >= model.parts[at].linear.len();
    let (mut factor, mut shift, mut here) = (1.0, 0.0, first);
    for _ in 0..components.0.iter().map(|component| component.parameter_names().len()).sum() {
        let known = components.0[here.0].known(&name_of(here));
        let Some(target) = known.tied else {
            let value = *slot(model, here);
            return Ok(Value {
                free: value.free,
                factor: factor * value.factor,
                shift: factor * value.shift + shift,
            });
        };
        shift += factor * known.shift.unwrap_or(0.0);
        factor *= known.factor.unwrap_or(1.0);
        let (at, number, _) = find(components, &place, &target)?;
        if is_shape((at, number)) != is_shape(first) {
            return Err(Failure::new(format!(
                "`{place}` can't be tied to `{target}`: the model is linear in one and not in the \
                 other"
            )));
        }
        here = (at, number);
    }
    Err(Failure::new(format!("`{place}` is tied to itself in a circle")))
}

fn slot(model: &mut Model, (at, number): (usize, usize)) -> &mut Value {
    let part = &mut model.parts[at];
    let linear = part.linear.len();
    if number < linear { &mut part.linear[number] } else { &mut part.shape[number - linear] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value as Json, json};

    fn compile(components: Json) -> Result<Model, String> {
        let components: Components = serde_json::from_value(components).unwrap();
        let extent = Extent { least: 0.0, most: 10.0, channel: 0.1 };
        Model::new(&components, extent).map_err(|failure| failure.to_string())
    }

    #[test]
    fn ties_go_through_others_in_any_order() {
        let model = compile(json!([
            {"type": "gaussian", "name": "third", "centre": {"tied": "second.centre", "factor": 2}},
            {"type": "gaussian", "name": "second", "centre": {"tied": "first.centre", "factor": 3, "shift": 1},
                "A": {"tied": "first.A", "factor": 0.5}},
            {"type": "gaussian", "name": "first", "sigma": {"fixed": 4}},
        ]))
        .unwrap();
        assert_eq!((model.linear.len(), model.shape.len()), (2, 3));
        let centre = model.parts[2].shape[0].free;
        assert_eq!(model.parts[0].shape[0], Value { free: centre, factor: 6.0, shift: 2.0 });
        assert_eq!(model.parts[1].linear[0].factor, 0.5);
        assert_eq!(model.parts[2].shape[1].of(&[0.0; 3]), 4.0);
    }

    #[test]
    fn bounds_that_are_given_go_before_the_usual_ones() {
        let model = compile(json!([
            {"type": "gaussian", "sigma": {"min": 500}, "centre": {"max": 7}},
            {"type": "power_law", "origin": {"start": 1}},
        ]))
        .unwrap();
        let bounds: Vec<_> = model.shape.iter().map(|free| (free.lower, free.upper)).collect();
        assert_eq!(bounds[0], (-10.0, 7.0));
        assert_eq!(bounds[1], (500.0, f64::INFINITY));
        assert_eq!(model.shape.len(), 4, "an origin with a start is free");
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let peak = |parameter: &str, known: Json| json!([{"type": "gaussian", parameter: known}, "offset"]);
        for (components, reason) in [
            (json!([]), "is empty"),
            (json!([{"type": "gaussian", "name": "a.b"}]), "`a.b`"),
            (
                json!([{"type": "offset", "name": "x"}, {"type": "erf", "name": "X"}]),
                "two components",
            ),
            (peak("center", json!(1)), "no parameter `center`; it has: A, centre, sigma"),
            (peak("A", json!({"min": 2, "max": 1})), "`gaussian.A` has `min` 2"),
            (peak("A", json!({"start": 3, "max": 1})), "starts at 3"),
            (peak("A", json!({"fixed": 3, "max": 1})), "is `fixed`"),
            (peak("A", json!({"tied": "offset.offset", "min": 1})), "is `tied`"),
            (peak("A", json!({"factor": 2})), "isn't `tied`"),
            (peak("A", json!({"tied": "peak.A"})), "`peak.A`, which doesn't exist"),
            (peak("A", json!({"tied": "gaussian.sigma"})), "linear in one"),
            (peak("A", json!({"tied": "gaussian.A"})), "circle"),
        ] {
            let message = compile(components).unwrap_err();
            assert!(message.contains(reason), "{message}");
        }
    }
}
