//! SIGKILL at random instants: the file opens, nothing that is marked is wrong, little is lost, and
//! the results in the end are those of a run that nobody disturbed.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::random::Random;
use crate::support::watch::{Opener, Running, Snapshot};
use crate::support::{POSITIONS, Sample, pixelmill, succeed};

/// A kind of run to be killed.
struct Kind {
    process: &'static str,
    options: &'static [&'static str],
    /// Whether results go to a file of their own.
    output: bool,
    /// Whether the data are in compressed chunks, each with a part of some spectra.
    chunked: bool,
    /// Most positions that one kill can cost.
    most_lost: Option<usize>,
}

/// A sample and the run on it.
struct Round {
    sample: Sample,
    arguments: Vec<OsString>,
    results: PathBuf,
}

impl Kind {
    fn round(&self) -> Round {
        let sample = Sample::new();
        if self.chunked {
            sample.rechunk(["300", "50"]);
        }
        let mut arguments: Vec<OsString> =
            vec!["run".into(), self.process.into(), sample.file.clone().into()];
        arguments.extend(self.options.iter().map(OsString::from));
        let mut results = sample.file.clone();
        if self.output {
            results = sample.folder.path().join("results.h5");
            arguments.extend(["--output".into(), results.clone().into()]);
        }
        Round { sample, arguments, results }
    }
}

/// Kills runs of one kind until `kills` have been hit, and a quarter of them in mid-run; each scan
/// is killed a few times on its way.
fn kill_at_random_instants(kind: &Kind, kills: usize) {
    let mut opener = Opener::new();
    let undisturbed = kind.round();
    let begun = Instant::now();
    succeed(&undisturbed.arguments);
    let duration = begun.elapsed().as_secs_f64();
    let finished = opener.snapshot(&undisturbed.results);
    assert_eq!(finished.prefix(), POSITIONS);

    let mut random = Random(kills as u64);
    let (mut killed, mut with_marks) = (0, 0);
    // How long a run takes isn't the same all the time.
    while killed < kills || (with_marks * 4 <= kills && killed < 4 * kills) {
        let round = kind.round();
        let mut marked = 0;
        for kills_of_this_scan in 1..=3 {
            let left = duration * (1.0 - marked as f64 / POSITIONS as f64);
            if !kill_after(&round, left * random.next()) {
                marked = POSITIONS;
                break;
            }
            killed += 1;
            let Some(found) = look(&round, &mut opener, &finished) else { continue };
            assert!(found.marked() >= marked, "marks were lost");
            marked = found.marked();
            with_marks += usize::from(marked > 0 && marked < POSITIONS);
            if let Some(most) = kind.most_lost {
                let lost = found.written_but_not_marked(&finished);
                assert!(lost <= most * kills_of_this_scan, "{lost} computed positions were lost");
            }
        }
        go_on_to_the_end(&round, marked);
        assert!(opener.snapshot(&round.results) == finished, "other results than undisturbed");
    }
    assert!(with_marks * 4 > kills, "only {with_marks} of {killed} kills came in mid-run");
}

/// Whether the run could be killed before its end.
fn kill_after(round: &Round, seconds: f64) -> bool {
    let running = Running::start(&round.arguments);
    thread::sleep(Duration::from_secs_f64(seconds));
    let status = running.kill();
    assert!(status.success() || status.signal() == Some(9), "{status}");
    status.signal().is_some()
}

/// Opens the files and looks at the results group, if it is there already.
fn look(round: &Round, opener: &mut Opener, finished: &Snapshot) -> Option<Snapshot> {
    opener.groups(&round.sample.file);
    if !round.results.exists() {
        return None;
    }
    let mut groups = opener.groups(&round.results);
    assert!(groups.len() <= 1, "{groups:?}");
    let group = groups.pop()?;
    let found = group.read(&round.results);
    found.assert_marked_are_right(finished);
    assert!(group.last_pixel <= found.prefix() as i64, "{} is too much", group.last_pixel);
    Some(found)
}

/// Only what isn't marked is computed again.
fn go_on_to_the_end(round: &Round, marked: usize) {
    let ran = pixelmill(&round.arguments);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(ran.json["completed"], POSITIONS);
    let computed = ran.json["report"]["positions"].as_u64().unwrap_or(0);
    assert_eq!(computed as usize, POSITIONS - marked, "{}", ran.stderr);
}

#[test]
fn peak_finding_survives_kills() {
    let options = &["-p", "num_steps=10", "--checkpoint", "0.02", "--cores", "2"];
    let kind =
        Kind { process: "peak-finding", options, output: false, chunked: false, most_lost: None };
    kill_at_random_instants(&kind, 50);
}

#[test]
fn a_kill_costs_no_more_than_three_batches() {
    // Every spectrum takes 50 us at least. So a worker computes at most 2 ms / 50 us positions
    // while a batch is open, and the unit that it began last: 9 positions by this little memory.
    let options = &["-p", "pause=50", "--checkpoint", "0.02", "--cores", "2", "--memory", "64K"];
    let kind = Kind {
        process: "slow",
        options,
        output: false,
        chunked: false,
        most_lost: Some(3 * 2 * (40 + 9)),
    };
    kill_at_random_instants(&kind, 50);
}

#[test]
fn results_in_a_file_of_their_own_survive_kills() {
    let options = &["-p", "pause=50", "--checkpoint", "0.02", "--cores", "2"];
    let kind = Kind { process: "slow", options, output: true, chunked: false, most_lost: None };
    kill_at_random_instants(&kind, 50);
}

#[test]
fn runs_over_compressed_chunks_survive_kills() {
    let options = &["-p", "pause=50", "--checkpoint", "0.02", "--cores", "2"];
    let kind = Kind { process: "slow", options, output: false, chunked: true, most_lost: None };
    kill_at_random_instants(&kind, 30);
}

#[test]
fn runs_over_a_corrected_part_of_compressed_chunks_survive_kills() {
    let options = &[
        "-p",
        "pause=50",
        "--checkpoint",
        "0.02",
        "--cores",
        "2",
        "--crop",
        "20:110:2",
        "--dead-pixels",
        "22,60",
    ];
    let kind = Kind { process: "slow", options, output: false, chunked: true, most_lost: None };
    kill_at_random_instants(&kind, 20);
}

#[test]
fn without_waiting_for_the_disk_kills_are_survived_too() {
    let options =
        &["-p", "pause=50", "--checkpoint", "0.02", "--cores", "2", "--durability", "process"];
    let kind = Kind { process: "slow", options, output: false, chunked: false, most_lost: None };
    kill_at_random_instants(&kind, 50);
}

#[test]
fn a_kernel_without_a_process_survives_kills() {
    let options = &["-p", "pause=50", "--checkpoint", "0.02", "--cores", "2"];
    let kind =
        Kind { process: "named-rows", options, output: false, chunked: false, most_lost: None };
    kill_at_random_instants(&kind, 20);
}
