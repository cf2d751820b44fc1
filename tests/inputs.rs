//! Inputs besides the source, wherever they lie: the results are what h5py and NumPy make of the
//! same numbers, a changed input is noticed, and one that doesn't fit is refused before anything is
//! written.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::usid::{Scan, ask_python, group};
use crate::support::watch::{Opener, Running, assert_kills_are_survived};
use crate::support::{
    POSITIONS, RAW_DATA, Ran, Sample, assert_refused, pixelmill, program, ran, refuse, run, succeed,
};

/// Writes the same numbers to the source, to another file, and as arrays of NumPy's.
const OFFSETS: &str = "offset = np.arange(20.0) ** 1.5\nfile['/offset'] = offset\nwith \
                       h5py.File(given[0] + '/other.h5', 'w') as other:\n    other['/a/offset'] = \
                       offset\n    other['/a/grid'] = offset.reshape(4, 5)\n    \
                       other.create_dataset('/a/chunked', data=offset[:, None].repeat(3, 1), \
                       chunks=(7, 2), compression='gzip')\nnp.save(given[0] + '/offset.npy', \
                       offset)\nnp.save(given[0] + '/grid.npy', offset.reshape(4, \
                       5).astype('>f4'))\nnp.save(given[0] + '/fortran.npy', \
                       np.asfortranarray(offset[:, None].repeat(3, 1)))";

/// The folder of a scan.
fn folder(scan: &Scan) -> String {
    Path::new(&scan.file).parent().unwrap().to_str().unwrap().to_owned()
}

fn with_offsets() -> Scan {
    let scan = Scan::new(&[]);
    scan.script(OFFSETS, &[&folder(&scan)]);
    scan
}

/// `rich` with an offset, and more.
fn rich(offset: &str, more: &[&str]) -> Vec<String> {
    let given = ["-p".to_owned(), "spectra=1".to_owned(), "-p".to_owned()];
    let more = more.iter().map(|more| (*more).to_owned());
    given.into_iter().chain([format!("offset={offset}")]).chain(more).collect()
}

