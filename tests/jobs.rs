//! The job scripts, which compute in as many jobs as it takes. The test plays the batch system: it
//! starts jobs, ends them, and starts again what they submit. Launchers, ranks, kills and signals
//! are real.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::support::ranks::{mpirun, processes};
use crate::support::watch::{Group, Opener, Running, Snapshot, signal, wait_until};
use crate::support::{POSITIONS, Ran, Sample, program, root, run, start_piped, succeed};

/// What is computed: six seconds of two ranks.
const OPTIONS: [&str; 6] = ["-p", "pause=3000", "--checkpoint", "0.2", "--cores", "1"];
/// Jobs that last longer than any test.
const HOURS: Duration = Duration::from_secs(10_000);

/// A copy of the sample, the scripts that a user would have, and a batch system's commands.
struct Site {
    sample: Sample,
    group: Option<Group>,
    opener: Opener,
}

/// Tells where the script is and when the job ends, and takes the job back into the queue.
const SCONTROL: &str = r#"#!/bin/sh
if [ "$1" = show ]; then
    echo "JobId=$3 JobName=pixelmill"
    end=Unknown
    [ ! "$ENDS" ] || end=$(date -d "@$ENDS" +%Y-%m-%dT%H:%M:%S)
    echo "   StartTime=2026-01-01T00:00:00 EndTime=$end Deadline=N/A"
    echo "   Command=$SCRIPTS/slurm.sh pixelmill run"
else
    echo "$*" >queued
fi
"#;
/// Keeps what is to run, in the words of the command line, and the environment to run it in, if
/// asked to.
const QSUB: &str = r#"#!/bin/sh
[ "$1" != -V ] || env -0 >environment
while [ "$1" != -- ]; do shift; done
shift
printf '%s\0' "$@" >queued
echo 8.server
"#;

