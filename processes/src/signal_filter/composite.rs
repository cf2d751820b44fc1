//! The frequency filters, and the one gain per frequency that they make together.
//!
//! The shapes are those of pycroscopy's `LowPassFilter`, `HarmonicPassFilter` and
//! `NoiseBandFilter`; the high-pass filter mirrors the low-pass one, and pass bands are like those
//! of the harmonics. Gains are kept for the bins from 0 Hz to half the sample rate: negative
//! frequencies have the same.

use pixelmill_core::process::{AxisValues, Dimension, Failure, SourceInfo};

use super::Parameters;
use crate::spectral_axis;

/// Half the extent of the edges' error function, as in pycroscopy: it goes from 0.0002 to 0.9998.
const EXTENT: f64 = 2.5;

/// The bins of a transform.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bins {
    /// Points of the spectrum in the domain of time.
    pub points: usize,
    /// Points per second; not known if no filter needs it.
    pub rate: Option<f64>,
}

impl Bins {
    /// How many bins there are from 0 Hz to half the sample rate.
    pub fn count(self) -> usize {
        self.points / 2 + 1
    }

    /// The axis of some bins, negative ones for negative frequencies.
    pub fn axis(self, bins: impl Iterator<Item = i64>) -> Dimension {
        let (units, step) = match self.rate {
            Some(rate) => ("Hz", rate / self.points as f64),
            None => ("1/point", 1.0 / self.points as f64),
        };
        Dimension::new(
            "Frequency",
            units,
            bins.map(|bin| bin as f64 * step).collect::<AxisValues>(),
        )
    }
}

/// The bins of the source's spectra; filters need the sample rate.
pub(super) fn bins(parameters: &Parameters, source: &SourceInfo) -> Result<Bins, Failure> {
    let points = source.spectral_points;
    if points < 2 {
        return Err(Failure::new("its spectra have a single value, which has no frequencies"));
    }
    let rate = match parameters.sample_rate {
        Some(rate) => Ok(rate),
        None => rate_of(&source.axis(0)),
    };
    match rate {
        Ok(rate) => Ok(Bins { points, rate: Some(rate) }),
        Err(reason) if parameters.has_filters() => Err(reason),
        Err(_) => Ok(Bins { points, rate: None }),
    }
}

/// Points per second along an axis of time.
fn rate_of(axis: &Dimension) -> Result<f64, Failure> {
    let unknown = |reason: String| {
        Failure::new(format!("the sample rate isn't known: {reason}; give it as `sample_rate`"))
    };
    let seconds = match axis.units.trim() {
        "s" | "sec" | "second" | "seconds" => 1.0,
        "ms" => 1e-3,
        "us" | "µs" | "μs" => 1e-6,
        "ns" => 1e-9,
        other => {
            let reason =
                format!("the axis `{}` is in `{other}`, not in s, ms, us or ns", axis.name);
            return Err(unknown(reason));
        }
    };
    let step = spectral_axis::step(axis).map_err(unknown)?;
    if step < 0.0 {
        return Err(unknown(format!("the axis `{}` falls", axis.name)));
    }
    Ok(in_precision_of(axis, 1.0 / (step * seconds)))
}

/// A rate, to as many digits as an axis in single precision gives: 1e5 of steps of 1e-5 s, and not
/// 99999.998, with which bands would end at other bins.
fn in_precision_of(axis: &Dimension, rate: f64) -> f64 {
    if axis.values.iter().all(|value| f64::from(value as f32) == value) {
        (rate as f32).to_string().parse().unwrap_or(rate)
    } else {
        rate
    }
}

/// The gain of each bin by all filters together; `None` without any filter.
pub(super) fn composite(parameters: &Parameters, bins: Bins) -> Result<Option<Vec<f32>>, Failure> {
    let (Some(rate), true) = (bins.rate, parameters.has_filters()) else {
        return Ok(None);
    };
    let filter = Filter { points: bins.points as f64, rate };
    let mut gains = vec![1.0; bins.count()];
    if let Some(cutoff) = parameters.low_pass {
        filter.low_pass(filter.below_half("low_pass", cutoff)?, parameters.roll_off, &mut gains);
    }
    if let Some(cutoff) = parameters.high_pass {
        filter.high_pass(filter.below_half("high_pass", cutoff)?, parameters.roll_off, &mut gains);
    }
    let pass = pairs(&parameters.band_pass_frequencies, &parameters.band_pass_widths);
    filter.pass_bands("band_pass_frequencies", &pass, &mut gains)?;
    if let (Some(first), Some(width)) = (parameters.harmonic_frequency, parameters.harmonic_width) {
        let harmonics = (1..=parameters.harmonics).map(|number| (first * number as f64, width));
        filter.pass_bands("harmonics", &harmonics.collect::<Vec<_>>(), &mut gains)?;
    }
    for (frequency, width) in
        pairs(&parameters.noise_band_frequencies, &parameters.noise_band_widths)
    {
        let frequency = filter.below_half("noise_band_frequencies", frequency)?;
        gains[filter.band(frequency, width, bins.count())].fill(0.0);
    }
    if gains.iter().all(|gain| *gain == 0.0) {
        return Err(Failure::new("the filters together let no frequency pass"));
    }
    Ok(Some(gains))
}

