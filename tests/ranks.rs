//! The same command under a real `mpirun`: the same bytes for any number of ranks, threads, stops
//! and kills, one voice, and one message when something is wrong. Needs the feature `mpi`.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::folds::{Scan, marked, python};
use crate::support::random::Random;
use crate::support::ranks::{
    assert_all_refused, mpirun, on_ranks, parent, processes, start_on, succeed_on,
};
use crate::support::watch::{Opener, Running, Snapshot, signal, wait_until};
use crate::support::{
    POSITIONS, Ran, Sample, pixelmill, program, python_function, run, start_piped, succeed,
    without_locks,
};

/// The results of one process that computes alone.
fn solo(process: &str, more: &[&str], opener: &mut Opener) -> Snapshot {
    let sample = Sample::new();
    succeed(run(process, &sample.file, more));
    opener.snapshot(&sample.file)
}

#[test]
fn results_are_the_same_bytes_on_any_number_of_ranks_and_threads() {
    let mut opener = Opener::new();
    let finished = solo("peak-finding", &[], &mut opener);
    assert_eq!(finished.prefix(), POSITIONS);
    for ranks in [1, 2, 3, 4, 7] {
        for cores in ["1", "2"] {
            let sample = Sample::new();
            let options = ["--cores", cores, "--checkpoint", "0.2"];
            let json = succeed_on(ranks, run("peak-finding", &sample.file, &options));
            assert!(opener.snapshot(&sample.file) == finished, "{ranks} ranks, {cores} threads");
            assert_eq!(opener.group(&sample.file).last_pixel, POSITIONS as i64);
            let report = &json["report"];
            let shares = report["ranks"].as_array().unwrap();
            let share = |rank: &serde_json::Value| rank["positions"].as_u64().unwrap();
            assert_eq!(shares.len(), ranks);
            assert_eq!(shares.iter().map(share).sum::<u64>(), POSITIONS as u64);
            assert_eq!(report["workers"], ranks * cores.parse::<usize>().unwrap());
            let again = succeed_on(ranks, run("peak-finding", &sample.file, &options));
            assert_eq!(again["outcome"], "existing");
        }
    }
}

#[test]
fn chunks_are_decoded_once_by_all_ranks_together() {
    let mut opener = Opener::new();
    let finished = solo("peak-finding", &[], &mut opener);
    for ranks in [2, 5] {
        let sample = Sample::new();
        sample.rechunk(["100", "50"]);
        let options = ["--cores", "1", "--durability", "process"];
        let json = succeed_on(ranks, run("peak-finding", &sample.file, &options));
        assert!(opener.snapshot(&sample.file) == finished, "{ranks} ranks");
        assert_eq!(json["report"]["chunks_decoded"], json["report"]["chunks"], "{json}");
    }
}

#[test]
fn a_corrected_part_is_the_same_on_any_number_of_ranks() {
    let mut opener = Opener::new();
    let part = ["--crop", "Frequency=320kHz:345kHz", "--dead-pixels", "45,46,60"];
    let finished = solo("peak-finding", &part, &mut opener);
    for ranks in 1..=4 {
        let sample = Sample::new();
        sample.rechunk(["100", "50"]);
        let options = [&part[..], &["--cores", "1", "--durability", "process"]].concat();
        succeed_on(ranks, run("peak-finding", &sample.file, &options));
        assert!(opener.snapshot(&sample.file) == finished, "{ranks} ranks");
    }
}

#[test]
fn ranks_with_little_memory_agree_on_how_chunks_are_cut() {
    let mut opener = Opener::new();
    let finished = solo("peak-finding", &[], &mut opener);
    let sample = Sample::new();
    sample.rechunk(["100", "50"]);
    let options = ["--cores", "1", "--memory", "200K"];
    let json = succeed_on(3, run("peak-finding", &sample.file, &options));
    assert!(opener.snapshot(&sample.file) == finished);
    let number = |name: &str| json["report"][name].as_u64().unwrap();
    assert!(number("chunks_decoded") > number("chunks"), "the budget was to be too small");
}

#[test]
fn failures_of_any_rank_are_listed() {
    let mut opener = Opener::new();
    let alone = Sample::new();
    let options = ["-p", "own_messages=false"];
    let expected = pixelmill(run("trouble", &alone.file, &options));
    assert_eq!(expected.code, Some(3), "{}", expected.stderr);
    let sample = Sample::new();
    let ran = start_on(3, run("trouble", &sample.file, &options)).finish();
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    assert_eq!(ran.json["failed"], expected.json["failed"]);
    let (found, finished) = (opener.snapshot(&sample.file), opener.snapshot(&alone.file));
    assert_eq!((found.results, found.status), (finished.results, finished.status));
}

