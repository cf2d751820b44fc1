//! How positions become pixels, and what was found at those of each.

use std::ops::Range;

use super::laid::Laid;
use super::pages::{Page, Ruler, are_to_scale, long};
use super::states::State;
use super::values::Values;
use super::{Layout, Places};
use crate::source::Source;
use pixelmill_core::axis_values::AxisValues;
use pixelmill_core::coordinates::PositionAxes;
use pixelmill_core::dimension::Dimension;

/// Positions of a scan that is no grid that are shown at most.
const MOST_PLACES: u64 = 20_000;

/// What was found at the positions of each pixel.
pub(super) struct Found {
    states: Vec<State>,
    pending: u64,
    failed: u64,
}

impl Found {
    pub fn new(pixels: usize) -> Self {
        Self { states: vec![State::Missing; pixels], pending: 0, failed: 0 }
    }

    /// A pixel has failed if any of its positions has, and is pending if all others are.
    pub fn note(&mut self, pixel: usize, seen: State) {
        let state = &mut self.states[pixel];
        match (seen, *state) {
            (State::Failed, _) => (self.failed, *state) = (self.failed + 1, State::Failed),
            (State::Pending, State::Missing) => {
                (self.pending, *state) = (self.pending + 1, State::Pending);
            }
            (State::Pending, _) => self.pending += 1,
            (State::Known, State::Failed) | (State::Missing, _) => {}
            (State::Known, _) => *state = State::Known,
        }
    }

    /// Whether nothing was looked at of a pixel.
    pub fn is_unseen(&self, pixel: usize) -> bool {
        self.states[pixel] == State::Missing
    }

    /// Values with the reasons why some are missing. A pixel with a value of other positions has
    /// that.
    pub fn values(&self, numbers: Vec<f64>) -> Values {
        let mut values = Values::of(numbers);
        let reasons = values.states.iter_mut().zip(&self.states);
        for (state, reason) in reasons.filter(|(state, _)| **state == State::Missing) {
            *state = if *reason == State::Known { State::Missing } else { *reason };
        }
        Values { pending: self.pending, failed: self.failed, ..values }
    }
}

/// How positions become pixels.
pub(super) enum Field {
    Map { page: Page, axes: Vec<Dimension>, note: Option<String> },
    Places(Scatter),
}

impl Field {
    pub fn pixels(&self) -> usize {
        match self {
            Self::Map { page, .. } => page.pixels().iter().product(),
            Self::Places(scatter) => scatter.positions.len(),
        }
    }

    pub fn pixel(&self, position: u64) -> usize {
        match self {
            Self::Map { page, .. } => page.pixel(position),
            Self::Places(scatter) => (position / scatter.every) as usize,
        }
    }

    pub fn runs(&self) -> Box<dyn Iterator<Item = Range<u64>> + '_> {
        match self {
            Self::Map { page, .. } => page.runs(),
            Self::Places(scatter) => {
                Box::new(scatter.positions.iter().map(|position| *position..position + 1))
            }
        }
    }

    pub fn said(&self) -> String {
        match self {
            Self::Map { page, .. } => page.said.clone(),
            Self::Places(_) => String::new(),
        }
    }

    pub fn notes(&self) -> Vec<String> {
        match self {
            Self::Map { page, note, .. } => page.told().into_iter().chain(note.clone()).collect(),
            Self::Places(scatter) if scatter.every > 1 => {
                vec![format!("one of each {} positions", scatter.every)]
            }
            Self::Places(_) => Vec::new(),
        }
    }

    pub fn laid(&self, values: Values) -> Laid {
        let first = match self {
            Self::Map { page, .. } => page.first,
            Self::Places(_) => 0,
        };
        Laid { layout: self.layout(), first_position: Some(first), values, notes: Vec::new() }
    }

    pub fn layout(&self) -> Layout {
        match self {
            Self::Places(scatter) => scatter.layout.clone(),
            Self::Map { page, axes, .. } => match long(axes).as_slice() {
                [] => Layout::Number,
                [axis] => Layout::Curve(Ruler::new(axis, page.steps[1] as usize)),
                [.., rows, columns] => Layout::Image {
                    to_scale: are_to_scale(rows, columns),
                    rows: Ruler::new(rows, page.steps[0] as usize),
                    columns: Ruler::new(columns, page.steps[1] as usize),
                },
            },
        }
    }

    /// How many positions its pixels are made of, if all are read.
    pub fn count(&self) -> u64 {
        match self {
            Self::Map { page, .. } => page.positions().end - page.positions().start,
            Self::Places(scatter) => scatter.positions.len() as u64,
        }
    }

    /// Whether any of these positions are among them, all of which lie on the map.
    pub fn has_any(&self, positions: &Range<u64>) -> bool {
        match self {
            Self::Map { .. } => true,
            Self::Places(Scatter { every, .. }) => {
                positions.start.next_multiple_of(*every) < positions.end
            }
        }
    }
}

/// Positions at places of their own.
pub(super) struct Scatter {
    pub positions: Vec<u64>,
    /// One of so many is shown.
    pub every: u64,
    layout: Layout,
}

impl Scatter {
    /// Of not more than `most` positions, and as many as there is room for.
    pub fn of(source: &Source, most: u64) -> Self {
        let count = source.info.positions;
        let every = count.div_ceil(most.clamp(1, MOST_PLACES)).max(1);
        let positions: Vec<u64> = (0..count).step_by(every as usize).collect();
        let places = |number: usize| {
            let axis = &source.grid.dimensions[number];
            let values = positions.iter().map(|position| source.grid.value(*position, number));
            Places { name: axis.name.clone(), units: axis.units.clone(), values: values.collect() }
        };
        let axes = &source.grid.dimensions;
        let long: Vec<usize> = (0..axes.len()).filter(|axis| axes[*axis].len() > 1).collect();
        let layout = match long.as_slice() {
            [] => Layout::Curve(Ruler::new(
                &Dimension::new("Position", "", AxisValues::counted(positions.len())),
                1,
            )),
            [only] => {
                let Places { name, units, values } = places(*only);
                Layout::Curve(Ruler { edges: Vec::new(), name, units, values, steps: 1 })
            }
            [.., slow, fast] => {
                // Without a grid nobody can tell which of them is the slow one.
                let is_x = |axis: usize| axes[axis].name.trim().to_lowercase().starts_with('x');
                let turned = is_x(*slow) && !is_x(*fast);
                let (rows, columns) = if turned { (*fast, *slow) } else { (*slow, *fast) };
                Layout::Points {
                    rows: places(rows),
                    columns: places(columns),
                    to_scale: are_to_scale(&axes[rows], &axes[columns]),
                }
            }
        };
        Self { positions, every, layout }
    }
}
