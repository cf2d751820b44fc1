//! Fits of components convolved with low-loss spectra, one for all positions or one for each:
//! against HyperSpy, what was simulated, `numpy.convolve` and golden results.
//! `tests/python/convolution.py` has the model once more.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::golden::{assert_golden, kept};
use crate::support::usid::{Scan, ask_python};
use crate::support::{filters_program, pixelmill, refuse, root, succeed};

/// Edges are where the elements have them: estimates from spectra with plasmons may miss one.
const COMPONENTS: &str = r#"components=[{"type": "gaussian", "centre": 450, "sigma": 3},
    {"type": "erf", "origin": 420, "sigma": 2}, "power_law"]"#;
const DATASET: &str = "/Experiments/low/data";
/// A parameter as `convolution.py` calls it, its component and its name there.
const PARAMETERS: [(&str, &str, &str); 8] = [
    ("A", "Gaussian", "A"),
    ("centre", "Gaussian", "centre"),
    ("sigma", "Gaussian", "sigma"),
    ("A_edge", "Erf", "A"),
    ("origin", "Erf", "origin"),
    ("sigma_edge", "Erf", "sigma"),
    ("A_law", "Power_Law", "A"),
    ("r", "Power_Law", "r"),
];

/// A copy of a core loss, fitted with a low loss; where its results are.
struct Fitted {
    file: String,
    group: String,
}

impl Fitted {
    fn new(folder: &Path, kind: &str, low: &str, cores: &str) -> Self {
        let core = folder.join(format!("core_{kind}.hspy"));
        let file = folder.join(format!("{kind}_{cores}_{}.hspy", low.len()));
        std::fs::copy(core, &file).unwrap();
        let given = ["-p", COMPONENTS, "-p", low, "--cores", cores];
        let ran = succeed(["run", "curve-fit", file.to_str().unwrap()].into_iter().chain(given));
        let of = |name: &str| ran[name].as_str().unwrap().to_owned();
        Self { file: of("file"), group: of("group") }
    }

