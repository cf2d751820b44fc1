//! What `show` draws, and `test` of frames: maps, spectra, frames and points with the values that
//! are in the file, and what it says where there is little to see.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use tiny_skia::Pixmap;

use crate::support::watch::{Opener, Running, wait_until};
use crate::support::{
    RAW_DATA, Ran, Sample, pixelmill, program, python_function, python_program, ran, refuse, root,
    run, succeed,
};

/// Positions that are computed, the first ones.
const COMPUTED: usize = 3000;
/// Where the first of several maps of 64 × 64 positions is in a picture: its left and upper edge,
/// and the length of both.
const MAP: (f64, f64, f64) = (130.0, 140.0, 550.0);

/// A sample with results of some positions, of which some have failed.
fn partial() -> (Sample, String) {
    let sample = Sample::new();
    let ran = pixelmill(run("trouble", &sample.file, &["--positions", &format!("0:{COMPUTED}")]));
    let group = ran.json["group"].as_str().unwrap().to_owned();
    (sample, group)
}

/// Which positions fail in it.
fn has_failed(position: usize) -> bool {
    position.is_multiple_of(7) || position % 11 == 1
}

/// `show` without `--json`, with some variables of the environment.
fn typed(file: &Path, more: &[&str], variables: &[(&str, &str)]) -> Ran {
    let mut command = Command::new(program());
    command.arg("show").arg(file).args(more).envs(variables.iter().copied());
    ran(command.stdin(Stdio::null()).output().expect("the program starts"))
}

fn numbers(values: &Value) -> Vec<Option<f64>> {
    values.as_array().unwrap().iter().map(Value::as_f64).collect()
}

fn colour(picture: &Pixmap, (x, y): (f64, f64)) -> [u8; 3] {
    let pixel = picture.pixel(x as u32, y as u32).unwrap();
    [pixel.red(), pixel.green(), pixel.blue()]
}

/// All colours of a position of the first map.
fn colours(picture: &Pixmap, position: usize) -> Vec<[u8; 3]> {
    let (left, top, length) = MAP;
    let each = length / 64.0;
    let (row, column) = ((position / 64) as f64, (position % 64) as f64);
    let places = (1..8).flat_map(|down| (1..8).map(move |right| (right, down)));
    places
        .map(|(right, down)| {
            let place =
                |begin: f64, step: f64, within: i32| begin + each * step + f64::from(within);
            colour(picture, (place(left, column, right), place(top, row, down)))
        })
        .collect()
}

#[test]
fn a_single_value_is_shown_as_it_is() {
    let sample = Sample::new();
    let file = sample.file.to_str().unwrap();
    let statements = "file['energy'] = 200.5; file['energy'].attrs['units'] = 'kV'; file['wave'] \
                      = np.complex64(3 - 4j); file['flag'] = True; file['name'] = 'a text'; \
                      file['nothing'] = np.nan; file['pair'] = np.array((1, 2.5), [('a', 'i4'), \
                      ('b [s]', 'f8')])";
    python_program("edit.py", [file, statements]);
    let values = |path: &str| {
        let shown = succeed(["show", file, path]);
        let pictures = shown["pictures"].as_array().unwrap().iter();
        pictures.map(|of| (of["units"].clone(), numbers(&of["values"])[0])).collect::<Vec<_>>()
    };
    assert_eq!(values("/energy"), [(json!("kV"), Some(200.5))]);
    let phase = f64::from(-4.0_f32).atan2(3.0);
    assert_eq!(values("/wave"), [(json!(""), Some(5.0)), (json!(""), Some(phase))]);
    assert_eq!(values("/flag"), [(json!(""), Some(1.0))]);
    assert_eq!(values("/nothing"), [(json!(""), None)]);
    assert_eq!(values("/pair"), [(json!(""), Some(1.0)), (json!("s"), Some(2.5))]);
    assert!(typed(&sample.file, &["/energy"], &[]).stderr.contains("energy: 200.5 kV"));
    refuse(["show", file, "/name"], 2, &["/name", "it holds text"]);
    refuse(["run", "sum", file, "--dataset", "/energy"], 1, &["it is a single number, no array"]);
}