fn run_rich(scan: &Scan, offset: &str, more: &[&str]) -> Value {
    let given = rich(offset, more);
    scan.run("rich", &given.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Whether the means of a group are those of the spectra with the offset.
fn assert_offset(scan: &Scan, file: &str, group: &Value) {
    let right = "with h5py.File(given[0]) as results:\n    found = results[given[1] + \
                 '/Mean'][()].ravel()\nmean = file[given[2]][()].mean(axis=1, \
                 dtype=float)\nexpected = mean + np.arange(20.0) ** 1.5\ntold = \
                 bool(np.allclose(found, expected, rtol=2e-7, atol=0))";
    let right = if file == scan.file {
        right.replace("h5py.File(given[0])", "file")
    } else {
        right.to_owned()
    };
    let right = right.replace("with file as results:", "results = file\nif True:");
    assert_eq!(scan.script(&right, &[file, group.as_str().unwrap(), RAW_DATA]), true, "{group}");
}

#[test]
fn the_same_numbers_give_the_same_results_wherever_they_lie() {
    let scan = with_offsets();
    let mut hashes = Vec::new();
    for named in ["/offset", "other.h5:/a/offset", "other.h5:/a/grid", "other.h5:/a/chunked"]
        .iter()
        .chain(&["offset.npy", "grid.npy", "fortran.npy"])
    {
        let named = match named.strip_prefix('/') {
            Some(_) => (*named).to_owned(),
            None => scan.beside(named),
        };
        let ran = run_rich(&scan, &named, &[]);
        assert_offset(&scan, &scan.file, &ran["group"]);
        assert_eq!(ran["inputs"][0]["named"], named);
        let again = run_rich(&scan, &named, &[]);
        assert_eq!((&again["outcome"], &again["group"]), (&"existing".into(), &ran["group"]));
        hashes.push(ran["parameter_hash"].as_str().unwrap().to_owned());
        let verified = succeed(["verify", &scan.file, ran["group"].as_str().unwrap()]);
        assert_eq!((&verified["changed"], &verified["different"]), (&Value::Null, &json!([])));
    }
    let count = hashes.len();
    hashes.sort();
    hashes.dedup();
    assert_eq!(hashes.len(), count);
}

#[test]
fn an_input_is_looked_for_in_the_file_that_results_go_to() {
    let scan = with_offsets();
    let out = scan.beside("other.h5");
    let ran = run_rich(&scan, "/a/offset", &["--output", &out]);
    assert_offset(&scan, &out, &ran["group"]);
    assert_eq!(ran["inputs"], json!([{"named": "/a/offset", "file": out, "dataset": "/a/offset"}]));
    // By the name of the file as well.
    let named = run_rich(&scan, &format!("{out}:/a/offset"), &["--output", &out]);
    assert_offset(&scan, &out, &named["group"]);
    assert_eq!(named["inputs"][0]["file"], out);
    // What the source's file has by that name since then isn't what was computed with.
    scan.script("file['/a/offset'] = [9.0] * 20", &[]);
    let verified = succeed(["verify", &out, ran["group"].as_str().unwrap()]);
    assert_eq!((&verified["changed"], &verified["checked"]), (&Value::Null, &20.into()));
}

#[test]
fn results_are_found_by_their_process_the_newest_complete_ones() {
    let scan = Scan::new(&[]);
    let first = scan.run("slow", &["-p", "pause=0"]);
    let by_name = run_rich(&scan, "slow", &[]);
    assert_eq!(by_name["inputs"][0]["dataset"], format!("{}/Slow_Sum", group("Slow", 0)));
    assert_eq!(first["group"], group("Slow", 0));
    let by_group = run_rich(&scan, &group("Slow", 0), &[]);
    assert_eq!(by_group["inputs"][0]["dataset"], by_name["inputs"][0]["dataset"]);
    // Newer ones, but not of all positions, or of another dataset.
    scan.run("slow", &["-p", "pause=1", "--positions", "0:10"]);
    scan.script(
        "source = file[given[0]]\nmore = file.create_dataset(given[1], data=source[()] * 2)\nfor \
         name, value in source.attrs.items():\n    more.attrs[name] = value",
        &[RAW_DATA, "/Measurement_000/Channel_000/Other"],
    );
    scan.run("slow", &["-p", "pause=0", "--dataset", "/Measurement_000/Channel_000/Other"]);
    let of_raw = ["--dataset", RAW_DATA];
    let again = run_rich(&scan, "slow", &of_raw);
    assert_eq!((&again["outcome"], &again["group"]), (&"existing".into(), &by_name["group"]));
    // Once these are complete they are the newest.
    scan.run("slow", &["-p", "pause=1", "--dataset", RAW_DATA]);
    let newer = run_rich(&scan, "slow", &of_raw);
    assert_eq!(newer["inputs"][0]["dataset"], format!("{}/Slow_Sum", group("Slow", 1)));
    assert_ne!(newer["parameter_hash"], by_name["parameter_hash"]);
    // What was computed from the older ones is verified with these.
    let verified = succeed(["verify", &scan.file, by_name["group"].as_str().unwrap()]);
    assert_eq!((&verified["changed"], &verified["checked"]), (&Value::Null, &20.into()));
    // The output file goes first.
    let out = scan.beside("out.h5");
    let to_out = ["--output", out.as_str(), "--dataset", RAW_DATA];
    let there = scan.run("slow", &[&["-p", "pause=0"], &to_out[..]].concat());
    let from_there = run_rich(&scan, "Slow/Slow_Sum", &to_out);
    assert_eq!(from_there["inputs"][0]["file"], out);
    assert_eq!(
        from_there["inputs"][0]["dataset"],
        format!("{}/Slow_Sum", there["group"].as_str().unwrap())
    );
    // And in another file by its name.
    let named = format!("{out}:Slow");
    let across = run_rich(&scan, &named, &of_raw);
    assert_eq!(across["inputs"][0]["file"], out);
}

#[test]
fn a_computation_never_begins_from_its_own_results() {
    let scan = Scan::new(&[]);
    scan.run("slow", &["-p", "pause=0"]);
    let from = ["-p", "pause=0", "-p", "offset=Slow"];
    let first = scan.run("slow", &from);
    assert_eq!(first["inputs"][0]["dataset"], format!("{}/Slow_Sum", group("Slow", 0)));
    assert_eq!(first["group"], group("Slow", 1));
    let again = scan.run("slow", &from);
    assert_eq!((&again["outcome"], &again["group"]), (&"existing".into(), &first["group"]));
    // Where there are no others, it is told why these are none.
    scan.script("del file[given[0]]", &[&group("Slow", 0)]);
    let told = format!("{} is of the parameters that are asked for", group("Slow", 1));
    let again = [&["run", "slow", &scan.file, "--override"], &from[..]].concat();
    refuse(again, 1, &["no other complete results of a process `Slow`", &told]);
}

#[test]
fn an_input_that_changed_or_moved_is_noticed() {
    let scan = with_offsets();
    let change = |python: &str| scan.script(python, &[&folder(&scan)]);
    for (named, edit) in [
        (
            "other.h5:/a/offset",
            "with h5py.File(given[0] + '/other.h5', 'r+') as other:\n    other['/a/offset'][3] = 7",
        ),
        ("offset.npy", "np.save(given[0] + '/offset.npy', np.arange(20.0))"),
    ] {
        let named = scan.beside(named);
        let first = run_rich(&scan, &named, &[]);
        change(edit);
        let given = rich(&named, &[]);
        let ran = scan.try_run("rich", &given.iter().map(String::as_str).collect::<Vec<_>>());
        assert_ne!(ran.json["group"], first["group"]);
        assert!(ran.stderr.contains("are of other data and stay as they are"), "{}", ran.stderr);
        let verified = pixelmill(["verify", &scan.file, first["group"].as_str().unwrap()]);
        assert_eq!(verified.code, Some(1));
        assert!(
            verified.json["changed"].as_str().unwrap().contains("the data of"),
            "{}",
            verified.json
        );
    }
}

/// Runs the program in a folder.
fn run_in(folder: &Path, arguments: &[&str]) -> Ran {
    let mut command = Command::new(program());
    ran(command.args(arguments).arg("--json").current_dir(folder).output().unwrap())
}

#[test]
fn an_input_in_another_file_is_found_again_from_anywhere_and_after_a_move() {
    let scan = with_offsets();
    let folder = Path::new(&scan.file).parent().unwrap();
    let rich = ["run", "rich", "scan.h5", "-p", "spectra=1", "-p", "offset=other.h5:/a/offset"];
    let first = run_in(folder, &rich);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    let group = first.json["group"].as_str().unwrap().to_owned();
    let right = |verified: &Ran| {
        assert_eq!(verified.code, Some(0), "{}", verified.stderr);
        assert_eq!(verified.json["changed"], Value::Null);
    };
    right(&run_in(Path::new("/"), &["verify", &scan.file, &group]));
    // The whole folder moves; what has the old path then is something else.
    let moved = folder.join("moved");
    std::fs::create_dir(&moved).unwrap();
    for file in ["scan.h5", "other.h5"] {
        std::fs::rename(folder.join(file), moved.join(file)).unwrap();
    }
    let there = moved.join("scan.h5");
    right(&run_in(Path::new("/"), &["verify", there.to_str().unwrap(), &group]));
    let again = run_in(&moved, &rich);
    assert_eq!(again.json["outcome"], "existing", "{}", again.stderr);
    // Another file of that name, with the same numbers: these are compared.
    std::fs::copy(moved.join("other.h5"), moved.join("copy.h5")).unwrap();
    std::fs::rename(moved.join("copy.h5"), moved.join("other.h5")).unwrap();
    let again = run_in(&moved, &rich);
    assert_eq!((&again.json["outcome"], &again.json["group"]), (&"existing".into(), &group.into()));
    std::fs::remove_file(moved.join("other.h5")).unwrap();
    let gone = run_in(&moved, &rich);
    assert_refused(&gone, 1, &["other.h5", "there is no such file"]);
}

#[test]
fn what_is_gone_on_with_from_another_folder_finds_its_inputs() {
    let scan = with_offsets();
    let folder = Path::new(&scan.file).parent().unwrap();
    let away = folder.join("away");
    std::fs::create_dir(&away).unwrap();
    scan.script("np.save(given[0] + '/dark.npy', np.ones(119))", &[folder.to_str().unwrap()]);
    let offset = ["-p", "spectra=1", "-p", "offset=other.h5:/a/offset"];
    let begin = ["run", "rich", "scan.h5", "--output", "out.h5", "--dark", "dark.npy"];
    let begin = [&begin[..], &offset, &["--positions", "0:7"]].concat();
    let first = run_in(folder, &begin);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    let group = first.json["group"].as_str().unwrap();
    let resume = ["run", "rich", "../scan.h5", "--output", "../out.h5", "--resume", group];
    let resume = [&resume[..], &offset].concat();
    for more in [&["--dry-run"][..], &["--positions", "0:9"]] {
        let resumed = run_in(&away, &[&resume[..], more].concat());
        assert_eq!(resumed.code, Some(0), "{}", resumed.stderr);
        assert_eq!(resumed.json["group"], group);
    }
    // What is typed and there from here is meant.
    std::fs::copy(folder.join("other.h5"), away.join("other.h5")).unwrap();
    scan.script(
        "with h5py.File(given[0] + '/other.h5', 'r+') as other:\n    other['/a/offset'][3] = 7",
        &[away.to_str().unwrap()],
    );
    assert_refused(&run_in(&away, &resume), 1, &["can't be resumed", "the data of `/a/offset`"]);
    std::fs::remove_file(away.join("other.h5")).unwrap();
    // What isn't typed is what it was, whatever is there by that name.
    scan.script("np.save(given[0] + '/dark.npy', np.zeros(119))", &[away.to_str().unwrap()]);
    let done = run_in(&away, &resume);
    assert_eq!((done.code, &done.json["completed"]), (Some(0), &20.into()), "{}", done.stderr);
    let verified = run_in(&away, &["verify", "../out.h5", group]);
    assert_eq!(
        (&verified.json["different"], &verified.json["changed"]),
        (&json!([]), &Value::Null)
    );
}

#[test]
fn results_that_are_not_complete_are_no_input_however_they_are_named() {
    let scan = Scan::new(&[]);
    scan.run("slow", &["-p", "pause=0", "--positions", "0:10"]);
    let group = group("Slow", 0);
    let dataset = format!("{group}/Slow_Sum");
    let named = |given: &str| {
        let given = rich(given, &["--override"]);
        scan.try_run("rich", &given.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let inside = format!("{}:{dataset}", scan.file);
    for name in [&*group, &dataset, &inside, "slow"] {
        assert_refused(&named(name), 1, &["has 10 of 20 positions"]);
    }
    let of_results = || scan.try_run("sum", &["--dataset", &dataset]);
    assert_refused(&of_results(), 1, &["has 10 of 20 positions"]);
    scan.run("slow", &["-p", "pause=0"]);
    for name in [&*group, &dataset, &inside, "slow"] {
        assert_eq!(named(name).code, Some(0), "{name}");
    }
    assert_eq!(of_results().code, Some(0));
    // As another program leaves it half-way.
    scan.script(
        "found = file[given[0]]\nfound['completed_positions'][12:] = 0\nfor name in \
         ('results_datasets', 'parameter_hash', 'parameters'):\n    found.attrs.pop(name, None)",
        &[&group],
    );
    for name in [&*group, &dataset] {
        assert_refused(&named(name), 1, &["has 12 of 20 positions"]);
    }
}

#[test]
fn inputs_that_do_not_fit_are_refused_with_both_shapes() {
    let scan = with_offsets();
    scan.script(
        "file['/masks'] = np.ones((3, 119), 'f4')\nfile['/frames'] = np.ones((3, 7, 17), \
         'f4')\nfile['/words'] = np.array(['a', 'b'], 'S')\nfile['/complex'] = np.ones((3, 119), \
         'c8')\nfile['/turned'] = np.ones((5, 4))\nfile['/whole'] = np.arange(20, \
         dtype='i8')\nfile['/half'] = np.arange(20) + 0.5\nfile.create_group('/nothing/in \
         it')\nnp.save(given[0] + '/words.npy', np.array(['a']))\nopen(given[0] + '/text.npy', \
         'w').write('no array at all')",
        &[&folder(&scan)],
    );
    let before = scan.bytes();
    let [words, text, missing, other] =
        ["words.npy", "text.npy", "missing.npy", "other.h5:/b"].map(|name| scan.beside(name));
    for (process, given, texts) in [
        ("rich", "offset=/turned", &["/turned", "[5, 4]", "20 positions", "[4, 5]"][..]),
        ("rich", "offset=/masks", &["/masks", "[3, 119]", "20 positions"]),
        ("rich", "offset=/nothing", &["/nothing", "no results group"]),
        ("rich", "offset=nothing/at all", &["no such dataset", "process `nothing`", RAW_DATA]),
        ("rich", &format!("offset={words}"), &["words.npy", "<U1"]),
        ("rich", &format!("offset={text}"), &["text.npy", "isn't an array of NumPy's"]),
        ("rich", &format!("offset={missing}"), &["missing.npy", "no such file"]),
        ("rich", &format!("offset={other}"), &["other.h5:/b", "no such dataset"]),
        ("given", "masks=/offset", &["the constant `/offset`", "[20]", "[119] behind an axis"]),
        ("given", "masks=/frames", &["/frames", "[3, 7, 17]", "[119] behind"]),
        ("given", "masks=/words", &["/words", "it holds"]),
        ("given", "masks=/complex", &["/complex", "complex64", "float32"]),
        ("given", "count=/half", &["/half", "float64", "int32"]),
        ("given", "count=/whole", &["/whole", "int64", "int32"]),
    ] {
        let ran = scan.try_run(
            process,
            &["-p", given, "-p", if process == "rich" { "spectra=1" } else { "pause=0" }],
        );
        assert_refused(&ran, 1, texts);
    }
    let few = scan.try_run("given", &["-p", "masks=/masks", "--memory", "1000"]);
    assert_refused(&few, 2, &["1000 bytes of memory are too little: it takes 1.4 KiB"]);
    assert!(before == scan.bytes(), "nothing was written");
}

/// Masks, complex factors and counts, in several files and orders.
const GIVEN: &str = r"
rng = np.random.default_rng(3)
masks = rng.normal(size=(3, 119)).astype('f4')
factor = (rng.normal(size=20) + 1j * rng.normal(size=20)).astype('c8')
file['/masks'], file['/factor'] = masks, factor
file['/count'] = np.arange(20, dtype='>i2') - 7
with h5py.File(given[0] + '/other.h5', 'w') as other:
    other.create_dataset('/masks', data=masks.astype('>f8'), chunks=(2, 50), compression='gzip')
    other['/factor'] = factor.reshape(4, 5)
np.save(given[0] + '/masks.npy', np.asfortranarray(masks))
np.save(given[0] + '/factor.npy', factor)
np.save(given[0] + '/count.npy', np.arange(20, dtype='i4') - 7)
";

/// What NumPy says of a group of `Given`.
const RIGHT: &str = "masks, factor = file['/masks'][()].astype(float), \
                     file['/factor'][()]\nspectra = file[given[1]][()].astype(complex)\nexpected \
                     = np.einsum('mk,pk,p->pm', masks, spectra, factor.astype(complex))\nfound = \
                     file[given[0] + '/Sums'][()].reshape(20, 3)\ncount = file[given[0] + \
                     '/Count'][()].ravel()\ntold = [bool(np.allclose(found, expected, rtol=1e-12, \
                     atol=1e-12 * abs(expected).max())), count.tolist(), str(count.dtype)]";

fn with_given() -> Scan {
    let scan = Scan::new(&["--type", "c64"]);
    scan.script(GIVEN, &[&folder(&scan)]);
    scan
}

/// The arguments of `given` with all its inputs.
fn given(masks: &str, factor: &str, count: &str) -> Vec<String> {
    [("masks", masks), ("factor", factor), ("count", count)]
        .iter()
        .flat_map(|(name, path)| ["-p".to_owned(), format!("{name}={path}")])
        .collect()
}

#[test]
fn constants_and_complex_inputs_come_as_what_they_are() {
    let scan = with_given();
    let beside = |name: &str| scan.beside(name);
    for (masks, factor, count) in [
        ("/masks".to_owned(), "/factor".to_owned(), "/count".to_owned()),
        (beside("other.h5:/masks"), beside("other.h5:/factor"), beside("count.npy")),
        (beside("masks.npy"), beside("factor.npy"), beside("count.npy")),
    ] {
        let arguments = given(&masks, &factor, &count);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let ran = scan.run("given", &arguments);
        let group = ran["group"].as_str().unwrap();
        let counts: Vec<i32> = (0..20).map(|count| count - 7).collect();
        assert_eq!(scan.script(RIGHT, &[group, RAW_DATA]), json!([true, counts, "int32"]));
        assert_eq!(scan.run("given", &arguments)["outcome"], "existing");
        let verified = succeed(["verify", &scan.file, group]);
        assert_eq!((&verified["changed"], &verified["checked"]), (&Value::Null, &20.into()));
        let one = ["test", "given", &scan.file, "--pixel", "3"];
        let tested = succeed([&one[..], &arguments].concat());
        assert_eq!(tested["results"][1]["values"], json!([-4.0]), "{tested}");
    }
}

#[test]
fn constants_are_cut_as_the_spectra_are() {
    let scan = with_given();
    scan.script(
        "file['/cube'] = np.arange(20 * 7 * 17, dtype='f4').reshape(4, 5, 7, 17) % \
         97\nfile['/stack'] = np.arange(3 * 7 * 17, dtype='f4').reshape(3, 7, 17)\nfile['/cut'] = \
         file['/stack'][:, 1:6:2, 3:9]\nnp.save(given[0] + '/stack.npy', \
         np.asfortranarray(file['/stack'][()]))",
        &[&folder(&scan)],
    );
    let right = "masks, cube = eval(given[1]), eval(given[2]).reshape(20, -1)\ntold = \
                 bool(np.allclose(file[given[0] + '/Sums'][()].reshape(20, 3), cube @ \
                 masks.reshape(3, -1).T))";
    let stack_npy = scan.beside("stack.npy");
    let cube = ["--dataset", "/cube", "--positions-axes", "0,1"];
    let [cut, whole] = ["file['/stack'][:, 1:6:2, 3:9]", "file['/cube'][:, :, 1:6:2, 3:9]"];
    for masks in ["/stack", "/cut", &stack_npy] {
        let given = format!("masks={masks}");
        let more = ["--crop", "1:6:2,3:9", "-p", &given];
        let ran = scan.run("given", &[&cube[..], &more].concat());
        let group = ran["group"].as_str().unwrap();
        assert_eq!(scan.script(right, &[group, cut, whole]), true, "{masks}");
    }
    let turned = ["--along", "1,0", "-p", "masks=/stack"];
    let ran = scan.run("given", &[&cube[..], &turned].concat());
    let group = ran["group"].as_str().unwrap();
    assert_eq!(scan.script(right, &[group, "file['/stack'][()]", "file['/cube'][()]"]), true);
    let more = ["--crop", "1:6:2,3:9", "-p", "masks=/masks"];
    let other = scan.try_run("given", &[&cube[..], &more].concat());
    assert_refused(&other, 1, &["[3, 119]", "[3, 6] behind"]);
    // A row of tables is one axis in the file.
    let cropped = scan.run("given", &["--dataset", RAW_DATA, "--crop", "10:50"]);
    let right = "told = bool(np.allclose(file[given[0] + '/Sums'][()].reshape(20, 3), \
                 file[given[1]][:, 10:50] @ file['/masks'][:, 10:50].T, rtol=1e-5))";
    let group = cropped["group"].as_str().unwrap();
    assert_eq!(scan.script(right, &[group, RAW_DATA]), true);
}

#[test]
fn a_constant_that_changed_makes_another_computation() {
    let scan = with_given();
    let arguments = given("/masks", "/factor", "/count");
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let first = scan.run("given", &arguments);
    scan.script("file['/masks'][1, 118] += 1e-6", &[]);
    let ran = scan.try_run("given", &arguments);
    assert_ne!(ran.json["group"], first["group"]);
    assert!(ran.stderr.contains("the values of the constant `/masks`"), "{}", ran.stderr);
    let counts: Vec<i32> = (0..20).map(|count| count - 7).collect();
    let group = ran.json["group"].as_str().unwrap();
    assert_eq!(scan.script(RIGHT, &[group, RAW_DATA]), json!([true, counts, "int32"]));
}

#[test]
fn an_input_file_that_changes_during_a_run_takes_its_marks_back() {
    for (changed, named) in [("count.npy", "count.npy"), ("masks.npy", "masks.npy")]
        .into_iter()
        .chain([("other.h5", "other.h5:/factor")])
    {
        let scan = with_given();
        let masks = scan.beside("masks.npy");
        let factor = scan.beside("other.h5:/factor");
        let mut arguments = given(&masks, &factor, &scan.beside("count.npy"));
        arguments.extend(["-p", "pause=100000", "--cores", "1"].map(str::to_owned));
        arguments.extend(["--checkpoint", "0.05"].map(str::to_owned));
        let file = Path::new(&scan.file);
        let mut opener = Opener::new();
        opener.groups(file);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let running = Running::start(run("given", file, &arguments));
        let group = running.computing(&mut opener, file);
        running.wait_until_marked(&group, file, 2);
        let path = scan.beside(changed);
        let mut bytes = std::fs::read(&path).unwrap();
        // Past HDF5 and its locks: the last value.
        let at = match changed {
            "other.h5" => place_of_factor(&path),
            _ => bytes.len() - 4,
        };
        bytes[at] ^= 0x55;
        std::fs::write(&path, bytes).unwrap();
        let ran = running.finish();
        assert_eq!(ran.code, Some(1), "{named}: {}", ran.stderr);
        assert!(ran.stderr.contains("was changed while it was computed"), "{}", ran.stderr);
        assert_eq!(group.marked(file), 0, "{named}");
    }
}

/// Where the values of `/factor` begin.
fn place_of_factor(file: &str) -> usize {
    let arguments = [file.as_ref(), "/factor".as_ref()] as [&std::ffi::OsStr; 2];
    let place = crate::support::python_function("data.py", "offset", arguments);
    place.as_u64().unwrap() as usize
}

/// The sample with masks in a file of NumPy's, and factors and counts in another HDF5 file.
fn sample_with_given() -> (Sample, Vec<String>) {
    let sample = Sample::new();
    let at = |name: &str| sample.folder.path().join(name).display().to_string();
    let made = "rng = np.random.default_rng(5)\nnp.save(given[0], \
                np.asfortranarray(rng.normal(size=(4, 119))))\nwith h5py.File(given[1], 'w') as \
                other:\n    other.create_dataset('/factor', data=(rng.normal(size=(64, 64)) + \
                1j).astype('c8'), chunks=(10, 7), compression='gzip')\n    other['/count'] = \
                np.arange(4096, dtype='u2')";
    let (masks, other) = (at("masks.npy"), at("other.h5"));
    let file = sample.file.to_str().unwrap();
    ask_python(&["edit.py", file, made, &masks, &other]);
    let arguments = given(&masks, &format!("{other}:/factor"), &format!("{other}:/count"));
    (sample, arguments)
}

#[test]
fn with_inputs_from_other_files_kills_are_survived_and_any_number_of_threads_gives_the_same_bytes()
{
    let mut opener = Opener::new();
    let (sample, arguments) = sample_with_given();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    succeed(run("given", &sample.file, &arguments));
    let finished = opener.snapshot(&sample.file);
    assert_eq!(finished.prefix(), POSITIONS);
    let (killed, own) = sample_with_given();
    let slow = ["-p", "pause=50", "--checkpoint", "0.05", "--cores", "2"];
    let slow: Vec<&str> = own.iter().map(String::as_str).chain(slow).collect();
    let arguments = run("given", &killed.file, &slow);
    assert_kills_are_survived(&mut opener, &arguments, &killed.file, &finished);
}

#[cfg(feature = "mpi")]
#[test]
fn with_inputs_from_other_files_any_number_of_ranks_gives_the_same_bytes() {
    use crate::support::ranks::succeed_on;
    let mut opener = Opener::new();
    let mut expected = None;
    for ranks in [1, 2, 3, 4] {
        let (sample, arguments) = sample_with_given();
        let arguments: Vec<&str> =
            arguments.iter().map(String::as_str).chain(["--cores", "1"]).collect();
        let ran = succeed_on(ranks, run("given", &sample.file, &arguments));
        assert_eq!(ran["inputs"].as_array().unwrap().len(), 3);
        let found = opener.snapshot(&sample.file);
        assert_eq!(found.prefix(), POSITIONS);
        assert!(*expected.get_or_insert_with(|| found.clone()) == found, "{ranks} ranks");
        let from = succeed_on(ranks, run("slow", &sample.file, &["-p", "pause=0"]));
        let by_name = ["-p", "offset=Slow", "-p", "pause=1", "--cores", "1"];
        let by_name = succeed_on(ranks, run("slow", &sample.file, &by_name));
        let dataset = format!("{}/Slow_Sum", from["group"].as_str().unwrap());
        assert_eq!(by_name["inputs"][0]["dataset"], dataset);
    }
}
