//! What `test` draws, in the terminal and as a picture, and what it says of that.

use std::process::Command;

use num_complex::Complex64;
use pixelmill::process::{Failure, Model, Parameters, Process, Results, SourceInfo, Spectrum};
use pixelmill::{Pixel, Request};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tiny_skia::Pixmap;

use crate::support::{
    RAW_DATA, Ran, Sample, assert_refused, pixelmill, program, python_function, ran, refuse, root,
    succeed,
};

/// `test` without `--json`, as people type it.
fn typed(sample: &Sample, process: &str, more: &[&str]) -> Ran {
    let mut command = Command::new(program());
    command.args(["test", process]).arg(&sample.file).args(more);
    ran(command.output().expect("the program starts"))
}

#[test]
fn the_first_session_of_the_readme_draws_what_stands_there() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let command = "$ pixelmill test peak-finding scan.h5 --at 10,20\n";
    let shown = readme.split_once(command).expect("the README has this").1.split_once("```");
    let sample = Sample::new();
    let before = sample.bytes();
    let drawn = typed(&sample, "peak-finding", &["--at", "10,20", "--plot"]);
    assert_eq!(shown.unwrap().0, drawn.stderr, "\n{}", drawn.stderr);
    // Scripts, which have no terminal, get the numbers alone.
    let numbers = typed(&sample, "peak-finding", &["--at", "10,20"]);
    assert_eq!(numbers.stderr.lines().count(), 3, "{}", numbers.stderr);
    assert!(drawn.stderr.starts_with(&numbers.stderr));
    assert!(before == sample.bytes(), "a test must not write");
}

/// Colours of points and of the first line.
const POINTS: [u8; 3] = [110, 145, 185];
const LINE: [u8; 3] = [200, 30, 30];
/// Above is the legend.
const TOP: u32 = 141;

/// Places of a colour in a picture, below the legend.
fn places(picture: &Pixmap, colour: [u8; 3]) -> Vec<(i64, i64)> {
    let pixels = picture.pixels().iter().enumerate().skip((TOP * picture.width()) as usize);
    let found = pixels.filter(|(_, pixel)| [pixel.red(), pixel.green(), pixel.blue()] == colour);
    let width = picture.width() as usize;
    found.map(|(at, _)| ((at % width) as i64, (at / width) as i64)).collect()
}

/// The largest distance, along the worse axis, of a place of `from` from the nearest of `to`.
fn distance(from: &[(i64, i64)], to: &[(i64, i64)]) -> i64 {
    let nearest = |(x, y): &(i64, i64)| {
        to.iter().map(|(a, b)| (x - a).abs().max((y - b).abs())).min().unwrap_or(i64::MAX)
    };
    from.iter().map(nearest).max().unwrap_or(i64::MAX)
}

#[test]
fn the_model_lies_on_data_without_noise() {
    let sample = Sample::new();
    python_function("plot.py", "noiseless", [sample.file.as_os_str(), RAW_DATA.as_ref()]);
    let before = sample.bytes();
    let file = sample.folder.path().join("fit.png");
    let name = file.to_str().unwrap();
    let draw = |position: &str| {
        let drawn = typed(&sample, "sho-fit", &["--pixel", position, "--plot", name]);
        assert_eq!(drawn.code, Some(0), "{}", drawn.stderr);
        assert!(drawn.stderr.ends_with(&format!("  drawn in {name}\n")), "{}", drawn.stderr);
        Pixmap::load_png(&file).unwrap()
    };
    let picture = draw("0");
    // Two panels, and what is around them.
    assert_eq!((picture.width(), picture.height()), (1200, 994));
    let (points, line) = (places(&picture, POINTS), places(&picture, LINE));
    assert!(points.len() > 2000 && line.len() > 2000, "{} {}", points.len(), line.len());
    assert!(distance(&points, &line) <= 5, "{}", distance(&points, &line));
    // Where it is steep, points are far from each other.
    assert!(distance(&line, &points) <= 30, "{}", distance(&line, &points));
    // Noise is seen.
    let picture = draw("660");
    assert!(distance(&places(&picture, POINTS), &places(&picture, LINE)) > 20);
    assert!(before == sample.bytes(), "a test must not write");
}

#[test]
fn the_numbers_of_the_drawing_are_in_the_json() {
    let sample = Sample::new();
    let file = sample.file.to_str().unwrap();
    let spectrum = &succeed(["test", "sho-fit", file, "--pixel", "660"])["spectrum"];
    assert_eq!((&spectrum["quantity"], &spectrum["units"]), (&"Deflection".into(), &"V".into()));
    assert_eq!(spectrum["axis"]["name"], "Frequency");
    assert_eq!(spectrum["axis"]["values"][0], 3e5);
    let names: Vec<_> = [0, 1].map(|at| &spectrum["model"]["curves"][at]["name"]).into();
    assert_eq!(names, ["fit", "guess"]);
    let numbers = |of: &serde_json::Value, part: &str| -> Vec<f64> {
        of[part].as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
    };
    let fit = &spectrum["model"]["curves"][0]["values"];
    let (mut residual, mut power) = (0.0, 0.0);
    for part in ["real", "imaginary"] {
        let (data, fit) = (numbers(&spectrum["data"], part), numbers(fit, part));
        assert_eq!((data.len(), fit.len()), (119, 119));
        residual += data.iter().zip(&fit).map(|(data, fit)| (data - fit).powi(2)).sum::<f64>();
        power += data.iter().map(|data| data * data).sum::<f64>();
    }
    assert!((1e-3..0.05).contains(&(residual / power)), "{}", residual / power);
    let peak = &succeed(["test", "peak-finding", file, "--pixel", "660"])["spectrum"]["model"];
    assert_eq!(peak["marks"][0]["at"], 327_288.125);
}

