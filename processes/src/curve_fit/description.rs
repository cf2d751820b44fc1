//! How people write components: `gaussian+offset`, a list, or each in full with what is known of
//! its parameters. All become the same description, so that equal models have equal hashes.

use std::collections::BTreeMap;
use std::fmt;

use pixelmill_core::process::Failure;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::components::{KINDS, Kind};
use super::formula::Formula;

/// The highest order of a polynomial.
const HIGHEST_ORDER: usize = 9;

/// The components of a model, in the order of their results.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Components(pub Vec<Component>);

/// One component.
#[derive(Clone, Debug, PartialEq)]
pub struct Component {
    /// What it is.
    pub kind: Kind,
    /// What it is called among the components.
    pub name: String,
    /// The order of a polynomial, 0 for all others.
    pub order: usize,
    /// What a formula says.
    pub formula: Option<Formula>,
    /// Whether it is convolved where anything is; if nobody says, as HyperSpy does it.
    pub convolved: Option<bool>,
    /// What is known of its parameters.
    pub parameters: BTreeMap<String, Known>,
}

/// What is known of a parameter before the fit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// Where the search starts; estimated from each spectrum if none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<f64>,
    /// The least it may be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The most it may be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// The value that it has and keeps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fixed: Option<f64>,
    /// `component.parameter` that it follows, as factor · that + shift.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tied: Option<String>,
    /// What the other parameter is multiplied by; 1 if none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub factor: Option<f64>,
    /// What is added to it; 0 if none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shift: Option<f64>,
}

impl Component {
    /// Names of all parameters, the linear ones first.
    pub fn parameter_names(&self) -> Vec<String> {
        self.linear_names().into_iter().chain(self.shape_names()).collect()
    }

    /// Names of the parameters that it is linear in.
    pub fn linear_names(&self) -> Vec<String> {
        match &self.formula {
            Some(formula) => formula.linear().map(str::to_owned).collect(),
            None => self.kind.linear(self.order),
        }
    }