/// Frequencies with their widths.
fn pairs(frequencies: &Option<Vec<f64>>, widths: &Option<Vec<f64>>) -> Vec<(f64, f64)> {
    let lists = (frequencies.iter().flatten(), widths.iter().flatten());
    lists.0.copied().zip(lists.1.copied()).collect()
}

/// How a filter's frequencies become bins.
struct Filter {
    points: f64,
    rate: f64,
}

impl Filter {
    fn below_half(&self, name: &str, frequency: f64) -> Result<f64, Failure> {
        if frequency < self.rate / 2.0 {
            return Ok(frequency);
        }
        Err(Failure::new(format!(
            "`{name}` asks for {frequency} Hz, but has to stay below half the sample rate, {} Hz",
            self.rate / 2.0
        )))
    }

    fn nearest(&self, frequency: f64) -> usize {
        (self.points * (frequency / self.rate)).round_ties_even() as usize
    }

    /// The bins of a band around a frequency.
    fn band(&self, frequency: f64, width: f64, count: usize) -> std::ops::Range<usize> {
        let half = (self.points / 2.0 * width / self.rate).round_ties_even() as usize;
        let centre = self.nearest(frequency);
        centre.saturating_sub(half)..centre.saturating_add(half).saturating_add(1).min(count)
    }

    /// Nothing from `cutoff` on, all below `cutoff` × (1 − `roll_off`).
    fn low_pass(&self, cutoff: f64, roll_off: f64, gains: &mut [f32]) {
        let (end, edge) = (self.nearest(cutoff), self.nearest(roll_off * cutoff));
        for (bin, gain) in gains.iter_mut().enumerate() {
            *gain *= match (end + 1).checked_sub(edge).and_then(|begin| bin.checked_sub(begin)) {
                _ if bin > end => 0.0,
                None => 1.0,
                Some(step) if step < edge => 1.0 - rise(step, edge),
                Some(_) => 0.0,
            } as f32;
        }
    }

    /// Nothing below `cutoff`, and never 0 Hz; all from `cutoff` × (1 + `roll_off`) on.
    fn high_pass(&self, cutoff: f64, roll_off: f64, gains: &mut [f32]) {
        let (begin, edge) = (self.nearest(cutoff).max(1), self.nearest(roll_off * cutoff));
        for (bin, gain) in gains.iter_mut().enumerate() {
            *gain *= match bin.checked_sub(begin) {
                None => 0.0,
                Some(step) if step < edge => rise(step, edge),
                Some(_) => 1.0,
            } as f32;
        }
    }

    /// All in any of the bands, nothing outside; no change without any band.
    fn pass_bands(
        &self,
        name: &str,
        bands: &[(f64, f64)],
        gains: &mut [f32],
    ) -> Result<(), Failure> {
        if bands.is_empty() {
            return Ok(());
        }
        let mut passes = vec![false; gains.len()];
        for (frequency, width) in bands {
            let frequency = self.below_half(name, *frequency)?;
            passes[self.band(frequency, *width, gains.len())].fill(true);
        }
        for (gain, _) in gains.iter_mut().zip(&passes).filter(|(_, passes)| !**passes) {
            *gain = 0.0;
        }
        Ok(())
    }
}