#[test]
fn the_map_of_the_readme_is_drawn_as_it_stands_there() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let command = "$ pixelmill show scan.h5 Peak_Finding_000/Peak_Position\n";
    let drawn_there = readme.split_once(command).expect("the README has this").1.split_once("```");
    let sample = Sample::new();
    succeed(run("peak-finding", &sample.file, &[]));
    let mut command = Command::new(program());
    command.args(["show", "scan.h5", "Peak_Finding_000/Peak_Position"]);
    let drawn = ran(command.current_dir(sample.folder.path()).output().unwrap());
    assert_eq!(drawn_there.unwrap().0, drawn.stderr, "\n{}", drawn.stderr);
}

#[test]
fn a_map_has_the_values_of_the_file_and_the_percentiles_of_numpy() {
    let (sample, group) = partial();
    let before = sample.bytes();
    let file = sample.file.to_str().unwrap();
    let shown = succeed(["show", file, &group]);
    let pictures = shown["pictures"].as_array().unwrap();
    let first = pictures.iter().find(|picture| picture["title"] == "First").unwrap();
    let dataset = format!("{group}/First");
    let computed = COMPUTED.to_string();
    let arguments = [file, &dataset, &computed];
    let told = python_function("plot.py", "map_of", arguments);
    assert_eq!(numbers(&first["values"])[..COMPUTED], numbers(&told[0])[..]);
    let near = |one: &Value, other: &Value| {
        (one.as_f64().unwrap() / other.as_f64().unwrap() - 1.0).abs() < 1e-12
    };
    assert!(near(&first["limits"]["low"], &told[1]) && near(&first["limits"]["high"], &told[2]));
    assert_eq!(first["limits"]["percentiles"], serde_json::json!([2.0, 98.0]));
    let failed: Vec<Value> = (0..COMPUTED).filter(|at| has_failed(*at)).map(Value::from).collect();
    assert_eq!(first["failed"], Value::from(failed));
    let pending: Vec<Value> = (COMPUTED..4096).map(Value::from).collect();
    assert_eq!(first["pending"], Value::from(pending));
    let rows = &first["layout"]["image"]["rows"];
    assert_eq!((&rows["name"], &rows["units"]), (&"Y".into(), &"um".into()));
    assert_eq!(rows["edges"].as_array().unwrap().len(), 65);
    assert!(before == sample.bytes(), "show must not write");
}

#[test]
fn pixels_have_the_colours_of_their_values_and_others_a_pattern() {
    let (sample, group) = partial();
    let picture = sample.folder.path().join("map.png");
    // Of the first value of each spectrum, which is listed after the counts.
    let path = format!("{group}/First");
    let name = picture.to_str().unwrap();
    let drawn = typed(&sample.file, &[&path, "--plot", name], &[]);
    assert_eq!(drawn.code, Some(0), "{}", drawn.stderr);
    let shown = succeed(["show", sample.file.to_str().unwrap(), &path, "--plot", name]);
    let picture = Pixmap::load_png(&picture).unwrap();
    // A map that is alone is larger.
    let length = f64::from(picture.width()) - 330.0;
    assert_eq!(length, 870.0);
    let length = 760.0;
    let at = |position: usize| {
        let place = |step: usize| length * (step as f64 + 0.5) / 64.0;
        let place = (130.0 + place(position % 64), 140.2 + place(position / 64));
        colour(&picture, place)
    };
    let values = numbers(&shown["pictures"][0]["values"]);
    let limits = &shown["pictures"][0]["limits"];
    let (low, high) = (limits["low"].as_f64().unwrap(), limits["high"].as_f64().unwrap());
    let known = |wanted: &dyn Fn(f64) -> bool| {
        let found = values.iter().position(|value| value.is_some_and(wanted));
        found.expect("there is such a value")
    };
    assert_eq!(at(known(&|value| value <= low)), [68, 1, 84]);
    assert_eq!(at(known(&|value| value >= high)), [253, 231, 37]);
    let middle = f64::midpoint(low, high);
    let [red, green, blue] = at(known(&|value| (value - middle).abs() < 0.01 * (high - low)));
    assert!(red < 60 && (120..160).contains(&green) && blue > 120, "{red} {green} {blue}");
}

