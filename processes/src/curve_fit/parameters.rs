//! What people set of a fit, and what can be known to be wrong before there is an axis.

use std::borrow::Cow;

use pixelmill_core::process::{self, Failure};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::components::Kind;
use super::description::{Component, Components};
use super::model::{Extent, Model};
use super::{ERRORS, TAKEN, title};

/// An attribute in HDF5 takes 64 KiB.
const MOST_WEIGHTS: usize = 8000;

/// What is fitted, and how.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Parameters {
    /// What the model is a sum of, as `gaussian+offset`, or a JSON list: gaussian (A, centre,
    /// sigma), lorentzian (A, centre, gamma), pseudo_voigt (A, centre, sigma, fraction),
    /// exponential (A, tau), power_law (A, r, origin), offset (offset), polynomial1 to
    /// polynomial9 (a0, a1, …; plain polynomial is of order 2), erf (A, origin, sigma),
    /// defined as in HyperSpy: A of a peak is its area. In full a component is {"type":
    /// "gaussian", "name": "K", "centre": 6.4, "sigma": {"start": 0.1, "min": 0.05, "max": 1},
    /// "A": {"fixed": 3}}, with "order" for a polynomial; a parameter that follows another one
    /// is {"tied": "K.centre", "factor": 1.1, "shift": 0}. Values are in the units of the axis
    /// and of the data. Start values that aren't given are estimated from each
    /// spectrum; unless bounds are given, widths are from 1/4 channel to 10 times the axis,
    /// centres at most the length of the axis outside of it, fractions from 0 to 1, and the
    /// origin of a power law is fixed at 0. A formula of x, the place on the axis, is a
    /// component too, as A*exp(-x/tau)+c: with + - * / ^, parentheses, exp, log (ln), log10,
    /// log2, sqrt, sin, cos, tan, asin, acos, atan, sinh, cosh, tanh, erf, erfc, abs, pi and e;
    /// every other name is a parameter. In full it is {"formula": "A*exp(-x/tau)+c", "tau":
    /// {"start": 5, "min": 0}}: nobody can estimate what it means, so parameters that it
    /// isn't linear in start at 1 unless they are told otherwise, and have no bounds. Of frames
    /// the components are gaussian2d (A, its volume, centre_x, centre_y, sigma_x, sigma_y,
    /// rotation_angle, as in HyperSpy), lorentzian2d (height, centre_x, centre_y, gamma_x,
    /// gamma_y, rotation_angle), disk (height, centre_x, centre_y, radius, edge), plane (offset,
    /// slope_x, slope_y) and offset.
    pub components: Components,
    /// What the squares of the residuals are multiplied by: 1 (none), the inverse of the variance
    /// of counts (poisson: the maximum of the likelihood, by repeated fits), or
    /// `channel_weights` (given).
    pub weights: Weights,
    /// For weights=given: a list with the weight of each channel of the spectrum, the inverse of
    /// the variance of its noise; 0 leaves it out.
    pub channel_weights: Option<Vec<f64>>,
    /// Where the fitted range of the axis begins, in the units of the axis; with the first channel
    /// if none.
    pub range_min: Option<f64>,
    /// Where the fitted range of the axis ends, in the units of the axis; with the last channel if
    /// none.
    pub range_max: Option<f64>,
    /// How many searches are made from different start values, of which the best counts: the
    /// estimated ones, and others spread over the axis, the same for each spectrum.
    #[schemars(range(min = 1, max = 1000))]
    pub starts: usize,
    /// The most evaluations of the model in one search; one that ends there hasn't converged.
    #[schemars(range(min = 1, max = 100_000))]
    pub max_evaluations: usize,
    /// A dataset or file with one low-loss or instrument spectrum, which components are convolved
    /// with at all positions: `/path`, `lowloss.hspy:/Experiments/signal/data`, `lowloss.npy`. Its
    /// axis has the step of the spectra's, and is 0 where nothing is lost. An offset and a power
    /// law aren't convolved, unless such a component in full says {"convolved": true}; any may
    /// say false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub low_loss: Option<String>,
    /// The same of a dataset with such a spectrum for each position.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub low_losses: Option<String>,
    /// The channel of the low-loss spectrum, from 0, in which nothing is lost; the one where its
    /// axis is 0 if none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub low_loss_zero: Option<usize>,
    /// Whether the low-loss spectrum is divided by the sum of its values before; as it is
    /// otherwise, as in HyperSpy: what is fitted is then for one count of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub low_loss_normalised: Option<bool>,
}