#[test]
fn a_signal_at_any_rank_stops_all_and_loses_nothing() {
    let mut opener = Opener::new();
    let finished = solo("slow", &["-p", "pause=500"], &mut opener);
    let cases = [("TERM", 0, 143), ("INT", 1, 130), ("USR1", 2, 143), ("TERM", 2, 143)];
    for (name, rank, code) in cases {
        let sample = Sample::new();
        let options = ["-p", "pause=500", "--checkpoint", "0.2", "--cores", "1"];
        let arguments = run("slow", &sample.file, &options);
        let running = start_on(3, &arguments);
        let group = running.computing(&mut opener, &sample.file);
        running.wait_until_marked(&group, &sample.file, 200);
        assert!(signal(processes(&sample.file)[&rank], name));
        let ran = running.finish();
        assert_eq!(ran.code, Some(code), "{name} at rank {rank}: {}", ran.stderr);
        assert_eq!(ran.json["outcome"], "stopped");
        assert_eq!(ran.stderr.matches("finishing what is in hand").count(), 1, "{}", ran.stderr);
        let stopped = opener.group(&sample.file);
        let found = stopped.read(&sample.file);
        assert!((200..POSITIONS).contains(&found.marked()), "{} marked", found.marked());
        found.assert_marked_are_right(&finished);
        assert_eq!(found.written_but_not_marked(&finished), 0, "a stop loses nothing");
        assert_eq!(ran.json["completed"], found.marked());
        assert_eq!(stopped.last_pixel, found.prefix() as i64);
        let json = succeed_on(2, &arguments);
        assert_eq!(json["report"]["positions"], POSITIONS - found.marked());
        assert!(opener.snapshot(&sample.file) == finished, "after {name}");
    }
}

#[test]
fn a_signal_that_comes_to_all_ranks_twice_is_one() {
    let sample = Sample::new();
    let running = start_on(2, run("slow", &sample.file, &["-p", "pause=500"]));
    running.wait_for_line(" of memory");
    for pid in processes(&sample.file).values().flat_map(|pid| [pid, pid]) {
        assert!(signal(*pid, "TERM"));
    }
    let ran = running.finish();
    assert_eq!((ran.code, &ran.json["outcome"]), (Some(143), &"stopped".into()), "{}", ran.stderr);
}

#[test]
fn a_run_stops_by_itself_before_its_time_is_over() {
    let mut opener = Opener::new();
    let finished = solo("slow", &["-p", "pause=300"], &mut opener);
    let sample = Sample::new();
    let mut ranks = [2, 3, 1].iter().cycle();
    let mut stops = 0;
    loop {
        let options = ["-p", "pause=300", "--cores", "1", "--stop-after", "700ms"];
        let arguments = run("slow", &sample.file, &options);
        let ran = start_on(*ranks.next().unwrap(), arguments).finish();
        opener.snapshot(&sample.file).assert_marked_are_right(&finished);
        match ran.code {
            Some(143) => stops += 1,
            Some(0) => break,
            _ => panic!("{}", ran.stderr),
        }
        assert!(stops < 50, "no progress: {}", ran.stderr);
    }
    assert!(stops >= 1, "it was never stopped");
    assert!(opener.snapshot(&sample.file) == finished);
}

/// Kills a rank after some time; tells whether there was one, and the job has ended by it.
fn kill_a_rank(running: Running, file: &Path, seconds: f64, choice: f64) -> bool {
    thread::sleep(Duration::from_secs_f64(seconds));
    let there: Vec<u32> = processes(file).into_values().collect();
    let chosen = there.get((choice * there.len() as f64) as usize).copied();
    let was_killed = chosen.is_some_and(|pid| signal(pid, "KILL"));
    let begun = Instant::now();
    if was_killed {
        wait_until("the other ranks have ended", || processes(file).is_empty());
    }
    let took = begun.elapsed();
    let ran = running.finish();
    assert!(took < Duration::from_secs(20), "they went on for {took:?}: {}", ran.stderr);
    if !was_killed {
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    }
    was_killed && ran.code != Some(0)
}