#[test]
fn pending_and_failed_positions_are_told_apart() {
    let (sample, group) = partial();
    let picture = sample.folder.path().join("maps.png");
    let name = picture.to_str().unwrap();
    typed(&sample.file, &[&group, "--plot", name], &[]);
    let picture = Pixmap::load_png(&picture).unwrap();
    let failed = colours(&picture, 7 * 64);
    assert!(failed.contains(&[200, 30, 30]) && failed.contains(&[255; 3]), "{failed:?}");
    let pending = colours(&picture, 3500);
    assert!(pending.iter().all(|colour| [[165; 3], [236; 3]].contains(colour)), "{pending:?}");
    let plain = typed(&sample.file, &[&group], &[]).stderr;
    let failed = format!("{} positions failed", (0..COMPUTED).filter(|at| has_failed(*at)).count());
    for text in ["× failed", "· pending", "1,096 positions pending", &failed] {
        assert!(plain.contains(text), "`{text}` is missing:\n{plain}");
    }
}

#[test]
fn a_terminal_gets_the_colours_that_it_has() {
    let (sample, group) = partial();
    let draw = |variables: &[(&str, &str)]| typed(&sample.file, &[&group], variables).stderr;
    let forced = ("CLICOLOR_FORCE", "1");
    let many = draw(&[forced, ("COLORTERM", "truecolor"), ("TERM", "xterm-256color")]);
    assert!(many.contains("\x1b[38;2;") && many.contains('▀'), "{many}");
    let fixed = draw(&[forced, ("COLORTERM", ""), ("TERM", "xterm-256color")]);
    assert!(fixed.contains("\x1b[38;5;") && fixed.contains('▀'), "{fixed}");
    for variables in [
        &[forced, ("COLORTERM", ""), ("TERM", "linux")][..],
        &[("NO_COLOR", "1"), ("COLORTERM", "truecolor")],
        &[("TERM", "dumb")],
    ] {
        let few = draw(variables);
        assert!(!few.contains("\x1b[38;") && few.contains('░'), "{variables:?}:\n{few}");
    }
}

#[test]
fn a_scan_is_shown_by_its_sum_and_its_mean_and_a_position_by_its_spectrum() {
    let sample = Sample::new();
    let file = sample.file.to_str().unwrap();
    let shown = succeed(["show", file]);
    let titles = [0, 1].map(|at| shown["pictures"][at]["title"].as_str().unwrap());
    assert_eq!(titles, ["Raw_Data: sum over Frequency", "Raw_Data: mean of 4096 positions"]);
    assert_eq!(shown["pictures"][0]["part"], "amplitude");
    let one = succeed(["show", file, RAW_DATA, "--at", "10,20"]);
    let parts = [0, 1].map(|at| one["pictures"][at]["part"].as_str().unwrap());
    assert_eq!(parts, ["amplitude", "phase"]);
    let tested = succeed(["test", "peak-finding", file, "--at", "10,20"]);
    let part = |name: &str| numbers(&tested["spectrum"]["data"][name]);
    let amplitude =
        |(real, imaginary): (&Option<f64>, &Option<f64>)| real.unwrap().hypot(imaginary.unwrap());
    let (real, imaginary) = (part("real"), part("imaginary"));
    let expected: Vec<f64> = real.iter().zip(&imaginary).map(amplitude).collect();
    let found: Vec<f64> = numbers(&one["pictures"][0]["values"]).into_iter().flatten().collect();
    assert_eq!(found, expected);
    refuse(["show", file, "--pixel", "4096"], 2, &["no such position", "0:4096"]);
}

#[test]
fn records_are_shown_field_by_field_and_phases_go_round() {
    let sample = Sample::new();
    let ran = pixelmill(run("sho-fit", &sample.file, &["--positions", "0:64"]));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let file = sample.file.to_str().unwrap();
    let shown = succeed(["show", file, "SHO_Fit_000"]);
    let pictures = shown["pictures"].as_array().unwrap();
    let of = |title: &str| pictures.iter().find(|picture| picture["title"] == title).unwrap();
    assert_eq!(of("Fit · Frequency")["units"], "Hz");
    assert_eq!(of("Fit · Frequency")["limits"]["turn"], false);
    let phase = &of("Fit · Phase")["limits"];
    assert_eq!(
        (&phase["turn"], phase["low"].as_f64()),
        (&true.into(), Some(-std::f64::consts::PI))
    );
    assert_eq!(of("Standard_Errors · Phase")["limits"]["turn"], false);
    let one = succeed(["show", file, "SHO_Fit_000/Fit", "--field", "Frequency [Hz]"]);
    assert_eq!(one["pictures"].as_array().unwrap().len(), 1);
    let drawn = typed(&sample.file, &["SHO_Fit_000/Fit"], &[]).stderr;
    let beside = drawn.lines().any(|line| line.contains("Amplitude") && line.contains("Frequency"));
    assert!(beside, "{drawn}");
}

