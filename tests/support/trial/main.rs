//! A program with the command line of pixelmill over the built-in processes and some that exist
//! only to try the engine, a file for each kind: slow ones, failing ones, ones that use every part
//! of the trait, ones that are parallel inside, and kernels without a process.

mod batched;
mod digest;
mod gathered;
mod given;
mod named;
mod parted;
mod pieces;
mod placed;
mod rich;
mod slow;
mod surrounded;
mod trouble;
mod uneven;
mod weighted;

use std::process::ExitCode;

use pixelmill::registry::{Runner, reducer, runner};
use pixelmill_processes::PROCESSES;

static TRIALS: [&dyn Runner; 15] = [
    runner::<slow::Slow>(),
    runner::<uneven::Uneven>(),
    runner::<trouble::Trouble>(),
    runner::<rich::Rich>(),
    runner::<batched::Batched>(),
    runner::<weighted::Weighted>(),
    runner::<digest::Digest>(),
    runner::<pieces::Pieces>(),
    runner::<parted::Parted>(),
    runner::<given::Given>(),
    runner::<placed::Placed>(),
    runner::<surrounded::Surrounded>(),
    reducer::<gathered::Gathered<0>>(),
    reducer::<gathered::Gathered<1>>(),
    reducer::<gathered::Gathered<2>>(),
];

fn main() -> ExitCode {
    // What nobody has known before: a kernel by any name of this kind.
    let arguments = std::env::args_os().filter_map(|argument| argument.into_string().ok());
    let named =
        arguments.into_iter().find(|argument| argument.starts_with("named-")).map(named::Named);
    let mut all = [PROCESSES.as_slice(), &TRIALS].concat();
    all.extend(named.map(|named| &*Box::leak(Box::new(named)) as &dyn Runner));
    pixelmill::cli::main(&all)
}
