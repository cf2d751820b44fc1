//! The program `pixelmill`: the processes of this crate on the command line of the engine.

use std::process::ExitCode;

fn main() -> ExitCode {
    pixelmill::cli::main(&pixelmill_processes::PROCESSES)
}