#[test]
fn one_of_several_spectra_is_chosen() {
    let sample = Sample::new();
    python_function("plot.py", "slow_axis", [sample.file.as_os_str(), RAW_DATA.as_ref()]);
    let file = sample.file.to_str().unwrap();
    let test = |more: &[&str]| {
        let tested =
            pixelmill([["test", "sho-fit", file, "--pixel", "3"].as_slice(), more].concat());
        assert!(matches!(tested.code, Some(0 | 3)), "{}", tested.stderr);
        tested.json["spectrum"].clone()
    };
    let (first, third) = (test(&[]), test(&["--spectrum", "2"]));
    assert_eq!((&first["number"], &third["number"]), (&0.into(), &2.into()));
    assert_eq!(third["at"], serde_json::json!([2]));
    assert_eq!(third["axis"]["values"].as_array().unwrap().len(), 17);
    assert_ne!(first["data"], third["data"]);
    let beyond = ["test", "sho-fit", file, "--pixel", "3", "--spectrum", "7"];
    refuse(beyond, 2, &["--spectrum 7", "7 spectra", "0:7"]);
}

#[test]
fn what_cannot_be_drawn_is_said() {
    let sample = Sample::new();
    let before = sample.bytes();
    let file = sample.file.to_str().unwrap();
    let folder = sample.folder.path().to_str().unwrap();
    let drawn_to = |name: &str| {
        let mut arguments = vec!["test", "sho-fit", file, "--pixel", "5", "--plot"];
        let name = format!("{folder}/{name}");
        arguments.push(&name);
        pixelmill(arguments)
    };
    assert_refused(&drawn_to("scan.h5"), 2, &["--plot", "scan.h5", "it is an HDF5 file"]);
    std::os::unix::fs::symlink("scan.h5", sample.folder.path().join("soft.png")).unwrap();
    std::fs::hard_link(&sample.file, sample.folder.path().join("hard.png")).unwrap();
    for name in ["soft.png", "hard.png"] {
        assert_refused(&drawn_to(name), 2, &["--plot", name, "it is an HDF5 file"]);
    }
    assert_refused(
        &drawn_to("no/fit.png"),
        1,
        &["cannot create", "no/fit.png", "its folder doesn't exist"],
    );
    std::fs::create_dir(sample.folder.path().join("folder.png")).unwrap();
    assert_refused(&drawn_to("folder.png"), 2, &["folder.png", "it is a folder"]);
    refuse(["test", "sho-fit", file, "--pixel", "5", "--spectrum", "1"], 2, &["only one spectrum"]);
    // Neither a process without a model nor a failed position is an error.
    let bare = typed(&sample, "trouble", &["--pixel", "2", "--plot"]);
    assert_eq!(bare.code, Some(0), "{}", bare.stderr);
    assert!(bare.stderr.contains("Trouble draws nothing but the data"), "{}", bare.stderr);
    assert!(bare.stderr.contains("∘ data"), "{}", bare.stderr);
    let failed = typed(&sample, "trouble", &["--pixel", "7", "--plot"]);
    assert_eq!(failed.code, Some(3), "{}", failed.stderr);
    assert!(failed.stderr.contains("only the data are drawn: there is no result"));
    assert!(failed.stderr.contains("∘ data"), "{}", failed.stderr);
    assert!(before == sample.bytes(), "a test must not write");
}

/// A process whose result is right, but not what it says of it.
struct Odd;

#[derive(Default, Serialize, Deserialize, JsonSchema)]
struct OddParameters {
    /// Whether it can't even say it.
    panics: bool,
}

impl Parameters for OddParameters {}

impl Process for Odd {
    const NAME: &'static str = "Odd";
    const VERSION: u32 = 1;
    type Parameters = OddParameters;
    type Input = Complex64;
    type Output = f64;
    type Task = bool;
    type Scratch = ();

    fn prepare(parameters: &OddParameters, _: &SourceInfo) -> Result<bool, Failure> {
        Ok(parameters.panics)
    }

    fn create_results_datasets(_: &OddParameters, _: &SourceInfo, results: &mut Results<f64>) {
        results.main("Number", "Number", "").scalar(|number: &f64| *number);
    }

    fn map_function(_: &bool, _: Spectrum<'_, Complex64>, _: &mut ()) -> Result<f64, Failure> {
        Ok(4.5)
    }

    fn model(panics: &bool, spectrum: Spectrum<'_, Complex64>, _: &f64) -> Model {
        assert!(!panics, "no model of {} values", spectrum.len());
        Model::new().curve("line", vec![0.0; spectrum.len() - 1])
    }
}

#[test]
fn a_wrong_model_leaves_the_result_alone() {
    let sample = Sample::new();
    let request = Request::new(&sample.file);
    for (panics, reason) in [
        (false, "the curve `line` has 118 values, but the spectrum 119"),
        (true, "the computation panicked: no model of 119 values"),
    ] {
        let parameters = OddParameters { panics };
        let probe = pixelmill::test::<Odd>(&parameters, &request, &Pixel::Number(1)).unwrap();
        assert_eq!((probe.failure, &probe.values[0].numbers), (None, &vec![4.5]));
        assert_eq!(probe.spectra[0].model.as_ref().unwrap_err().to_string(), reason);
    }
}
