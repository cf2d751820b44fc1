//! What factorisations of a scan into amounts of components are made of: amounts that aren't
//! negative for given components, and better components for given amounts. Both know the scan by
//! sums alone, whoever has added these up: of all spectra or of some.

pub mod dictionary;
pub mod nonnegative;
