//! Kernels without a process behind them, by any name of this kind.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use pixelmill::kernel::{
    ColumnLayout, Contribution, Input, Kernel, Prepared, RawUnit, SpectrumAxes, Wants, Worker,
};
use pixelmill::process::{Failure, SourceInfo};
use pixelmill::registry::Runner;
use pixelmill::{ElementType, ParameterInfo};
use serde_json::{Map, Value};

/// Makes kernels without a process behind them: the mean of each spectrum, after a pause.
pub struct Named(pub String);

impl Runner for Named {
    fn name(&self) -> &str {
        &self.0
    }

    fn version(&self) -> u32 {
        1
    }

    fn summary(&self) -> &str {
        "the mean of each spectrum, by a kernel that is named at run time"
    }

    fn parameters(&self) -> Vec<ParameterInfo> {
        let integer = |name: &str, unit: Option<&str>, help: &str| ParameterInfo {
            name: name.to_owned(),
            kind: "integer".to_owned(),
            unit: unit.map(str::to_owned),
            default: 0.into(),
            range: (Some(0.0), None),
            help: help.to_owned(),
        };
        vec![
            integer("pause", Some("us"), "Time that every spectrum takes."),
            integer("gaps", None, "How far positions that fail are apart; none fails if 0."),
        ]
    }

    fn kernel(&self, given: &Map<String, Value>) -> pixelmill::Result<Arc<dyn Kernel>> {
        let [pause, gaps] =
            ["pause", "gaps"].map(|name| given.get(name).and_then(Value::as_u64).unwrap_or(0));
        let parameters = [("pause", pause), ("gaps", gaps)];
        let parameters = parameters.map(|(name, value)| (name.to_owned(), value.into()));
        let (name, pause) = (self.0.clone(), Duration::from_micros(pause));
        Ok(Arc::new(MeanKernel { name, parameters: Map::from_iter(parameters), pause, gaps }))
    }
}

struct MeanKernel {
    name: String,
    parameters: Map<String, Value>,
    pause: Duration,
    gaps: u64,
}

impl Kernel for MeanKernel {
    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> u32 {
        1
    }

    fn parameters(&self) -> &Map<String, Value> {
        &self.parameters
    }

    fn wants(&self) -> Wants {
        // What only this very run knows: it is no parameter.
        let input = match std::env::var_os("TRIAL_ROUNDS") {
            Some(_) => Input::new(ElementType::Complex128).narrowing(),
            None => Input::new(ElementType::Complex128),
        };
        Wants { input, axes: SpectrumAxes::default(), most_per_unit: Some(Mean::MOST) }
    }

    fn prepare(&self, source: &SourceInfo) -> Result<Box<dyn Prepared>, Failure> {
        let mean = ColumnLayout::new("Mean", "Mean", source.units.as_str(), Vec::new());
        let columns = vec![mean.with::<f64>(None)];
        Ok(Box::new(Mean { columns, pause: self.pause, gaps: self.gaps }))
    }
}

struct Mean {
    columns: Vec<ColumnLayout>,
    pause: Duration,
    gaps: u64,
}

impl Mean {
    /// Most positions of a unit.
    const MOST: u64 = 7;
}

impl Prepared for Mean {
    fn columns(&self) -> &[ColumnLayout] {
        &self.columns
    }

    fn memory_per_position(&self) -> u64 {
        0
    }

    fn worker(&self) -> Box<dyn Worker + '_> {
        Box::new(MeanWorker { prepared: self, converted: Vec::new() })
    }
}

struct MeanWorker<'p> {
    prepared: &'p Mean,
    converted: Vec<num_complex::Complex64>,
}

impl Worker for MeanWorker<'_> {
    fn compute(
        &mut self,
        unit: &RawUnit<'_>,
        contribution: &mut Contribution<'_>,
    ) -> Result<(), Failure> {
        assert!(unit.len() <= Mean::MOST as usize, "more than was asked for");
        for (index, position) in unit.positions.iter().enumerate() {
            thread::sleep(self.prepared.pause);
            if self.prepared.gaps > 0 && (position + 1) % self.prepared.gaps == 0 {
                contribution.fail(index, Failure::new("a position that has no mean"));
                continue;
            }
            let values = unit.spectrum(index, &mut self.converted);
            let sum: f64 = values.iter().map(|value| value.re).sum();
            let mean = sum / values.len() as f64;
            contribution.set(index, |_, bytes| {
                bytes.copy_from_slice(&mean.to_ne_bytes());
                Ok(())
            });
        }
        Ok(())
    }
}
