//! Processes that come with pixelmill, one file each, and the list of them in the order in which
//! people see it. How to add one is in this crate's README.

#![forbid(unsafe_code)]

use pixelmill_core::registry::{Runner, reducer, runner};

mod as_source;
pub mod center_of_mass;
mod chance;
mod choices;
pub mod cross_correlation;
pub mod crystallinity;
pub mod curve_fit;
pub mod decomposition;
pub mod denoise;
pub mod derivative;
mod drawn;
mod factorisation;
pub mod fft;
pub mod fft_mask;
pub mod fluctuation;
mod fourier;
mod frame_fourier;
pub mod gaussian_mixture;
pub mod giv_bayesian;
pub mod histogram;
pub mod holography;
pub mod integral;
pub mod kmeans;
pub mod least_squares;
pub mod local_correlation;
pub mod log_sum;
pub mod loop_fit;
pub mod masks;
pub mod maximum;
mod mini_batches;
pub mod moments;
pub mod nmf;
mod octets;
pub mod online;
pub mod peak_finding;
pub mod phase_correlation;
pub mod pick;
mod principal;
mod products;
pub mod quantiles;
pub mod radial_fourier;
pub mod radial_profile;
pub mod rebin;
mod region;
pub mod savitzky_golay;
pub mod sho_fit;
mod side_by_side;
pub mod signal_filter;
pub mod smooth;
mod spectral_axis;
pub mod spectrum_statistics;
pub mod statistics;
pub mod sum;
pub mod svd_filter;
mod transforms;
mod weights;
mod whole_spectra;
mod window;

pub use center_of_mass::CenterOfMass;
pub use cross_correlation::CrossCorrelation;
pub use crystallinity::Crystallinity;
pub use curve_fit::CurveFit;
pub use decomposition::{Pca, Svd};
pub use denoise::Denoise;
pub use derivative::Derivative;
pub use fft::Fft;
pub use fft_mask::FftMask;
pub use fluctuation::Fluctuation;
pub use gaussian_mixture::GaussianMixture;
pub use giv_bayesian::GivBayesian;
pub use histogram::Histogram;
pub use holography::Holography;
pub use integral::Integral;
pub use kmeans::KMeans;
pub use local_correlation::LocalCorrelation;
pub use log_sum::LogSum;
pub use loop_fit::LoopFit;
pub use masks::Masks;
pub use maximum::Maximum;
pub use moments::Moments;
pub use nmf::Nmf;
pub use online::{Ornmf, Orpca};
pub use peak_finding::PeakFinding;
pub use phase_correlation::PhaseCorrelation;
pub use pick::Pick;
pub use quantiles::Quantiles;
pub use radial_fourier::RadialFourier;
pub use radial_profile::RadialProfile;
pub use rebin::Rebin;
pub use sho_fit::ShoFit;
pub use signal_filter::SignalFilter;
pub use smooth::Smooth;
pub use spectrum_statistics::SpectrumStatistics;
pub use statistics::Statistics;
pub use sum::Sum;
pub use svd_filter::SvdFilter;

/// Every process of this crate. A slice of some of them, or with others beside them, is made
/// likewise:
///
/// ```
/// use pixelmill_core::registry::{Runner, find, runner};
/// use pixelmill_processes::{PeakFinding, Sum};
///
/// static CHOSEN: [&dyn Runner; 2] = [runner::<PeakFinding>(), runner::<Sum>()];
/// assert_eq!(find(&CHOSEN, "peak-finding").unwrap().name(), "Peak_Finding");
/// ```
pub static PROCESSES: [&dyn Runner; 40] = [
    runner::<PeakFinding>(),
    runner::<ShoFit>(),
    runner::<CurveFit>(),
    runner::<LoopFit>(),
    runner::<GivBayesian>(),
    runner::<SignalFilter>(),
    runner::<Sum>(),
    runner::<Moments>(),
    runner::<Maximum>(),
    runner::<Integral>(),
    runner::<Smooth>(),
    runner::<Derivative>(),
    runner::<Fft>(),
    runner::<FftMask>(),
    runner::<Rebin>(),
    runner::<Denoise>(),
    runner::<SvdFilter>(),
    runner::<LocalCorrelation>(),
    runner::<Crystallinity>(),
    runner::<CrossCorrelation>(),
    runner::<Holography>(),
    runner::<PhaseCorrelation>(),
    reducer::<Statistics>(),
    reducer::<Masks>(),
    reducer::<CenterOfMass>(),
    reducer::<RadialProfile>(),
    reducer::<Fluctuation>(),
    reducer::<RadialFourier>(),
    reducer::<SpectrumStatistics>(),
    reducer::<Histogram>(),
    reducer::<Quantiles>(),
    reducer::<LogSum>(),
    reducer::<Svd>(),
    reducer::<Pca>(),
    reducer::<Nmf>(),
    reducer::<Orpca>(),
    reducer::<Ornmf>(),
    reducer::<KMeans>(),
    reducer::<GaussianMixture>(),
    reducer::<Pick>(),
];
