//! The whole program, run as people run it, and its file looked at from outside. One test program
//! for all, so that the engine and HDF5 are linked once; a module for each subject says what
//! belongs there.
//!
//! `cargo test --release --test program kill::` runs one subject. All are in one process, side by
//! side: what a test sets, be it a limit, the environment or a folder to work in, it sets for a
//! program that it starts.

#![expect(clippy::unwrap_used, reason = "what doesn't hold here fails the test")]

mod arrays;
mod axes;
mod bad_input;
mod bounds;
mod cli;
mod clusters;
mod compress;
mod contract;
mod convolution;
mod coordinates;
mod corrections;
mod curve_fit;
mod damaged;
mod data;
mod decomposition;
mod elements;
mod export;
mod failures;
mod faults;
mod folds;
mod formats;
mod frame_maps;
mod giv;
mod golden;
mod groups;
mod hand_out;
mod histogram;
mod identity;
mod inputs;
mod intruders;
#[cfg(feature = "mpi")]
mod jobs;
mod kernel;
mod kill;
mod layouts;
mod linked;
mod locks;
mod log;
mod loop_fit;
mod meaning;
mod memory;
mod neighbours;
mod nmf;
#[cfg(feature = "mpi")]
mod nodes;
mod online;
mod parallel;
mod parts;
mod passes;
mod pick;
mod places;
mod plans;
mod plot;
mod provenance;
mod pyusid;
mod quantiles;
#[cfg(feature = "mpi")]
mod ranks;
mod readme;
mod rebin;
mod recipes;
mod rehearsal;
mod remove;
mod repeated;
mod selections;
mod sho_fit;
mod show;
mod signal_filter;
mod spectra_maps;
mod stop;
mod support;
mod survey;
mod svd_filter;
mod untidy;
mod user_block;
mod view;
mod waves_and_shifts;

#[test]
fn every_file_in_this_folder_is_part_of_the_program() {
    let program = include_str!("main.rs");
    for entry in support::root().join("tests").read_dir().unwrap() {
        let path = entry.unwrap().path();
        let subject = path.file_stem().unwrap().to_str().unwrap();
        let is_code = path.extension().is_some_and(|ending| ending == "rs");
        if is_code && subject != "main" {
            assert!(program.contains(&format!("\nmod {subject};\n")), "{}", path.display());
        }
    }
}
