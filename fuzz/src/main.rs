//! Runs one target under libFuzzer; see README.md beside this crate.
//!
//! All targets are in one program, so that the engine is linked once. Which one runs is said by the
//! environment, since libFuzzer takes the arguments; without a word of it their names are told.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use pixelmill::internals::{TARGETS, Target};

/// Names the target.
const NAME: &str = "PIXELMILL_FUZZ_TARGET";

static CHOSEN: OnceLock<Target> = OnceLock::new();

fn choose() {
    let name = std::env::var(NAME).unwrap_or_default();
    let Some((_, target)) = TARGETS.iter().find(|(known, _)| *known == name) else {
        TARGETS.iter().for_each(|(name, _)| println!("{name}"));
        std::process::exit(if name.is_empty() { 0 } else { 2 });
    };
    CHOSEN.get_or_init(|| *target);
}

fuzz_target!(init: choose(), |data: &[u8]| {
    if let Some(target) = CHOSEN.get() {
        target(data);
    }
});