    fn values(&self, dataset: &str, parameter: &str) -> Vec<f64> {
        let dataset = format!("{}/{dataset}", self.group);
        let told = ask_python(&["curve_fit.py", "record", &self.file, &dataset, parameter]);
        let rows = told["values"].as_array().unwrap().iter();
        rows.flat_map(|row| row.as_array().unwrap()).map(|value| value.as_f64().unwrap()).collect()
    }
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

fn made() -> (tempfile::TempDir, Value) {
    let folder = tempfile::tempdir().unwrap();
    let told = filters_program("convolution.py", ["make".as_ref(), folder.path()]);
    (folder, told)
}

fn low(folder: &Path, kind: &str) -> String {
    let parameter = if kind == "alone" { "low_loss" } else { "low_losses" };
    format!("{parameter}={}:{DATASET}", folder.join(format!("{kind}.hspy")).display())
}

#[test]
fn fits_are_those_of_hyperspy_and_the_truth_and_sums_those_of_numpy() {
    let (folder, told) = made();
    for kind in ["alone", "each"] {
        let fitted = Fitted::new(folder.path(), kind, &low(folder.path(), kind), "2");
        let mut pulls = 0.0;
        for (name, component, parameter) in PARAMETERS {
            let values = fitted.values(component, parameter);
            let errors = fitted.values(&format!("{component}_Standard_Errors"), parameter);
            let [theirs, their_errors] = [0, 1].map(|at| numbers(&told[kind][name][at]));
            let truth = numbers(&told["true"][name]);
            for at in 0..12 {
                let far = (values[at] / theirs[at] - 1.0).abs();
                assert!(far < 1e-5, "{kind} {name} {at}: {} {}", values[at], theirs[at]);
                let far = (errors[at] / their_errors[at] - 1.0).abs();
                assert!(far < 1e-3, "{kind} {name} {at}: {} {}", errors[at], their_errors[at]);
                let pull = (values[at] - truth[at]) / errors[at];
                assert!(pull.abs() < 5.0, "{kind} {name} {at}: {pull} standard errors off");
                pulls += pull * pull / (12.0 * 8.0);
            }
        }
        assert!((0.5..1.6).contains(&pulls), "{kind}: mean square of pulls {pulls}");
        let [core, lows] = [format!("core_{kind}"), kind.to_owned()]
            .map(|name| folder.path().join(name + ".hspy").to_str().unwrap().to_owned());
        let told =
            filters_program("convolution.py", ["exact", &fitted.file, &fitted.group, &core, &lows]);
        assert!(told["worst"].as_f64().unwrap() < 1e-9, "{kind}: {told}");
    }
}

#[test]
fn no_bit_depends_on_the_number_of_threads() {
    let (folder, _) = made();
    for kind in ["alone", "each"] {
        let low = low(folder.path(), kind);
        let of = |cores: &str| {
            let fitted = Fitted::new(folder.path(), kind, &low, cores);
            PARAMETERS.map(|(_, component, parameter)| {
                let errors = format!("{component}_Standard_Errors");
                [component, &errors].map(|dataset| {
                    let values = fitted.values(dataset, parameter).into_iter();
                    values.map(f64::to_bits).collect::<Vec<_>>()
                })
            })
        };
        let one = of("1");
        assert_eq!(one, of("2"), "{kind}");
        assert_eq!(one, of("4"), "{kind}");
    }
}

#[test]
fn the_axis_of_the_low_loss_counts_and_is_part_of_the_result() {
    let (folder, _) = made();
    let core = folder.path().join("core_alone.hspy");
    let core = core.to_str().unwrap();
    let npy = format!("low_loss={}", folder.path().join("alone.npy").display());
    refuse(["run", "curve-fit", core, "-p", COMPONENTS, "-p", &npy], 1, &["`low_loss_zero`"]);
    let whole = format!("low_loss={}:{DATASET}", folder.path().join("each.hspy").display());
    let reasons = ["has the shape [3, 4, 300]", "`low_losses`"];
    refuse(["run", "curve-fit", core, "-p", COMPONENTS, "-p", &whole], 1, &reasons);
    let given = low(folder.path(), "alone");
    let by_axis = Fitted::new(folder.path(), "alone", &given, "1");
    let by_channel = ["-p", COMPONENTS, "-p", &npy, "-p", "low_loss_zero=20"];
    let ran = succeed(["run", "curve-fit", core].into_iter().chain(by_channel));
    let of = |name: &str| ran[name].as_str().unwrap().to_owned();
    let by_channel = Fitted { file: of("file"), group: of("group") };
    assert_eq!(by_axis.values("Gaussian", "centre"), by_channel.values("Gaussian", "centre"));
    let run = || succeed(["run", "curve-fit", core, "-p", COMPONENTS, "-p", &given]);
    assert_eq!(run()["outcome"], "finished");
    assert_eq!(run()["outcome"], "existing");
    // The same values along another axis.
    let shifted = folder.path().join("alone.hspy");
    let axis = |attribute: &str, value: f64| {
        let file = shifted.to_str().unwrap();
        filters_program("convolution.py", ["moved", file, attribute, &value.to_string()])
    };
    axis("offset", -9.0);
    assert_eq!(run()["outcome"], "finished", "it is another result");
    axis("scale", 0.25);
    let reasons = ["the channels of the spectra are 0.5 apart", "0.25"];
    refuse(["run", "curve-fit", core, "-p", COMPONENTS, "-p", &given], 1, &reasons);
    // What is no number is no axis, and a count of channels hasn't its zero where nothing is lost.
    axis("scale", 0.5);
    axis("offset", f64::NAN);
    let reasons = ["the file has no axis for the low-loss spectrum", "`low_loss_zero`"];
    refuse(["run", "curve-fit", core, "-p", COMPONENTS, "-p", &given], 1, &reasons);
    let bare = folder.path().join("bare.h5");
    filters_program(
        "convolution.py",
        ["bare", shifted.to_str().unwrap(), bare.to_str().unwrap(), core],
    );
    let given = format!("low_loss={}:/low", bare.display());
    refuse(["run", "curve-fit", core, "-p", COMPONENTS, "-p", &given], 1, &reasons);
}

#[test]
fn a_low_loss_that_is_none_fails_its_position_in_words() {
    let (folder, _) = made();
    let core = folder.path().join("core_each.hspy");
    let given = format!("low_losses={}:{DATASET}", folder.path().join("broken.hspy").display());
    let ran =
        pixelmill(["run", "curve-fit", core.to_str().unwrap(), "-p", COMPONENTS, "-p", &given]);
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    let failed = ran.json["failed"].as_array().unwrap();
    let told =
        |at: usize| (failed[at]["position"].clone(), failed[at]["message"].as_str().unwrap());
    assert_eq!(failed.len(), 3);
    for (at, (position, reason)) in
        [(3, "zero everywhere"), (5, "not finite"), (7, "negative")].into_iter().enumerate()
    {
        let (found, message) = told(at);
        assert_eq!(found, json!(position));
        assert!(message.contains("low-loss") && message.contains(reason), "{message}");
    }
}

/// The sample, and some of what was computed from it. `PIXELMILL_UPDATE_GOLDEN=1` writes it anew.
const COUNTS: &str = "data/two_peaks_3x4.h5";
const GOLDEN: &str = "data/two_peaks_3x4_convolved.json";
/// Low losses in counts: one that is convolved by sums, a long one, and one for each position.
const LOW_LOSSES: &str = r"
peak, plasmon = [1, 40, 400, 1000, 400, 40, 1], np.array([3, 9, 24, 60, 80, 60, 24, 9, 3])
file['/short'], low = np.array(peak), np.zeros(48, int)
low[:7] = peak
each = np.tile(low, (12, 1))
low[25:34] = plasmon
each[:, 25:34] = np.arange(12)[:, None] * plasmon
file['/long'], file['/each'] = low, each
";

#[test]
fn golden_results_are_the_same() {
    let scan = Scan::nothing();
    std::fs::copy(root().join(COUNTS), &scan.file).unwrap();
    scan.script(LOW_LOSSES, &[]);
    let mut found = serde_json::Map::new();
    for (name, low, more) in [
        ("short", "low_loss=/short", "low_loss_normalised=true"),
        ("long", "low_loss=/long", "weights=poisson"),
        ("each", "low_losses=/each", "low_loss_normalised=true"),
    ] {
        let model = ["-p", "components=gaussian+gaussian+offset", "-p", "low_loss_zero=3"];
        let ran = scan.run("curve-fit", &[&model[..], &["-p", low, "-p", more]].concat());
        found.insert(name.to_owned(), kept(&scan.file, &ran["group"], "4"));
    }
    // The last bits of transforms depend on the processor.
    assert_golden(GOLDEN, &found, |_| 1e-9);
}