impl Site {
    fn new() -> Self {
        let sample = Sample::new();
        for (name, text) in [("scontrol", SCONTROL), ("qsub", QSUB)] {
            let path = sample.folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        // Slurm runs a copy of the script that it was given.
        std::fs::copy(scripts().join("slurm.sh"), sample.folder.path().join("slurm_script"))
            .unwrap();
        Self { sample, group: None, opener: Opener::new() }
    }

    fn folder(&self) -> &Path {
        self.sample.folder.path()
    }

    fn file(&self) -> &Path {
        &self.sample.file
    }

    /// `pixelmill run slow FILE`.
    fn command(&self, options: &[&str]) -> Vec<OsString> {
        let mut command = vec![program().into_os_string()];
        command.extend(run("slow", self.file(), options));
        command
    }

    /// A script on so many ranks, with the batch system's commands at hand.
    fn script(&self, script: &Path, ranks: usize) -> Command {
        let launcher = mpirun();
        let mut words = vec![launcher.get_program().to_str().unwrap()];
        words.extend(launcher.get_args().map(|argument| argument.to_str().unwrap()));
        let mut command = job(script);
        command.envs(launcher.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env("LAUNCHER", format!("{} -n {ranks}", words.join(" ")));
        command.env("SCRIPTS", scripts()).env("JOB_SPARE", "1").env("JOB_PATIENCE", "6");
        command.current_dir(self.folder());
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{path}", self.folder().display()));
        command
    }

    /// A job of Slurm's that ends after some time.
    fn slurm(&self, ranks: usize, time: Duration, options: &[&str]) -> Running {
        let end = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap() + time;
        let mut job = self.script(&self.folder().join("slurm_script"), ranks);
        job.env("SLURM_JOB_ID", "7").env("ENDS", end.as_secs().to_string());
        Running::watch(start_piped(job.args(self.command(options))))
    }

    /// Whether a job was queued meanwhile; what was.
    fn queued(&self) -> Option<Vec<OsString>> {
        let queued = self.folder().join("queued");
        let words = std::fs::read(&queued).ok()?;
        std::fs::remove_file(&queued).unwrap();
        let words = words.trim_ascii_end().strip_suffix(b"\0").unwrap_or(words.trim_ascii_end());
        Some(words.split(|byte| *byte == 0).map(|word| OsString::from_vec(word.to_vec())).collect())
    }

    /// The environment that PBS gives to what was queued.
    fn environment(&self) -> Vec<(OsString, OsString)> {
        let all = std::fs::read(self.folder().join("environment")).unwrap();
        let variables = all.split(|byte| *byte == 0).filter_map(|variable| {
            let equals = variable.iter().position(|byte| *byte == b'=')?;
            let word = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
            Some((word(&variable[..equals]), word(&variable[equals + 1..])))
        });
        variables.collect()
    }

    /// How many positions are marked.
    fn marked(&mut self) -> usize {
        if self.group.is_none() {
            self.group = self.opener.groups(&self.sample.file).pop();
        }
        self.group.as_ref().map_or(0, |group| group.marked(self.file()))
    }

    /// Waits until some more are marked than now, and all ranks are there.
    fn wait_for_progress(&mut self, running: &Running, ranks: usize) {
        running.wait_for_line(" of memory");
        let before = self.marked();
        wait_until("some more are marked", || self.marked() > before);
        wait_until("all ranks are there", || processes(self.file()).len() == ranks);
    }

    fn signal_ranks(&self, name: &str, ranks: &[usize]) {
        let there = processes(self.file());
        for rank in ranks {
            assert!(signal(there[rank], name), "rank {rank} is there");
        }
    }

    /// Whether all is computed, and nothing is left of the jobs.
    fn assert_done(&mut self, finished: &Snapshot) {
        assert!(
            self.opener.snapshot(&self.sample.file) == *finished,
            "other results than undisturbed"
        );
        assert_eq!(self.queued(), None);
        let left = std::fs::read_dir(self.folder()).unwrap().flatten();
        let left: Vec<_> = left.filter(|entry| entry.file_name().as_bytes()[0] == b'.').collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// A script that hears Ctrl-C and a hangup, as under a batch system. What is started in the
/// background of a shell without job control ignores the one, and what `nohup` starts the other;
/// a shell script can't change that.
fn job(script: &Path) -> Command {
    let mut command = Command::new("env");
    command.arg("--default-signal=INT,HUP").arg(script);
    command
}

fn scripts() -> PathBuf {
    root().join("scripts/jobs")
}

/// How often the launcher was started.
fn starts(ran: &Ran) -> usize {
    let begins = |line: &&str| line.starts_with("Computing ") || line.starts_with("Resuming ");
    ran.stderr.lines().filter(begins).count()
}

/// The results of one process that computes alone, undisturbed.
fn undisturbed() -> Snapshot {
    let sample = Sample::new();
    succeed(run("slow", &sample.file, &["-p", "pause=0"]));
    let finished = Opener::new().snapshot(&sample.file);
    assert_eq!(finished.prefix(), POSITIONS);
    finished
}

#[test]
fn slurm_queues_the_job_again_until_all_is_done() {
    let finished = undisturbed();
    let mut site = Site::new();
    // Ranks are killed, but there is time left, so that the same job goes on. Then the batch system
    // says that time is nearly over.
    let running = site.slurm(3, HOURS, &OPTIONS);
    for rank in [1, 0] {
        site.wait_for_progress(&running, 3);
        site.signal_ranks("KILL", &[rank]);
    }
    site.wait_for_progress(&running, 3);
    running.signal("USR1");
    let ran = running.finish();
    assert_eq!((ran.code, starts(&ran)), (Some(0), 3), "{}", ran.stderr);
    assert_eq!(site.queued(), Some(vec!["requeue 7".into()]), "{}", ran.stderr);
    assert!(ran.stderr.contains("was stopped"), "the positions in hand were lost: {}", ran.stderr);
    // Jobs whose time is over before all is done; pixelmill knows it beforehand.
    let mut jobs = 0;
    loop {
        let before = site.marked();
        let ran = site.slurm(2, Duration::from_secs(3), &OPTIONS).finish();
        jobs += 1;
        assert!(ran.code == Some(0) && site.marked() > before, "{}", ran.stderr);
        if site.queued().is_none() {
            break;
        }
        assert!(site.marked() < POSITIONS, "{}", ran.stderr);
    }
    assert!(jobs > 1, "no job's time was over");
    site.assert_done(&finished);
    // Nothing is computed again.
    let ran = site.slurm(2, HOURS, &OPTIONS).finish();
    assert_eq!((ran.code, starts(&ran)), (Some(0), 0), "{}", ran.stderr);
    site.assert_done(&finished);
}

#[test]
fn pbs_jobs_submit_the_next_until_all_is_done() {
    let finished = undisturbed();
    let mut site = Site::new();
    let mut submit = site.script(&scripts().join("pbs.sh"), 2);
    submit.args(site.command(&OPTIONS)).env("WALLTIME", "00:00:03");
    let ran = Running::watch(start_piped(&mut submit)).finish();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let mut queued = site.queued();
    let (mut jobs, mut kills) = (0, 0);
    while let Some(words) = queued {
        jobs += 1;
        assert!(jobs < 20, "it doesn't come to an end");
        let mut job = job(words[0].as_ref());
        job.args(&words[1..]).env_clear().envs(site.environment()).current_dir("/");
        job.env("PBS_JOBID", format!("{jobs}.server")).env("PBS_O_WORKDIR", site.folder());
        let running = Running::watch(start_piped(&mut job));
        if jobs == 2 {
            site.wait_for_progress(&running, 2);
            site.signal_ranks("KILL", &[1]);
            kills += 1;
        }
        let ran = running.finish();
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        queued = site.queued();
        assert_eq!(queued.is_some(), site.marked() < POSITIONS, "{}", ran.stderr);
    }
    assert!(jobs >= 2 && kills == 1, "{jobs} jobs");
    site.assert_done(&finished);
}

/// A machine with room for all ranks of these tests.
fn hostfile(site: &Site) -> PathBuf {
    let path = site.folder().join("hosts");
    std::fs::write(&path, "localhost\n").unwrap();
    path
}

fn on_hosts(site: &Site, ranks: usize, options: &[&str]) -> Running {
    let mut script = site.script(&scripts().join("hostfile.sh"), ranks);
    script.arg(hostfile(site)).args(site.command(options));
    Running::watch(start_piped(&mut script))
}

#[test]
fn the_loop_over_a_hostfile_survives_kills_and_signals() {
    let finished = undisturbed();
    let mut site = Site::new();
    let running = on_hosts(&site, 3, &OPTIONS);
    let blows: [(&str, &[usize]); 5] = [
        ("KILL", &[2]),
        ("USR1", &[0, 1, 2]),
        ("KILL", &[0]),
        ("TERM", &[1]),
        ("KILL", &[0, 1, 2]),
    ];
    for (name, ranks) in blows {
        site.wait_for_progress(&running, 3);
        site.signal_ranks(name, ranks);
    }
    let ran = running.finish();
    assert_eq!((ran.code, starts(&ran)), (Some(0), blows.len() + 1), "{}", ran.stderr);
    site.assert_done(&finished);
}

/// Starts one rank, and doesn't end the first time.
const HANGING: &str = r#"#!/bin/bash
[ "$1" != --version ] || exit 0
shift 2
"$@"
code=$?
[ -e hung ] || { touch hung; exec sleep 1000; }
exit $code
"#;

#[test]
fn a_launcher_that_hangs_when_its_ranks_have_ended_is_killed() {
    let finished = undisturbed();
    let mut site = Site::new();
    let launcher = site.folder().join("hanging");
    std::fs::write(&launcher, HANGING).unwrap();
    std::fs::set_permissions(&launcher, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut script = site.script(&scripts().join("hostfile.sh"), 1);
    script
        .env("LAUNCHER", &launcher)
        .arg(hostfile(&site))
        .args(site.command(&["-p", "pause=1000"]));
    let ran = Running::watch(start_piped(&mut script)).finish();
    assert_eq!((ran.code, starts(&ran)), (Some(0), 1), "{}", ran.stderr);
    assert!(ran.stderr.contains("the launcher hangs"), "{}", ran.stderr);
    site.assert_done(&finished);
}

#[test]
fn whoever_ends_a_job_ends_it_for_good() {
    for (name, code) in [("TERM", 143), ("INT", 130), ("HUP", 129)] {
        let mut site = Site::new();
        let running = site.slurm(2, HOURS, &OPTIONS);
        site.wait_for_progress(&running, 2);
        running.signal(name);
        let ran = running.finish();
        assert_eq!((ran.code, site.queued()), (Some(code), None), "{name}: {}", ran.stderr);
        assert!(
            ran.stderr.contains("was stopped"),
            "the positions in hand were lost: {}",
            ran.stderr
        );
        assert_eq!(starts(&ran), 1, "{}", ran.stderr);
    }
}

#[test]
fn errors_are_not_tried_again() {
    let site = Site::new();
    let fails: [(&[&str], i32, &str); 4] = [
        (&["-p", "pace=3"], 2, "no parameter `pace`"),
        (&["--dataset", "/nowhere"], 2, "/nowhere"),
        (&["--output", "/nowhere/results.h5"], 1, "/nowhere"),
        (&["--override"], 2, "--override begins anew"),
    ];
    for (options, code, text) in fails {
        let ran = site.slurm(2, HOURS, options).finish();
        assert_eq!((ran.code, site.queued()), (Some(code), None), "{}", ran.stderr);
        assert_eq!(ran.stderr.matches(text).count(), 1, "{}", ran.stderr);
    }
}

#[test]
fn failed_positions_are_no_reason_to_try_again() {
    let site = Site::new();
    let mut job = site.script(&site.folder().join("slurm_script"), 2);
    job.env("SLURM_JOB_ID", "7").arg(program()).args(run("trouble", site.file(), &[]));
    let ran = Running::watch(start_piped(&mut job)).finish();
    assert_eq!((ran.code, site.queued(), starts(&ran)), (Some(3), None, 1), "{}", ran.stderr);
}

#[test]
fn runs_that_lead_nowhere_come_to_an_end() {
    // A rank is killed before any position can be done.
    let site = Site::new();
    let running = on_hosts(&site, 2, &["-p", "pause=10000000"]);
    for _ in 0..3 {
        running.wait_for_line(" of memory");
        site.signal_ranks("KILL", &[1]);
    }
    let ran = running.finish();
    assert_eq!((ran.code, starts(&ran)), (Some(1), 3), "{}", ran.stderr);
    assert!(ran.stderr.contains("no position was completed"), "{}", ran.stderr);
    // Jobs that are too short to begin.
    let site = Site::new();
    let mut codes = Vec::new();
    loop {
        let ran = site.slurm(2, Duration::ZERO, &OPTIONS).finish();
        codes.push(ran.code);
        assert!(codes.len() < 10, "it doesn't come to an end");
        if site.queued().is_none() {
            assert!(ran.stderr.contains("no time left to begin"), "{}", ran.stderr);
            break;
        }
    }
    assert_eq!(codes, [Some(0), Some(0), Some(1)]);
}
