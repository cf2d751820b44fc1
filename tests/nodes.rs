//! One job on two nodes: network namespaces with a host name each, which only TCP connects. Needs
//! the feature `mpi` with Open MPI, and root.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::ranks::{mpirun, parent, processes};
use crate::support::watch::{Opener, Running, Snapshot, signal, wait_until};
use crate::support::{POSITIONS, Ran, Sample, program, root, run, start_piped, succeed};

/// Where each rank is.
const HOSTS: [&str; 3] = ["alpha", "alpha", "beta"];

/// Each job has both nodes for itself.
static NODES: Mutex<()> = Mutex::new(());

fn nodes() -> PathBuf {
    root().join("tests/support/nodes.sh")
}

/// The program with `--json` on two ranks of alpha and one of beta.
fn on_nodes(arguments: &[std::ffi::OsString]) -> Command {
    let launcher = mpirun();
    let mut command = Command::new(nodes());
    command.arg(launcher.get_program()).args(launcher.get_args());
    command.envs(launcher.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.args(["--host", "alpha:2,beta:1", "--mca", "plm_rsh_agent"]).arg(nodes());
    command.args(["--mca", "oob_tcp_if_include", "eth0", "--mca", "btl_tcp_if_include", "eth0"]);
    command.args(["-n", "3"]).arg(program()).args(arguments).arg("--json");
    command
}

/// A job while it runs, and the nodes that it has.
struct Job {
    running: Running,
    _nodes: MutexGuard<'static, ()>,
}

impl Job {
    fn start(command: &mut Command) -> Self {
        let nodes = NODES.lock().unwrap_or_else(PoisonError::into_inner);
        // Without them nothing here is tested, so that this isn't passed over.
        let made = Command::new(self::nodes()).args(["hostname"]).output().unwrap();
        let said = String::from_utf8_lossy(&made.stderr);
        assert_eq!(made.stdout, b"alpha\n", "nodes can't be made here; it takes root: {said}");
        Self { running: Running::watch(start_piped(command)), _nodes: nodes }
    }

    fn finish(self) -> Ran {
        self.running.finish()
    }

    fn succeed(self) -> Ran {
        let ran = self.finish();
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        ran
    }
}

fn solo(process: &str, options: &[&str], opener: &mut Opener) -> Snapshot {
    let sample = Sample::new();
    succeed(run(process, &sample.file, options));
    opener.snapshot(&sample.file)
}

fn per_rank(ran: &Ran, of: impl Fn(&Value) -> u64) -> Vec<u64> {
    ran.json["report"]["ranks"].as_array().unwrap().iter().map(of).collect()
}

#[test]
fn ranks_on_two_nodes_share_one_computation() {
    let mut opener = Opener::new();
    let finished = solo("slow", &["-p", "pause=200"], &mut opener);
    let sample = Sample::new();
    let ran = Job::start(&mut on_nodes(&run("slow", &sample.file, &["-p", "pause=200"]))).succeed();
    assert!(opener.snapshot(&sample.file) == finished);
    assert!(ran.stderr.contains(" on 3 ranks of 2 nodes"), "{}", ran.stderr);
    let ranks = ran.json["report"]["ranks"].as_array().unwrap();
    assert!(ranks.iter().map(|rank| &rank["host"]).eq(HOSTS), "{ranks:?}");
    // All took from the counter, though it is only reached by TCP.
    let shares = per_rank(&ran, |rank| rank["positions"].as_u64().unwrap());
    assert_eq!(shares.iter().sum::<u64>(), POSITIONS as u64);
    assert!(shares.iter().all(|share| *share > POSITIONS as u64 / 20), "{shares:?}");
    // All cores of each node, divided by the ranks there.
    let cores = std::thread::available_parallelism().unwrap().get() as u64;
    let workers = per_rank(&ran, |rank| rank["workers"].as_u64().unwrap());
    assert_eq!(workers, [cores.div_ceil(2), (cores / 2).max(1), cores]);
}

#[test]
fn each_node_gives_its_memory_to_its_own_ranks() {
    // A quarter of what alpha has, for two ranks, or of what beta has for one; the least counts for
    // all.
    for (alpha, beta) in [("16", "160"), ("160", "8")] {
        let sample = Sample::new();
        sample.rechunk(["4096", "1"]);
        let mut command = on_nodes(&run("digest", &sample.file, &["--cores", "1"]));
        command.env("MEMORY_alpha", alpha).env("MEMORY_beta", beta);
        let ran = Job::start(&mut command).succeed();
        assert!(ran.stderr.contains(", 2.0 MiB of memory each"), "{alpha}, {beta}: {}", ran.stderr);
    }
}

#[test]
fn a_signal_at_one_node_stops_both() {
    let mut opener = Opener::new();
    let sample = Sample::new();
    let arguments = run("slow", &sample.file, &["-p", "pause=1000", "--checkpoint", "0.2"]);
    let job = Job::start(&mut on_nodes(&arguments));
    let group = job.running.computing(&mut opener, &sample.file);
    job.running.wait_until_marked(&group, &sample.file, 100);
    assert!(signal(processes(&sample.file)[&2], "TERM"), "the rank on beta is there");
    let ran = job.finish();
    assert_eq!((ran.code, &ran.json["outcome"]), (Some(143), &"stopped".into()), "{}", ran.stderr);
    let json = Job::start(&mut on_nodes(&arguments)).succeed().json;
    assert!(json["report"]["positions"].as_u64().unwrap() < POSITIONS as u64 - 100);
    assert!(opener.snapshot(&sample.file) == solo("slow", &["-p", "pause=1000"], &mut opener));
}

#[test]
fn what_is_killed_on_the_other_node_ends_the_job() {
    let mut opener = Opener::new();
    let finished = solo("slow", &["-p", "pause=500"], &mut opener);
    let sample = Sample::new();
    let arguments = run("slow", &sample.file, &["-p", "pause=500", "--checkpoint", "0.2"]);
    // The rank there, and MPI's daemon, with which the whole node is lost.
    for victim in [|rank: u32| rank, parent] {
        let job = Job::start(&mut on_nodes(&arguments));
        let group = job.running.computing(&mut opener, &sample.file);
        let before = group.marked(&sample.file);
        job.running.wait_until_marked(&group, &sample.file, before + 100);
        assert!(signal(victim(processes(&sample.file)[&2]), "KILL"));
        let begun = Instant::now();
        let ran = job.finish();
        assert_ne!(ran.code, Some(0), "{}", ran.stderr);
        assert!(begun.elapsed() < Duration::from_secs(20), "it took {:?}", begun.elapsed());
        wait_until("no rank is left", || processes(&sample.file).is_empty());
        opener.snapshot(&sample.file).assert_marked_are_right(&finished);
    }
    Job::start(&mut on_nodes(&arguments)).succeed();
    assert!(opener.snapshot(&sample.file) == finished);
}