#[test]
fn killed_ranks_take_the_job_down_and_the_next_run_resumes() {
    const KILLS: usize = 50;
    let mut opener = Opener::new();
    let options = ["-p", "pause=200", "--checkpoint", "0.05", "--cores", "1"];
    let begun = Instant::now();
    let undisturbed = Sample::new();
    succeed_on(2, run("slow", &undisturbed.file, &options));
    let duration = begun.elapsed().as_secs_f64();
    let finished = opener.snapshot(&undisturbed.file);
    assert_eq!(finished.prefix(), POSITIONS);
    let mut random = Random(7);
    let (mut killed, mut with_marks) = (0, 0);
    // On a busy machine ranks may take long to begin.
    while killed < KILLS || with_marks * 5 <= KILLS && killed < 4 * KILLS {
        let sample = Sample::new();
        let arguments = run("slow", &sample.file, &options);
        let mut marked = 0;
        for ranks in [3, 2, 4] {
            let running = start_on(ranks, &arguments);
            let seconds = duration * random.next();
            if !kill_a_rank(running, &sample.file, seconds, random.next()) {
                break;
            }
            killed += 1;
            let groups = opener.groups(&sample.file);
            assert!(groups.len() <= 1, "{groups:?}");
            let Some(group) = groups.first() else { continue };
            let found = group.read(&sample.file);
            found.assert_marked_are_right(&finished);
            assert!(found.marked() >= marked, "marks were lost");
            assert!(group.last_pixel <= found.prefix() as i64);
            marked = found.marked();
            with_marks += usize::from(marked > 0 && marked < POSITIONS);
        }
        succeed_on(2, &arguments);
        assert!(opener.snapshot(&sample.file) == finished, "other results than undisturbed");
    }
    assert!(with_marks * 5 > KILLS, "only {with_marks} of {killed} kills came in mid-run");
}

#[test]
fn a_killed_launcher_takes_the_ranks_with_it() {
    let sample = Sample::new();
    let running = start_on(2, run("slow", &sample.file, &["-p", "pause=10000"]));
    running.wait_for_line(" of memory");
    running.kill();
    wait_until("the ranks have ended", || processes(&sample.file).is_empty());
}

#[test]
fn nobody_changes_a_file_that_an_orphaned_rank_still_writes_to() {
    let sample = Sample::new();
    let running = start_on(2, run("slow", &sample.file, &["-p", "pause=1000000"]));
    running.wait_for_line(" of memory");
    let ranks = processes(&sample.file);
    // A launcher that is slow to notice, and what it has started the ranks with: MPICH's has
    // another process.
    let launchers: BTreeSet<u32> = ranks.values().map(|pid| parent(*pid)).collect();
    running.signal("STOP");
    assert!(launchers.iter().all(|pid| signal(*pid, "STOP")));
    assert!(signal(ranks[&0], "KILL"));
    assert_eq!(
        python_function("ranks.py", "may_write", [&sample.file]),
        false,
        "rank 1 has it open"
    );
    assert!(signal(ranks[&1], "KILL"));
    wait_until("nobody has it open", || {
        python_function("ranks.py", "may_write", [&sample.file]) == true
    });
    assert!(launchers.iter().all(|pid| signal(*pid, "KILL")));
    running.kill();
}

/// Runs something else on rank 0 than on rank 1.
fn mixed(first: &[&str], second: &[&str]) -> Ran {
    let mut command = mpirun();
    command.args(["-n", "1"]).args(first).args([":", "-n", "1"]).args(second);
    Running::watch(start_piped(&mut command)).finish()
}

#[test]
fn ranks_that_dont_belong_together_are_refused() {
    let sample = Sample::new();
    let before = sample.bytes();
    let (program, file) = (program(), sample.file.to_str().unwrap());
    let trial = program.to_str().unwrap();
    let slow = [trial, "run", "slow", file, "--json"];
    let other = [trial, "run", "slow", file, "--json", "-p", "pause=5"];
    assert_all_refused(&mixed(&slow, &other), 2, &["rank 1 on", "other arguments than rank 0"]);
    let copy = sample.folder.path().join("trial");
    let mut bytes = std::fs::read(&program).unwrap();
    bytes.push(0);
    std::fs::write(&copy, bytes).unwrap();
    assert!(Command::new("chmod").arg("+x").arg(&copy).status().unwrap().success());
    let older = [copy.to_str().unwrap(), "run", "slow", file, "--json"];
    assert_all_refused(&mixed(&slow, &older), 2, &["rank 1 on", "other program than rank 0"]);
    assert!(before == sample.bytes());
}