/// A file that `tests/python/plot.py` makes.
fn made(function: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("made.h5");
    python_function("plot.py", function, [file.as_os_str()]);
    (folder, file)
}

#[test]
fn a_frame_is_drawn_as_an_image_with_what_the_result_says_of_it() {
    let (folder, file) = made("frames");
    let at = ["--dataset", "/scan", "--positions-axes", "0,1", "--at", "2,3"];
    let test = |process: &str, more: &[&str]| {
        let named = ["test", process, file.to_str().unwrap()];
        succeed([&named, &at[..], more].concat())["spectrum"].clone()
    };
    let mass = test("center-of-mass", &[]);
    assert_eq!(mass["frame"][0]["name"], "qy");
    let place = &mass["model"]["places"][0];
    assert_eq!((&place["row"], &place["column"]), (&12.0.into(), &17.0.into()));
    let detector = ["-p", "radius=3", "-p", "center_y=12", "-p", "center_x=17"];
    let masks = test("masks", &detector);
    let stretches: Vec<[usize; 2]> =
        serde_json::from_value(masks["model"]["outlines"][0]["inside"].clone()).unwrap();
    let inside = |row: i64, column: i64| {
        let point = (32 * row + column) as usize;
        stretches.iter().any(|[begin, end]| (*begin..*end).contains(&point))
    };
    for (row, column) in (0..24).flat_map(|row| (0..32).map(move |column| (row, column))) {
        let is_near = (row - 12i64).pow(2) + (column - 17i64).pow(2) <= 9;
        assert_eq!(inside(row, column), is_near, "{row}, {column}");
    }
    let picture = folder.path().join("frame.png");
    let mut command = Command::new(program());
    command.args(["test", "center-of-mass"]).arg(&file).args(at).arg("--plot").arg(&picture);
    let drawn = ran(command.output().unwrap());
    assert_eq!(drawn.code, Some(0), "{}", drawn.stderr);
    let picture = Pixmap::load_png(&picture).unwrap();
    // The frame is 870 wide. Its disk is bright, what is around it dark, and in the middle a cross.
    let (length, top) = (870.0 / 32.0, 140.2);
    let seen = |row: f64, column: f64| {
        colour(&picture, (130.0 + length * (column + 0.5), top + length * (row + 0.5)))
    };
    assert_eq!([seen(1.0, 1.0), seen(15.0, 17.0)], [[68, 1, 84], [253, 231, 37]]);
    assert_eq!(seen(12.0, 17.0), [38; 3]);
    let text = ran(Command::new(program())
        .args(["test", "center-of-mass"])
        .arg(&file)
        .args(at)
        .arg("--plot")
        .output()
        .unwrap());
    assert!(text.stderr.contains("+ centre of mass   X centre of the detector"), "{}", text.stderr);
}

#[test]
fn a_picture_says_whether_it_is_of_positions_though_a_frame_be_as_large() {
    let (_folder, file) = made("alike");
    let firsts = |path: &str, more: &[&str]| -> Vec<Value> {
        let shown = succeed([&["show", file.to_str().unwrap(), path], more].concat());
        let pictures = shown["pictures"].as_array().unwrap().iter();
        pictures.map(|picture| picture["first_position"].clone()).collect()
    };
    let run = |process: &str, dataset: &str, axes: &str| {
        let more = ["--dataset", dataset, "--positions-axes", axes];
        let ran = succeed([&["run", process, file.to_str().unwrap()], &more[..]].concat());
        ran["group"].as_str().unwrap().to_owned()
    };
    // The sum over each position, and their mean.
    assert_eq!(firsts("/frames", &["--positions-axes", "0,1"]), [Value::from(0), Value::Null]);
    assert_eq!(firsts("/frames", &["--positions-axes", "0,1", "--pixel", "3"]), [Value::Null]);
    assert_eq!(firsts("/frames", &[])[0], Value::Null, "nobody says which axes are positions");
    let folded = firsts(&run("statistics", "/frames", "0,1"), &[]);
    assert!(!folded.is_empty() && folded.iter().all(Value::is_null), "{folded:?}");
    assert_eq!(firsts(&run("sum", "/frames", "0,1"), &[]), [0]);
    assert_eq!(firsts(&run("sum", "/stack", "0,1,2"), &[]), [0, 20, 40]);
}