impl Default for Parameters {
    fn default() -> Self {
        let default = |name: &str, kind| Component {
            kind,
            name: name.to_owned(),
            order: 0,
            formula: None,
            convolved: None,
            parameters: std::collections::BTreeMap::new(),
        };
        let components = vec![default("gaussian", Kind::Gaussian), default("offset", Kind::Offset)];
        Self {
            components: Components(components),
            weights: Weights::None,
            channel_weights: None,
            range_min: None,
            range_max: None,
            starts: 1,
            max_evaluations: 200,
            low_loss: None,
            low_losses: None,
            low_loss_zero: None,
            low_loss_normalised: None,
        }
    }
}

impl process::Parameters for Parameters {
    fn check(&self) -> Result<(), Failure> {
        // Everything but bounds beyond the usual ones is wrong or right on any axis.
        Model::new(&self.components, Extent { least: 0.0, most: 1.0, channel: 0.1 })?;
        for component in &self.components.0 {
            let name = title(&component.name);
            if TAKEN.contains(&name.as_str()) || name.ends_with(ERRORS) {
                return Err(Failure::new(format!(
                    "a component can't be called `{}`: `{name}` is another result",
                    component.name
                )));
            }
        }
        if (self.weights == Weights::Given) != self.channel_weights.is_some() {
            return Err(Failure::new("`channel_weights` and `weights=given` belong together"));
        }
        let count = self.channel_weights.as_ref().map_or(0, Vec::len);
        if count > MOST_WEIGHTS {
            return Err(Failure::new(format!(
                "`channel_weights` has {count} weights, more than the {MOST_WEIGHTS} that can be \
                 stored with results; leave channels out by `range_min` and `range_max`"
            )));
        }
        let wrong = |weight: &&f64| **weight < 0.0;
        if let Some(weight) = self.channel_weights.iter().flatten().find(wrong) {
            return Err(Failure::new(format!(
                "a weight in `channel_weights` is negative: {weight}"
            )));
        }
        self.check_low_loss()?;
        if self.is_of_frames() && (self.range_min.is_some() || self.range_max.is_some()) {
            return Err(Failure::new(
                "`range_min` and `range_max` are of spectra; leave points of frames out by \
                 `--crop` or by weights of 0",
            ));
        }
        match (self.range_min, self.range_max) {
            (Some(min), Some(max)) if min >= max => Err(Failure::new(format!(
                "`range_min` is {min}, but has to be below `range_max`, which is {max}"
            ))),
            _ => Ok(()),
        }
    }
}

/// Where the weights of the channels come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weights {
    /// All are 1.
    None,
    /// The inverse variance of counts.
    Poisson,
    /// From `channel_weights`.
    Given,
}

impl JsonSchema for Weights {
    fn schema_name() -> Cow<'static, str> {
        "Weights".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "enum": ["none", "poisson", "given"] })
    }
}

impl Parameters {
    fn check_low_loss(&self) -> Result<(), Failure> {
        let refuse = |reason: &str| Err(Failure::new(reason));
        if self.low_loss.is_some() && self.low_losses.is_some() {
            return refuse("`low_loss` and `low_losses` can't both be given: one spectrum or many");
        }
        let is_given = self.low_loss.is_some() || self.low_losses.is_some();
        if !is_given && (self.low_loss_zero.is_some() || self.low_loss_normalised.is_some()) {
            return refuse(
                "`low_loss_zero` and `low_loss_normalised` are of a low-loss spectrum; give \
                 `low_loss` or `low_losses`",
            );
        }
        let asked = |component: &&Component| component.convolved == Some(true);
        if let Some(Component { name, .. }) = self.components.0.iter().find(asked)
            && !is_given
        {
            let told = if self.is_of_frames() {
                "frames aren't convolved"
            } else {
                "give a low-loss spectrum by `low_loss` or `low_losses`"
            };
            return refuse(&format!("the component `{name}` is to be convolved: {told}"));
        }
        if is_given && self.is_of_frames() {
            return refuse("frames aren't convolved; `low_loss` is of spectra");
        }
        let is_convolved = |component: &Component| component.is_convolved();
        if is_given && !self.components.0.iter().any(is_convolved) {
            return refuse("no component is convolved with the low-loss spectrum");
        }
        Ok(())
    }

    /// Whether it is frames that are fitted.
    pub(super) fn is_of_frames(&self) -> bool {
        self.components.0.iter().any(|component| component.kind.is_of_frames())
    }
}