#[test]
fn a_file_that_only_some_ranks_see_is_refused() {
    let here = Sample::new();
    let elsewhere = Sample::new();
    let before = (here.bytes(), elsewhere.bytes());
    let (program, nowhere) = (program(), tempfile::tempdir().unwrap());
    let in_folder = |folder: &Path| {
        let folder = folder.to_str().unwrap().to_owned();
        ["-wdir", &folder, program.to_str().unwrap(), "run", "slow", "scan.h5", "--json"]
            .map(str::to_owned)
    };
    let ask = |second: &Path| {
        let (first, second) = (in_folder(here.folder.path()), in_folder(second));
        mixed(&first.each_ref().map(String::as_str), &second.each_ref().map(String::as_str))
    };
    let ran = ask(nowhere.path());
    assert_all_refused(&ran, 1, &["rank 1 on", "cannot open scan.h5", "there is no such file"]);
    // The same data, but another file: what rank 1 wrote there would be lost.
    let ran = ask(elsewhere.folder.path());
    assert_all_refused(&ran, 1, &["rank 1 on", "another file here than on rank 0"]);
    assert!(before.1 == elsewhere.bytes());
    // A file where the data lie elsewhere.
    elsewhere.rechunk(["100", "50"]);
    let ran = ask(elsewhere.folder.path());
    assert_all_refused(&ran, 1, &["rank 1 on", "another file here than on rank 0"]);
}