#[test]
fn positions_that_are_no_grid_are_points_at_their_places() {
    let (folder, file) = made("scattered");
    let name = file.to_str().unwrap();
    let shown = succeed(["show", name]);
    let points = &shown["pictures"][0]["layout"]["points"];
    assert_eq!((&points["rows"]["name"], &points["columns"]["name"]), (&"Y".into(), &"X".into()));
    assert_eq!(numbers(&points["columns"]["values"])[1], Some(1.5));
    assert_eq!(
        numbers(&shown["pictures"][0]["values"]),
        (0..8).map(|at| Some(f64::from(at))).collect::<Vec<_>>()
    );
    let picture = folder.path().join("points.png");
    succeed(["show", name, "--plot", picture.to_str().unwrap()]);
    let picture = Pixmap::load_png(&picture).unwrap();
    let bright = picture
        .pixels()
        .iter()
        .filter(|pixel| [pixel.red(), pixel.green(), pixel.blue()] == [253, 231, 37]);
    // One point and the end of the bar.
    assert!((400..2000).contains(&bright.count()));
}

#[test]
fn what_there_is_little_to_see_of_is_said() {
    let (_folder, file) = made("frames");
    let name = file.to_str().unwrap();
    refuse(["show", name], 2, &["say behind it what to show", "/scan", "/same"]);
    refuse(["show", name, "/text"], 2, &["/text", "nothing to draw", "it holds text"]);
    refuse(["show", name, "/empty"], 2, &["/empty", "nothing to draw", "it is empty"]);
    refuse(["show", name, "/scam"], 2, &["/scam", "did you mean `scan`?"]);
    refuse(["show", name, "/same", "--plot", "a.jpg"], 2, &["--plot a.jpg", ".png"]);
    let none = typed(&file, &["/none"], &[]);
    assert!(none.stderr.contains("? no value") && none.stderr.contains("no values"));
    let same = typed(&file, &["/same"], &[]);
    assert!(same.stderr.contains("all values are the same"), "{}", same.stderr);
    let guessed = succeed(["show", name, "/scan"]);
    let note = "the file doesn't say which axes are positions; the first two are taken";
    assert!(guessed["pictures"][0]["notes"].as_array().unwrap().contains(&note.into()));
    let wave = typed(&file, &["/wave"], &[]);
    assert!(
        wave.stderr.contains("Phase (rad)") && wave.stderr.contains(" 20 ┤"),
        "{}",
        wave.stderr
    );
}

#[test]
fn a_large_scan_takes_little_memory() {
    let (_folder, file) = made("large");
    let show = |more: &str| {
        // Kibibytes of address space.
        let line = format!("ulimit -v 300000; exec \"$0\" show \"$1\" {more} --json");
        let mut shell = Command::new("bash");
        shell.args(["-c", &line]).arg(program()).arg(&file);
        let shown = ran(shell.output().unwrap());
        assert_eq!(shown.code, Some(0), "{}", shown.stderr);
        shown.json
    };
    let map = show("/map");
    assert_eq!(map["pictures"][0]["notes"][0], "means of 6 × 6 positions");
    let values = numbers(&map["pictures"][0]["values"]);
    assert_eq!((values.len(), values[0], values.last()), (342 * 342, Some(1.0), Some(&Some(0.0))));
    let sum = show("/scan");
    let note = sum["pictures"][0]["notes"][0].as_str().unwrap();
    assert!(note.starts_with("one of each 6 × 6 positions"), "{note}");
}

#[test]
fn what_a_run_has_computed_is_shown_while_it_goes_on() {
    let sample = Sample::new();
    let long = ["-p", "pause=5000", "--checkpoint", "0.05", "--cores", "2"];
    let running = Running::start(run("slow", &sample.file, &long));
    let mut opener = Opener::new();
    wait_until("some positions are marked", || {
        opener.groups(&sample.file).first().is_some_and(|group| group.marked(&sample.file) > 10)
    });
    let shown = succeed(["show".as_ref(), sample.file.as_os_str(), "Slow_000".as_ref()]);
    let map = &shown["pictures"][0];
    let pending = map["pending_positions"].as_u64().unwrap();
    assert!((1..4090).contains(&pending), "{pending}");
    assert!(numbers(&map["values"])[0].is_some());
    drop(running);
}