/// The gain at a step of an edge that rises over so many bins.
fn rise(step: usize, steps: usize) -> f64 {
    let along = if steps > 1 { step as f64 / (steps - 1) as f64 } else { 0.5 };
    0.5 * (1.0 + libm::erf(EXTENT * (2.0 * along - 1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gains(parameters: Parameters, points: usize) -> Result<Vec<f32>, Failure> {
        let composite = composite(&parameters, Bins { points, rate: Some(1000.0) })?;
        Ok(composite.expect("there is a filter"))
    }

    /// The bins that pass, in a transform whose bins are 1 Hz apart.
    fn passing(parameters: Parameters) -> Vec<usize> {
        let gains = gains(parameters, 1000).unwrap();
        (0..gains.len()).filter(|bin| gains[*bin] > 0.0).collect()
    }

    #[test]
    fn each_filter_lets_its_bins_pass() {
        let none = Parameters::default;
        let low = passing(Parameters { low_pass: Some(100.0), ..none() });
        assert_eq!(low, (0..=100).collect::<Vec<_>>());
        let high = passing(Parameters { high_pass: Some(100.0), ..none() });
        assert_eq!(high, (100..=500).collect::<Vec<_>>());
        let band = Parameters {
            band_pass_frequencies: Some(vec![30.0, 40.0]),
            band_pass_widths: Some(vec![2.0, 4.0]),
            ..none()
        };
        assert_eq!(passing(band), [29, 30, 31, 38, 39, 40, 41, 42]);
        let harmonics = Parameters {
            harmonic_frequency: Some(50.0),
            harmonic_width: Some(2.0),
            harmonics: 3,
            ..none()
        };
        assert_eq!(passing(harmonics), [49, 50, 51, 99, 100, 101, 149, 150, 151]);
        let stopped = Parameters {
            noise_band_frequencies: Some(vec![0.0, 490.0]),
            noise_band_widths: Some(vec![20.0, 30.0]),
            ..none()
        };
        assert_eq!(passing(stopped), (11..475).collect::<Vec<_>>());
    }

    #[test]
    fn edges_roll_off_inside_the_low_pass_and_outside_the_high_pass() {
        let low = Parameters { low_pass: Some(100.0), roll_off: 0.1, ..Parameters::default() };
        let low = gains(low, 1000).unwrap();
        assert_eq!((low[90], low[101]), (1.0, 0.0));
        let falling: Vec<f32> = low[91..=100].to_vec();
        assert!(falling.is_sorted_by(|a, b| a > b) && falling[0] > 0.999 && falling[9] < 0.001);
        let high = Parameters { high_pass: Some(100.0), roll_off: 0.1, ..Parameters::default() };
        let high = gains(high, 1000).unwrap();
        assert_eq!((high[99], high[110]), (0.0, 1.0));
        for (rising, falling) in high[100..110].iter().zip(&falling) {
            assert!((rising + falling - 1.0).abs() < 1e-6);
        }
        // An edge of one bin is halfway.
        let narrow = Parameters { low_pass: Some(20.0), ..Parameters::default() };
        assert_eq!(gains(narrow, 1000).unwrap()[19..22], [1.0, 0.5, 0.0]);
    }

    #[test]
    fn even_axes_of_time_give_the_sample_rate() {
        let axis = |units: &str, values: Vec<f64>| Dimension::new("Time", units, values);
        let steps = |step: f64| (0..1000).map(move |at| f64::from((at as f64 * step) as f32));
        for (units, step, rate) in
            [("s", 0.5, 2.0), ("ms", 0.02, 5e4), ("us", 4.0, 2.5e5), ("ns", 1.0, 1e9)]
        {
            let found = rate_of(&axis(units, steps(step).collect())).unwrap();
            assert_eq!(found, rate, "{units}");
        }
        let third = axis("s", (0..1000).map(|at| f64::from(at) * 3e-6).collect());
        assert!((rate_of(&third).unwrap() * 3e-6 - 1.0).abs() < 1e-15);
        let uneven = vec![0.0, 1.0, 3.0];
        for (axis, reason) in [
            (axis("Hz", vec![0.0, 1.0]), "in `Hz`"),
            (axis("s", vec![0.0]), "single value"),
            (axis("s", uneven), "evenly"),
            (axis("s", vec![1.0, 1.0, 1.0]), "evenly"),
            (axis("s", vec![2.0, 1.0, 0.0]), "falls"),
            (axis("s", vec![0.0, f64::NAN, 2.0]), "evenly"),
        ] {
            assert!(rate_of(&axis).unwrap_err().to_string().contains(reason));
        }
    }

    #[test]
    fn filters_beyond_half_the_sample_rate_or_without_any_bin_are_refused() {
        let refused = |parameters| gains(parameters, 1000).unwrap_err().to_string();
        let low = refused(Parameters { low_pass: Some(500.0), ..Parameters::default() });
        assert!(low.contains("`low_pass` asks for 500 Hz") && low.contains("500 Hz"), "{low}");
        let harmonics = refused(Parameters {
            harmonic_frequency: Some(120.0),
            harmonic_width: Some(2.0),
            harmonics: 5,
            ..Parameters::default()
        });
        assert!(harmonics.contains("`harmonics` asks for 600 Hz"), "{harmonics}");
        let nothing = refused(Parameters {
            low_pass: Some(10.0),
            high_pass: Some(100.0),
            ..Parameters::default()
        });
        assert!(nothing.contains("no frequency"), "{nothing}");
    }
}