    /// Names of all others.
    pub fn shape_names(&self) -> Vec<String> {
        match &self.formula {
            Some(formula) => formula.shape().map(str::to_owned).collect(),
            None => self.kind.shape().iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    /// The parameters in the order of the results, each with its number among all: those of a
    /// formula as they are written.
    pub fn shown(&self) -> Vec<(usize, String)> {
        let names = self.parameter_names();
        let mut shown: Vec<(usize, String)> = names.into_iter().enumerate().collect();
        if let Some(formula) = &self.formula {
            let written = |name: &String| formula.names().iter().position(|known| known == name);
            shown.sort_by_key(|(_, name)| written(name));
        }
        shown
    }

    /// Whether it is convolved where anything is.
    pub fn is_convolved(&self) -> bool {
        self.convolved.unwrap_or_else(|| self.kind.is_convolved())
    }

    /// What is known of a parameter.
    pub fn known(&self, parameter: &str) -> Known {
        self.parameters.get(parameter).cloned().unwrap_or_default()
    }
}

impl Components {
    /// A description from its short form.
    ///
    /// # Errors
    /// If it is no formula, and a part is no component.
    pub fn from_text(text: &str) -> Result<Self, Failure> {
        if is_formula(text) {
            return titled(vec![Untitled::from_formula(text)?]);
        }
        let parts: Result<Vec<_>, _> =
            text.split('+').map(|part| Untitled::from_text(part.trim())).collect();
        titled(parts?)
    }
}

/// A component that may have no name yet.
struct Untitled {
    kind: Kind,
    name: Option<String>,
    order: usize,
    formula: Option<Formula>,
    convolved: Option<bool>,
    parameters: BTreeMap<String, Known>,
}

/// Whether a text is a formula, and no sum of components: these are words, none of which is `x`.
fn is_formula(text: &str) -> bool {
    let belongs = |letter: char| letter.is_alphanumeric() || letter == '_';
    let joins = |letter: char| letter.is_whitespace() || letter == '+' || letter == '-';
    !text.chars().all(|letter| belongs(letter) || joins(letter))
        || text.split(|letter| !belongs(letter)).any(|word| word == "x")
}

impl Untitled {
    /// A component of which nothing else is known.
    fn of(kind: Kind, order: usize) -> Self {
        let parameters = BTreeMap::new();
        Self { kind, name: None, order, formula: None, convolved: None, parameters }
    }

    fn from_formula(text: &str) -> Result<Self, Failure> {
        let formula = Formula::new(text)?;
        // `offset` may well be meant.
        let is_component = |name: &&String| kind(name).is_some_and(|kind| kind != Kind::Offset);
        if let Some(name) = formula.names().iter().find(is_component) {
            return Err(Failure::new(format!(
                "`{name}` is a component and no parameter of a formula; write a list, as \
                 [\"{name}\", \"{formula}\"] without it in the formula"
            )));
        }
        Ok(Self { formula: Some(formula), ..Self::of(Kind::Formula, 0) })
    }

    /// `gaussian`, `polynomial3` with the order behind it, or a formula.
    fn from_text(text: &str) -> Result<Self, Failure> {
        if is_formula(text) {
            return Self::from_formula(text);
        }
        let word = text.trim_end_matches(|letter: char| letter.is_ascii_digit());
        let kind = kind(word).filter(|kind| *kind == Kind::Polynomial || word == text);
        let kind = kind.ok_or_else(|| unknown(text))?;
        if kind == Kind::Formula {
            return Err(no_formula());
        }
        let order = order_of(kind, text[word.len()..].parse().ok())?;
        Ok(Self::of(kind, order))
    }
}

fn kind(name: &str) -> Option<Kind> {
    let plain = name.replace('-', "_");
    KINDS.iter().find(|(_, known)| *known == plain).map(|(kind, _)| *kind)
}

fn unknown(name: &str) -> Failure {
    let known: Vec<&str> = KINDS.iter().map(|(_, name)| *name).collect();
    Failure::new(format!("there is no component `{name}`; there are: {}", known.join(", ")))
}

fn no_formula() -> Failure {
    Failure::new("a component `formula` needs a `formula`, as \"A*exp(-x/tau)+c\"")
}

/// The order of a polynomial, 2 as in HyperSpy unless it is given.
fn order_of(kind: Kind, given: Option<usize>) -> Result<usize, Failure> {
    match (kind, given) {
        (Kind::Polynomial, None) => Ok(2),
        (Kind::Polynomial, Some(order @ 1..=HIGHEST_ORDER)) => Ok(order),
        (Kind::Polynomial, Some(order)) => Err(Failure::new(format!(
            "the order of a polynomial is {order}, but has to be from 1 to {HIGHEST_ORDER}"
        ))),
        (_, None) => Ok(0),
        (other, Some(_)) => {
            Err(Failure::new(format!("a component `{}` has no order", other.name())))
        }
    }
}

/// Names what has no name after its kind, with a number if there are several of the kind.
fn titled(parts: Vec<Untitled>) -> Result<Components, Failure> {
    let unnamed = |kind| parts.iter().filter(move |part| part.kind == kind && part.name.is_none());
    let several: Vec<bool> = parts.iter().map(|part| unnamed(part.kind).count() > 1).collect();
    let mut counts = BTreeMap::new();
    let mut components = Vec::new();
    for (part, several) in parts.into_iter().zip(several) {
        let name = part.name.unwrap_or_else(|| {
            let number: &mut usize = counts.entry(part.kind.name()).or_default();
            *number += 1;
            if several {
                format!("{}_{number}", part.kind.name())
            } else {
                part.kind.name().to_owned()
            }
        });
        let Untitled { kind, order, formula, convolved, parameters, name: _ } =
            Untitled { name: None, ..part };
        components.push(Component { kind, name, order, formula, convolved, parameters });
    }
    Ok(Components(components))
}

impl Serialize for Component {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", &self.kind)?;
        map.serialize_entry("name", &self.name)?;
        if self.kind == Kind::Polynomial {
            map.serialize_entry("order", &self.order)?;
        }
        if let Some(formula) = &self.formula {
            map.serialize_entry("formula", formula)?;
        }
        if let Some(convolved) = self.convolved {
            map.serialize_entry("convolved", &convolved)?;
        }
        for (name, known) in &self.parameters {
            map.serialize_entry(name, known)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Components {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Form;
        impl<'de> Visitor<'de> for Form {
            type Value = Components;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(
                    "components such as \"gaussian+offset\", a formula such as \
                     \"A*exp(-x/tau)+c\", or a list of them",
                )
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Components, E> {
                Components::from_text(text).map_err(E::custom)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Components, A::Error> {
                let mut parts = Vec::new();
                while let Some(part) = list.next_element()? {
                    parts.push(part);
                }
                titled(parts).map_err(A::Error::custom)
            }
        }
        deserializer.deserialize_any(Form)
    }
}

impl<'de> Deserialize<'de> for Untitled {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Form;
        impl<'de> Visitor<'de> for Form {
            type Value = Untitled;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a component, by name or in full as {\"type\": …}")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Untitled, E> {
                Untitled::from_text(text.trim()).map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Untitled, A::Error> {
                in_full(map)
            }
        }
        deserializer.deserialize_any(Form)
    }
}

fn in_full<'de, A: MapAccess<'de>>(mut map: A) -> Result<Untitled, A::Error> {
    let (mut found, mut name, mut order, mut formula) = (None, None, None, None::<String>);
    let mut convolved = None;
    let mut parameters = BTreeMap::new();
    while let Some(key) = map.next_key::<String>()? {
        match key.as_str() {
            "type" => found = Some(map.next_value::<String>()?),
            "name" => name = Some(map.next_value()?),
            "order" => order = Some(map.next_value()?),
            "formula" => formula = Some(map.next_value()?),
            "convolved" => convolved = Some(map.next_value()?),
            _ => {
                let StartOrKnown(known) = map.next_value()?;
                parameters.insert(key, known);
            }
        }
    }
    // A formula says by itself what it is.
    let text = found.or_else(|| formula.is_some().then(|| Kind::Formula.name().to_owned()));
    let text = text.ok_or_else(|| A::Error::custom("a component has no `type`"))?;
    let kind = kind(&text).ok_or_else(|| A::Error::custom(unknown(&text)))?;
    let order = order_of(kind, order).map_err(A::Error::custom)?;
    let formula = match (kind, formula) {
        (Kind::Formula, Some(text)) => {
            Untitled::from_formula(&text).map_err(A::Error::custom)?.formula
        }
        (Kind::Formula, None) => return Err(A::Error::custom(no_formula())),
        (_, None) => None,
        (other, Some(_)) => {
            let told = format!("a component `{}` has no formula", other.name());
            return Err(A::Error::custom(told));
        }
    };
    Ok(Untitled { kind, name, order, formula, convolved, parameters })
}

/// A number alone is where the search starts.
struct StartOrKnown(Known);

impl<'de> Deserialize<'de> for StartOrKnown {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Form;
        impl<'de> Visitor<'de> for Form {
            type Value = StartOrKnown;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(
                    "a start value, or {start, min, max}, {fixed} or {tied, factor, shift}",
                )
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<StartOrKnown, E> {
                Ok(StartOrKnown(Known { start: Some(value), ..Known::default() }))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<StartOrKnown, E> {
                self.visit_f64(value as f64)
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<StartOrKnown, E> {
                self.visit_f64(value as f64)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<StartOrKnown, A::Error> {
                Known::deserialize(MapAccessDeserializer::new(map)).map(StartOrKnown)
            }
        }
        deserializer.deserialize_any(Form)
    }
}

impl JsonSchema for Components {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Components".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "array"] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(value: Value) -> Result<Components, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn all_forms_mean_the_same() {
        let short = read(json!("gaussian + gaussian+polynomial3")).unwrap();
        assert_eq!(short, read(json!(["gaussian", "gaussian", "polynomial3"])).unwrap());
        let full = json!([
            {"type": "gaussian", "name": "gaussian_1"},
            {"type": "gaussian", "name": "gaussian_2"},
            {"type": "polynomial", "name": "polynomial", "order": 3},
        ]);
        assert_eq!(short, read(full.clone()).unwrap());
        assert_eq!(serde_json::to_value(&short).unwrap(), full, "and is what is recorded");
    }

    #[test]
    fn what_is_known_of_parameters_survives() {
        let full = json!([
            {"type": "pseudo-voigt", "name": "K", "centre": 6, "sigma": {"start": 1.5, "min": 1}},
            {"type": "gaussian", "centre": {"tied": "K.centre", "shift": -2.5}, "A": {"fixed": 0}},
        ]);
        let read_once = read(full).unwrap();
        let known = read_once.0[0].known("sigma");
        assert_eq!((known.start, known.min, known.max), (Some(1.5), Some(1.0), None));
        assert_eq!(read_once.0[0].known("centre").start, Some(6.0));
        assert_eq!(read_once.0[1].name, "gaussian");
        assert_eq!(read_once.0[1].known("A").fixed, Some(0.0));
        assert_eq!(read_once, read(serde_json::to_value(&read_once).unwrap()).unwrap());
    }

    #[test]
    fn backgrounds_are_not_convolved_unless_somebody_says_so() {
        let all = read(json!("gaussian+polynomial1+power-law+offset+exponential")).unwrap();
        let told: Vec<bool> = all.0.iter().map(Component::is_convolved).collect();
        assert_eq!(told, [true, true, false, false, true], "as HyperSpy's components");
        let given = json!([
            {"type": "offset", "name": "offset", "convolved": true},
            {"type": "gaussian", "name": "gaussian", "convolved": false},
        ]);
        let read_once = read(given.clone()).unwrap();
        assert!(read_once.0[0].is_convolved() && !read_once.0[1].is_convolved());
        assert_eq!(serde_json::to_value(&read_once).unwrap(), given, "and is what is recorded");
    }

    #[test]
    fn a_formula_is_told_from_components_and_keeps_its_parameters() {
        let short = read(json!("c + A*exp(-x/tau)")).unwrap();
        let full = json!([{"type": "formula", "name": "formula", "formula": "c+A*exp(-x/tau)"}]);
        assert_eq!(serde_json::to_value(&short).unwrap(), full);
        assert_eq!(short, read(full).unwrap());
        assert_eq!(short.0[0].parameter_names(), ["c", "A", "tau"]);
        let late = read(json!("exp(-x/tau)*A")).unwrap();
        assert_eq!(late.0[0].parameter_names(), ["A", "tau"], "what is linear comes first");
        assert_eq!(late.0[0].shown(), [(1, "tau".to_owned()), (0, "A".to_owned())], "in results");
        let mixed =
            json!(["pseudo-voigt", "a*x + offset", {"formula": "b*x^2", "name": "q", "b": 3}]);
        let mixed = read(mixed).unwrap();
        assert_eq!(mixed.0[1].parameter_names(), ["a", "offset"]);
        assert_eq!(mixed.0[2].known("b").start, Some(3.0));
        assert_eq!(read(json!("pseudo-voigt+offset")).unwrap().0.len(), 2, "no formula");
    }

    #[test]
    fn what_cannot_be_understood_is_named() {
        for (given, reasons) in [
            (json!("gausian+offset"), ["`gausian`", "lorentzian"]),
            (json!("gaussian2"), ["`gaussian2`", "gaussian"]),
            (json!("polynomial0"), ["0", "from 1 to 9"]),
            (json!([{"type": "offset", "order": 1}]), ["`offset`", "no order"]),
            (json!([{"name": "peak"}]), ["`type`", "no"]),
            (json!([{"type": "gaussian", "centre": {"begin": 1}}]), ["begin", "start"]),
            (json!([{"type": "gaussian", "centre": "left"}]), ["left", "start value"]),
            (json!("gaussian+a*x"), ["`gaussian` is a component", "list"]),
            (json!("A*exp(-x/tau"), ["`)` is missing", "at its end"]),
            (json!("formula"), ["needs a `formula`", "exp"]),
            (json!([{"type": "offset", "formula": "a*x"}]), ["`offset`", "no formula"]),
            (json!([{"formula": "a*y"}]), ["`x`", "`a*y`"]),
            (json!(7), ["7", "components such as"]),
        ] {
            let message = read(given).unwrap_err();
            assert!(reasons.iter().all(|reason| message.contains(reason)), "{message}");
        }
    }
}