#[test]
fn a_file_of_other_data_is_refused_also_where_results_go_to_one_file() {
    let [here, elsewhere] = [Sample::new(), Sample::new()];
    python_function("ranks.py", "change_a_value", [&elsewhere.file]);
    let (program, output) = (program(), here.folder.path().join("results.h5"));
    let in_folder = |sample: &Sample| {
        let (folder, program) = (sample.folder.path(), program.as_path());
        let arguments = ["run", "slow", "scan.h5", "--json", "--output"].map(Path::new);
        let all = [&[Path::new("-wdir"), folder, program], &arguments[..], &[&output]].concat();
        all.into_iter().map(|text| text.to_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let (first, second) = (in_folder(&here), in_folder(&elsewhere));
    let [first, second] =
        [&first, &second].map(|all| all.iter().map(String::as_str).collect::<Vec<_>>());
    let ran = mixed(&first, &second);
    assert_all_refused(&ran, 1, &["rank 1 on", "another file here than on rank 0"]);
    assert!(!output.exists());
}

#[test]
fn a_rank_that_ends_before_the_others_ends_them_and_says_why() {
    let sample = Sample::new();
    let before = sample.bytes();
    std::fs::write(sample.folder.path().join("slow.toml"), "pause = 1\n").unwrap();
    let (program, nowhere) = (program(), tempfile::tempdir().unwrap());
    let file = sample.file.to_str().unwrap();
    let ask = |first: &Path, second: &Path| {
        let [first, second] = [first, second].map(|folder| {
            let folder = folder.to_str().unwrap();
            let run = [program.to_str().unwrap(), "run", "slow", file];
            [&["-wdir", folder], &run[..], &["--params", "slow.toml", "--json"]].concat()
        });
        mixed(&first, &second)
    };
    for (first, second, rank) in [(&sample.folder, &nowhere, 1), (&nowhere, &sample.folder, 0)] {
        let ran = ask(first.path(), second.path());
        let who = format!("rank {rank} on");
        let texts = ["while the others were in Slow: cannot read slow.toml", "no such file"];
        match rank {
            1 => assert_all_refused(&ran, 1, &[&who, texts[0], texts[1]]),
            // It speaks itself.
            _ => assert_all_refused(&ran, 1, &["cannot read slow.toml", texts[1]]),
        }
    }
    assert!(before == sample.bytes());
}

#[test]
fn what_no_rank_can_do_is_said_once() {
    let sample = Sample::new();
    let file = sample.file.to_str().unwrap();
    let before = sample.bytes();
    for (arguments, code, texts) in [
        (vec!["run", "slow", "nowhere.h5"], 1, &["there is no such file"][..]),
        (vec!["run", "slow", file, "--cores", "none"], 2, &["--cores"]),
        (vec!["run", "sum", file], 1, &["Sum computes with float64"]),
        (vec!["run", "slow", file, "--memory", "10"], 2, &["of memory are too little"]),
        (vec!["run", "slow", file, "-p", "pace=3"], 2, &["no parameter `pace`"]),
    ] {
        let ran = start_on(3, &arguments).finish();
        assert_all_refused(&ran, code, texts);
    }
    assert!(before == sample.bytes());
}

#[test]
fn more_ranks_than_positions_are_refused() {
    let sample = Sample::new();
    python_function("ranks.py", "few_positions", [&sample.file]);
    let before = sample.bytes();
    let arguments = run("slow", &sample.file, &["--positions-axes", "0"]);
    let ran = start_on(4, &arguments).finish();
    assert_all_refused(&ran, 2, &["4 ranks are too many for 3 positions"]);
    assert!(before == sample.bytes());
    assert_eq!(succeed_on(3, &arguments)["completed"], 3);
}

/// A folder that can only be read from, until it is dropped.
struct ReadOnly(Sample);

impl ReadOnly {
    fn new() -> Self {
        let sample = Sample::new();
        let folder = sample.folder.path().to_str().unwrap();
        for arguments in [&["--bind", folder, folder][..], &["-o", "remount,ro,bind", folder]] {
            let mounted = Command::new("mount").args(arguments).output().unwrap();
            let why = String::from_utf8_lossy(&mounted.stderr).into_owned();
            assert!(mounted.status.success(), "this test has to be root, to mount a folder: {why}");
        }
        Self(sample)
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.folder.path()).status();
    }
}

#[test]
fn a_source_that_can_only_be_read_needs_an_output() {
    let source = ReadOnly::new();
    let file = &source.0.file;
    let ran = start_on(3, run("slow", file, &["-p", "pause=0"])).finish();
    assert_all_refused(&ran, 1, &["cannot write to", "--output"]);
    let elsewhere = tempfile::tempdir().unwrap();
    let output = elsewhere.path().join("results.h5");
    let options = ["-p", "pause=0", "--output", output.to_str().unwrap()];
    let json = succeed_on(3, run("slow", file, &options));
    assert_eq!(json["completed"], POSITIONS);
    let again = succeed_on(2, run("slow", file, &options));
    assert_eq!(again["outcome"], "existing");
}

#[test]
fn a_file_system_without_locks_is_noted_once() {
    let sample = Sample::new();
    let preload = without_locks(sample.folder.path());
    let mut command = mpirun();
    command.args(["-n", "3", "env", &preload]).arg(program());
    command.args(run("slow", &sample.file, &["-p", "pause=0", "--json"]));
    let ran = Running::watch(start_piped(&mut command)).finish();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(ran.stderr.matches("file system without locks").count(), 1, "{}", ran.stderr);
    assert_eq!(Opener::new().snapshot(&sample.file).prefix(), POSITIONS);
}

#[test]
fn an_error_at_one_rank_ends_all_with_one_message() {
    let sample = Sample::new();
    // The second rank may not write beyond 32 MiB of any file, which is behind all the data. MPI's
    // own files need less.
    python_function("ranks.py", "pad", [&sample.file]);
    let script = r#"
if [ "${OMPI_COMM_WORLD_RANK:-$PMI_RANK}" = 1 ]; then ulimit -f 32768; fi
exec "$@"
"#;
    let arguments = run("slow", &sample.file, &["-p", "pause=1000", "--json"]);
    let mut command = mpirun();
    command.args(["-n", "3", "bash", "-c", script, "bash"]).arg(program()).args(&arguments);
    let ran = Running::watch(start_piped(&mut command)).finish();
    assert_all_refused(&ran, 1, &["rank 1 on", "cannot write", "file would become larger"]);
    let mut opener = Opener::new();
    let finished = solo("slow", &["-p", "pause=0"], &mut opener);
    let found = opener.snapshot(&sample.file);
    found.assert_marked_are_right(&finished);
    assert!(found.marked() < POSITIONS);
    succeed_on(2, &arguments[..arguments.len() - 1]);
    assert_eq!(opener.snapshot(&sample.file).prefix(), POSITIONS);
}

#[test]
fn other_commands_speak_once() {
    let sample = Sample::new();
    for command in ["list", "info", "status", "test", "--version"] {
        let mut arguments = vec![command];
        arguments.extend(match command {
            "list" | "--version" => vec![],
            "test" => vec!["slow", sample.file.to_str().unwrap(), "--pixel", "3"],
            _ => vec![sample.file.to_str().unwrap()],
        });
        let output = on_ranks(3, &arguments).output().unwrap();
        assert!(output.status.success(), "{command}");
        let alone = Command::new(program()).args(&arguments).arg("--json").output().unwrap();
        assert_eq!(output.stdout, alone.stdout, "{command}");
    }
}

#[test]
fn each_line_of_the_log_has_its_rank() {
    let sample = Sample::new();
    let on_three = |options: &[&str]| {
        let mut command = on_ranks(3, run("peak-finding", &sample.file, options));
        let ran = Running::watch(start_piped(command.env_remove("RUST_LOG"))).finish();
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        ran.stderr
    };
    let said = on_three(&["-vv", "--cores", "1", "--checkpoint", "0.1"]);
    for rank in 0..3 {
        let own = |text: &str| {
            let start = format!("[rank {rank}] ");
            let found = said.lines().any(|line| line.starts_with(&start) && line.contains(text));
            assert!(found, "`{text}` of rank {rank} is missing: {said}");
        };
        own("debug storage::lock: a reader's lock on ");
        own("info  plan: 1 worker, ");
        own("debug engine::narration: took ");
    }
    for text in ["info  3 ranks; rank 0 leads", "rank 2 on ", "the ranks share ", "checkpoint: "] {
        let of_first =
            said.lines().any(|line| line.starts_with("[rank 0] ") && line.contains(text));
        assert!(of_first, "`{text}` is missing: {said}");
    }
    assert!(!said.lines().any(|line| line.contains(" debug ") && !line.starts_with('[')), "{said}");
    // What all decide alike is told once.
    let decided = on_three(&["-v", "--override", "--cores", "1"]);
    assert!(decided.contains("[rank 0] ") && !decided.contains("[rank 1] "), "{decided}");
}

/// A scan of so many units of folds, of 128 positions each.
fn units(count: u64) -> Scan {
    Scan::made(|file| python_function("ranks.py", "units", [file, &count.to_string()]))
}

fn hash(file: &str) -> serde_json::Value {
    python("results", &[file])["hash"].clone()
}

/// How many nodes have come to rank 0, as it tells.
fn nodes_come(log: &str) -> u64 {
    let told = log.lines().find(|line| line.contains(" nodes with ")).expect("it is told");
    let before = told.split(" nodes with ").next().and_then(|text| text.rsplit(' ').next());
    before.and_then(|number| number.parse().ok()).expect("a number")
}

#[test]
fn folds_have_the_same_bits_on_any_number_of_ranks_and_little_comes_to_the_first() {
    let scan = units(100);
    let options = ["--cores", "1", "--checkpoint", "100", "-vv"];
    let alone = scan.beside("alone.h5");
    scan.run("gathered-many", &alone, &options[..4]);
    for ranks in [2, 3, 4, 8] {
        let output = scan.beside(&format!("{ranks}.h5"));
        let mut command = on_ranks(ranks, scan.arguments("gathered-many", &output, &options));
        let ran = Running::watch(start_piped(command.env_remove("RUST_LOG"))).finish();
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert_eq!(hash(&output), hash(&alone), "{ranks} ranks");
        assert_eq!(python("results", &[&output])["has_checkpoint"], false);
        // Of 16 units one node comes, and a few of those that rank 0 has some units of itself.
        let come = nodes_come(&ran.stderr);
        assert!((1..40).contains(&come), "{come} nodes came from {ranks} ranks");
    }
}

#[test]
fn a_signal_stops_a_fold_of_several_ranks_and_what_has_no_gap_is_kept() {
    let scan = units(64);
    let whole = scan.beside("whole.h5");
    let more = ["-p", "rounds=10", "--cores", "1", "--checkpoint", "0.05"];
    scan.run("gathered-many", &whole, &more);
    for (rank, name) in [(0, "TERM"), (2, "INT")] {
        let output = scan.beside(&format!("{rank}.h5"));
        let mut running = start_on(3, scan.arguments("gathered-many", &output, &more));
        wait_until("something is marked", || {
            running.has_ended() || std::fs::metadata(&output).is_ok() && marked(&output) > 0
        });
        assert!(signal(processes(&scan.file)[&rank], name));
        let stopped = running.finish();
        assert!(matches!(stopped.code, Some(130 | 143)), "{}", stopped.stderr);
        let before = stopped.json["completed"].as_u64().unwrap();
        assert!(before > 0 && before < 64 * 128, "{before}");
        let json = succeed_on(2, scan.arguments("gathered-many", &output, &more));
        assert_eq!(json["report"]["positions"].as_u64().unwrap(), 64 * 128 - before);
        assert_eq!(hash(&output), hash(&whole), "{name} at rank {rank}");
    }
}

#[test]
fn killed_folds_of_several_ranks_have_the_same_bits_once_they_are_resumed() {
    let scan = units(64);
    let more = ["-p", "rounds=40", "--cores", "1", "--checkpoint", "0.02"];
    let whole = scan.beside("whole.h5");
    let begun = Instant::now();
    succeed_on(2, scan.arguments("gathered-many", &whole, &more));
    let duration = begun.elapsed().as_secs_f64();
    let mut random = Random(11);
    let (mut killed, mut with_marks) = (0, 0);
    for round in 0..40 {
        let output = scan.beside(&format!("{round}.h5"));
        for ranks in [3, 2, 4] {
            let running = start_on(ranks, scan.arguments("gathered-many", &output, &more));
            if !kill_a_rank(running, &scan.file, duration * random.next(), random.next()) {
                break;
            }
            killed += 1;
            let has_group = std::fs::metadata(&output).is_ok_and(|file| file.len() > 0);
            let marked = if has_group { marked(&output) } else { 0 };
            with_marks += usize::from(marked > 0 && marked < 64 * 128);
        }
        succeed_on(2, scan.arguments("gathered-many", &output, &more));
        assert_eq!(hash(&output), hash(&whole), "other bits after kills");
        if killed >= 12 && with_marks >= 3 {
            return;
        }
    }
    panic!("only {with_marks} of {killed} kills came in mid-run");
}

#[test]
fn what_another_rank_cannot_merge_is_told_as_if_it_were_the_first() {
    let scan = units(64);
    let told = "it can't merge what was folded: as was asked for";
    let output = scan.beside("alone.h5");
    let fails = ["-p", "merge_fails_on=1", "--cores", "1"];
    let arguments = scan.arguments("gathered-many", &output, &fails);
    assert_all_refused(&start_on(3, arguments).finish(), 1, &[told]);
    let output = scan.beside("several.h5");
    let fails = ["-p", "gathered.merge_fails_on=1", "--cores", "1", "--checkpoint", "0.01"];
    let arguments = scan.arguments("statistics,gathered,sum-many", &output, &fails);
    let ran = start_on(3, arguments).finish();
    assert_eq!((ran.code, &ran.json["outcome"]), (Some(1), &"error".into()), "{}", ran.stderr);
    let own = ran.stderr.lines().filter(|line| line.starts_with("pixelmill: ")).count();
    assert!(own == 1 && ran.stderr.contains(told), "{}", ran.stderr);
    assert!(!ran.stderr.contains("rank 1 on"), "{}", ran.stderr);
    let status = pixelmill(["status", &output]);
    let groups = status.json["groups"].as_array().unwrap();
    assert_eq!(groups.len(), 3);
    for group in groups {
        let is_done = group["completed"] == 64 * 128;
        assert_eq!(is_done, group["process"] != "Gathered", "{group}");
    }
}

#[test]
fn an_error_at_one_rank_ends_a_fold_of_all() {
    let scan = units(64);
    let file = scan.file.to_str().unwrap();
    // Results lie behind all the data, where the second rank may not write.
    let script = r#"
if [ "${OMPI_COMM_WORLD_RANK:-$PMI_RANK}" = 1 ]; then ulimit -f 32768; fi
exec "$@"
"#;
    let more = ["--positions-axes", "0", "--cores", "1"];
    let arguments = run("gathered", &scan.file, &more);
    let mut command = mpirun();
    command.args(["-n", "3", "bash", "-c", script, "bash"]).arg(program());
    command.args(&arguments).arg("--json");
    let ran = Running::watch(start_piped(&mut command)).finish();
    assert_all_refused(&ran, 1, &["rank 1 on", "cannot write", "file would become larger"]);
    succeed_on(3, &arguments);
    let whole = scan.beside("whole.h5");
    scan.run("gathered-many", &whole, &[]);
    assert_eq!(hash(file), hash(&whole));
}
