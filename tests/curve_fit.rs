//! Fits of simulated spectra: against SciPy and HyperSpy, against what was simulated, and against
//! golden results. `tests/python/curve_fit.py` has the models once more.

use serde_json::{Value, json};

use crate::support::usid::{Scan, ask_python};
use crate::support::{filters_program, refuse, root, succeed};

/// A case of `curve_fit.py`, simulated and fitted.
struct Fitted {
    scan: Scan,
    group: String,
    case: &'static str,
}

impl Fitted {
    fn new(case: &'static str) -> Self {
        let scan = Scan::nothing();
        let parameters = scan.beside("parameters.json");
        ask_python(&["curve_fit.py", "make", &scan.file, case, &parameters]);
        let ran = scan.run("curve-fit", &["--params", &parameters]);
        let group = ran["group"].as_str().unwrap().to_owned();
        Self { scan, group, case }
    }

    fn ask(&self, command: &str) -> Value {
        ask_python(&["curve_fit.py", command, &self.scan.file, self.case, &self.group])
    }
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

#[test]
fn optimum_and_errors_are_those_of_scipy() {
    for case in [
        "gaussian",
        "two_gaussians",
        "tied",
        "fixed",
        "lorentzian",
        "pseudo_voigt",
        "exponential",
        "power_law",
        "erf",
        "formula",
    ] {
        let found = Fitted::new(case).ask("scipy");
        assert_eq!(found["not_converged"], 0, "{case}");
        assert!(number(&found["values"]) < 1e-4, "{case}, in standard errors: {found}");
        assert!(number(&found["errors"]) < 1e-5, "{case}, relative: {found}");
        assert!(number(&found["chi_square"]) < 1e-10, "{case}, relative: {found}");
    }
}

#[test]
fn poisson_weights_give_the_maximum_of_the_likelihood_without_bias() {
    let fitted = Fitted::new("poisson");
    let found = fitted.ask("scipy");
    assert_eq!(found["not_converged"], 0);
    assert!(number(&found["values"]) < 1e-3, "in standard errors: {found}");
    assert!(number(&found["errors"]) < 1e-3, "relative: {found}");
    assert_unbiased(&fitted.ask("truth"));
}

#[test]
fn results_have_the_true_mean_and_the_least_spread() {
    assert_unbiased(&Fitted::new("gaussian").ask("truth"));
}

/// Of 400 simulated spectra: means within 3.5 of their standard errors, and spreads within 10 % of
/// the Cramér–Rao bound and of the errors that the fits tell (a spread of 400 has 3.5 % itself).
fn assert_unbiased(found: &Value) {
    assert!(number(&found["bias"]) < 3.5, "{found}");
    for spread in ["spread", "own_spread"] {
        let spreads = found[spread].as_array().unwrap();
        assert_eq!(spreads.len(), 4);
        assert!(spreads.iter().all(|spread| (number(spread) - 1.0).abs() < 0.1), "{found}");
    }
}

#[test]
fn bounded_optimum_is_that_of_scipy() {
    let found = Fitted::new("bounded").ask("bounded");
    assert!(number(&found["worse"]) < 1e-9, "{found}");
    assert_eq!((&found["agree"], &found["not_converged"]), (&json!(true), &json!(0)), "{found}");
    assert!(found["at_bounds"].as_u64().unwrap() > 60, "the bounds are in the way: {found}");
}

#[test]
fn definitions_optimum_and_errors_are_those_of_hyperspy() {
    let cases = [
        "gaussian",
        "two_gaussians",
        "plain_lorentzian",
        "pseudo_voigt",
        "exponential",
        "power_law",
        "erf",
        "formula",
    ];
    let fitted = cases.map(Fitted::new);
    let fits = cases
        .iter()
        .zip(&fitted)
        .flat_map(|(case, fitted)| [&fitted.scan.file, *case, &fitted.group]);
    let told = filters_program("curve_fit.py", ["hyperspy"].into_iter().chain(fits));
    for case in cases {
        let found = &told[case];
        assert!(number(&found["values"]) < 1e-4, "{case}, in standard errors: {found}");
        assert!(number(&found["errors"]) < 1e-4, "{case}, relative: {found}");
    }
}

#[test]
fn fits_over_binned_axes_are_those_of_hyperspy() {
    let folder = tempfile::tempdir().unwrap();
    let told = filters_program("curve_fit.py", ["binned".as_ref(), folder.path()]);
    for kind in ["even", "falling", "listed", "formula", "old"] {
        let file = told[kind]["file"].as_str().unwrap();
        let info = succeed(["info", file]);
        let axes = &info["datasets"][0]["spectroscopic_dimensions"];
        assert_eq!(axes[0]["binned"], true, "{kind}");
        let ran = succeed(["run", "curve-fit", file, "-p", "components=gaussian+offset"]);
        let (results, group) = (ran["file"].as_str().unwrap(), ran["group"].as_str().unwrap());
        for (parameter, component, units) in [
            ("A", "Gaussian", "A"),
            ("centre", "Gaussian", "centre [eV]"),
            ("sigma", "Gaussian", "sigma [eV]"),
            ("offset", "Offset", "offset [/eV]"),
        ] {
            let record = |ending: &str| {
                let dataset = format!("{group}/{component}{ending}");
                ask_python(&["curve_fit.py", "record", results, &dataset, parameter])
            };
            let (found, errors) = (record(""), record("_Standard_Errors"));
            assert_eq!(found["attributes"]["binned_axes"], "E", "{kind}");
            assert_eq!(found["field"], units, "{kind}");
            for at in 0..3 {
                let expected = &told[kind]["found"][parameter];
                let error = number(&expected[1][at]);
                let difference = number(&found["values"][at]) - number(&expected[0][at]);
                assert!(difference.abs() < 1e-3 * error, "{kind} {parameter}: {found} {expected}");
                let ratio = number(&errors["values"][at]) / error;
                assert!((ratio - 1.0).abs() < 1e-3, "{kind} {parameter}: {errors} {expected}");
            }
        }
    }
}

#[test]
fn spots_in_frames_are_those_of_scipy_and_of_the_truth() {
    for kind in ["gaussian2d", "lorentzian2d", "disk"] {
        let scan = Scan::nothing();
        ask_python(&["curve_fit.py", "frames", &scan.file, kind]);
        let ran = scan.run("curve-fit", &["-p", &format!("components={kind}+offset")]);
        let group = ran["group"].as_str().unwrap();
        let found = ask_python(&["curve_fit.py", "spots", &scan.file, kind, group]);
        assert_eq!(found["not_converged"], 0, "{kind}");
        assert!(number(&found["values"]) < 1e-3, "{kind}, in standard errors: {found}");
        assert!(number(&found["errors"]) < 1e-3, "{kind}, relative: {found}");
        assert!(number(&found["worse"]) < 1e-9, "{kind}: {found}");
        // Of 40 frames.
        assert!(number(&found["bias"]) < 3.5, "{kind}: {found}");
        let spreads = found["spread"].as_array().unwrap();
        assert!(
            spreads.iter().all(|spread| (0.6..1.5).contains(&number(spread))),
            "{kind}: {found}"
        );
        if kind == "gaussian2d" {
            let given = r#"components=[{"type": "gaussian2d", "rotation_angle": {"fixed": 0}}]"#;
            let alone = scan.run("curve-fit", &["-p", given]);
            let group = alone["group"].as_str().unwrap();
            let told = filters_program("curve_fit.py", ["gaussian2d", &scan.file, group]);
            assert!(number(&told["values"]) < 1e-3, "in standard errors: {told}");
        }
    }
}

/// The sample, and what was computed from it. `PIXELMILL_UPDATE_GOLDEN=1` writes the results anew.
const COUNTS: &str = "data/two_peaks_3x4.h5";
const GOLDEN: &str = "data/two_peaks_3x4_curve_fit.json";
/// The first peak as a formula, beside a component.
const FORMULA: &str =
    r#"components=["gaussian", {"formula": "h/(1+((x-m)/w)^2)^p + c", "m": 120, "w": 3}]"#;

#[test]
fn golden_results_are_the_same_to_the_bit() {
    let scan = Scan::nothing();
    std::fs::copy(root().join(COUNTS), &scan.file).unwrap();
    let mut found = serde_json::Map::new();
    for (name, given) in [
        ("plain", &["-p", "components=gaussian+gaussian+polynomial1"][..]),
        ("poisson", &["-p", "components=gaussian+gaussian+polynomial1", "-p", "weights=poisson"]),
        ("starts", &["-p", "components=pseudo-voigt+pseudo-voigt+offset", "-p", "starts=5"]),
        ("backgrounds", &["-p", "components=lorentzian+exponential+power-law"]),
        ("formula", &["-p", FORMULA]),
    ] {
        let ran = scan.run("curve-fit", given);
        let group = ran["group"].as_str().unwrap();
        found.insert(name.to_owned(), ask_python(&["curve_fit.py", "results", &scan.file, group]));
    }
    let golden = root().join(GOLDEN);
    if std::env::var_os("PIXELMILL_UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, serde_json::to_string_pretty(&found).unwrap()).unwrap();
    }
    let expected: Value = serde_json::from_str(&std::fs::read_to_string(golden).unwrap()).unwrap();
    for (name, results) in &found {
        assert_eq!(*results, expected[name], "{name}");
    }
}

#[test]
fn components_are_written_short_or_in_full() {
    let scan = Scan::nothing();
    std::fs::copy(root().join(COUNTS), &scan.file).unwrap();
    let first = scan.run("curve-fit", &["-p", "components=gaussian + gaussian+polynomial1"]);
    let full = r#"[{"type": "gaussian", "name": "gaussian_1"}, "gaussian", "polynomial1"]"#;
    let toml = scan.beside("model.toml");
    let text = "
        [[components]]
        type = 'gaussian'
        [[components]]
        type = 'gaussian'
        [[components]]
        type = 'polynomial'
        order = 1
    ";
    std::fs::write(&toml, text).unwrap();
    let same = scan.run("curve-fit", &["--params", &toml]);
    assert_eq!((&same["outcome"], &same["group"]), (&json!("existing"), &first["group"]));
    let other = scan.run("curve-fit", &["-p", &format!("components={full}")]);
    assert_eq!(other["outcome"], "finished", "the second gaussian has another name: {other}");
    let named = "[{\"type\": \"gaussian\", \"name\": \"K_alpha\", \"centre\": 120, \"sigma\": \
                 {\"fixed\": 2.5}}]";
    let tested = succeed([
        "test",
        "curve-fit",
        &scan.file,
        "--pixel",
        "3",
        "-p",
        &format!("components={named}"),
    ]);
    let results = tested["results"].as_array().unwrap();
    let names: Vec<_> = results.iter().map(|result| result["name"].as_str().unwrap()).collect();
    assert!(names[0].contains("K_Alpha") && names[0].contains("A"), "{names:?}");
    assert_eq!(results[2]["values"], json!([2.5]));
    assert_eq!(results[5]["values"], json!([0.0]), "the error of what is fixed");
}

#[test]
fn parameters_of_a_formula_are_told_as_they_are_written() {
    let scan = Scan::nothing();
    std::fs::copy(root().join(COUNTS), &scan.file).unwrap();
    let given = "components=exp(-(x-100)/tau)*A + c";
    let tested = succeed(["test", "curve-fit", &scan.file, "--pixel", "3", "-p", given]);
    let results = tested["results"].as_array().unwrap();
    let names: Vec<_> = results.iter().map(|result| result["name"].as_str().unwrap()).collect();
    assert!(
        ["tau", "A", "c"].iter().zip(&names).all(|(name, told)| told.ends_with(name)),
        "{names:?}"
    );
    assert!(names[0].contains("Formula"), "{names:?}");
    let first = scan.run("curve-fit", &["-p", given]);
    let same = scan.run("curve-fit", &["-p", "components=[\"exp( -(x - 100)/tau )*A+c\"]"]);
    assert_eq!((&same["outcome"], &same["group"]), (&json!("existing"), &first["group"]));
}

#[test]
fn wrong_models_are_refused_with_one_line_and_nothing_is_written() {
    let scan = Scan::nothing();
    std::fs::copy(root().join(COUNTS), &scan.file).unwrap();
    let before = scan.bytes();
    for (code, given, reasons) in [
        (2, "components=gausian", ["gausian", "lorentzian"]),
        (2, r#"components=[{"type": "gaussian", "center": 3}]"#, ["center", "A, centre, sigma"]),
        (
            2,
            r#"components=[{"type": "gaussian", "A": {"tied": "b.A"}}]"#,
            ["`b.A`", "doesn't exist"],
        ),
        (2, "components=A*ecp(-x/tau)", ["`exp`?", "at character 3"]),
        (2, "components=A*exp(-x/tau", ["`)` is missing", "at its end"]),
        (2, "components=A*exp(-E/tau)", ["doesn't depend on `x`", "A*exp(-E/tau)"]),
        (2, "components=A*x/(x-x)", ["divides by zero everywhere", "A*x/(x-x)"]),
        (1, "components=A*sqrt(b-x)", ["no finite value at x = 100", "with b = 1"]),
        (1, "range_min=1e6", ["range_min", "channels"]),
        (2, "weights=given", ["channel_weights", "weights=given"]),
    ] {
        refuse(["run", "curve-fit", &scan.file, "-p", given], code, &reasons);
    }
    assert!(before == scan.bytes());
}

#[test]
fn a_spectrum_that_is_not_finite_fails_and_leaves_its_neighbours_alone() {
    let scan = Scan::nothing();
    let parameters = scan.beside("parameters.json");
    ask_python(&["curve_fit.py", "make", &scan.file, "two_gaussians", &parameters]);
    let given = ["--params", &parameters, "--cores", "2"];
    let results = |ran: &Value| {
        let group = ran["group"].as_str().unwrap();
        ask_python(&["curve_fit.py", "results", &scan.file, group])
    };
    let clean = results(&scan.run("curve-fit", &given));
    scan.script("file['Measurement_000/Channel_000/Raw_Data'][17, 200] = np.nan", &[]);
    let ran = scan.try_run("curve-fit", &given);
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    let failed = ran.json["failed"].as_array().unwrap();
    assert_eq!((failed.len(), &failed[0]["position"]), (1, &json!(17)));
    assert!(failed[0]["message"].as_str().unwrap().contains("not finite"));
    let found = results(&ran.json);
    for (name, values) in found.as_object().unwrap() {
        let missing = if name == "Converged" { json!(0) } else { Value::Null };
        assert_eq!(values[17], missing, "{name}");
        for at in (0..60).filter(|at| *at != 17) {
            assert_eq!(values[at], clean[name][at], "{name} {at}");
        }
    }
}

/// Makes rows of 3 × 128 values of the sample's first 9 spectra, 3 in each of 3 rows.
const THREE_IN_A_ROW: &str = "
group = file['/Measurement_000/Channel_000']
spectra = group['Raw_Data'][:9]
axis = group['Spectroscopic_Values'][0]
attributes = dict(group['Raw_Data'].attrs)
del group['Raw_Data']
main = group.create_dataset('Raw_Data', data=spectra.reshape(3, 384))
for key, value in attributes.items():
    main.attrs[key] = value
slow, fast = np.divmod(np.arange(384), 128)
for name, values in (('Indices', np.array([slow, fast], 'u4')), ('Values', np.array([slow * 0.5, \
                              axis[fast]]))):
    del group['Spectroscopic_' + name]
    table = group.create_dataset('Spectroscopic_' + name, data=values)
    table.attrs['labels'], table.attrs['units'] = np.array(['Bias', 'Energy'], 'S'), \
                              np.array(['V', 'eV'], 'S')
    main.attrs['Spectroscopic_' + name] = table.ref
    rows = group['Position_' + name][:3]
    labels = dict(group['Position_' + name].attrs)
    del group['Position_' + name]
    table = group.create_dataset('Position_' + name, data=rows)
    for key, value in labels.items():
        table.attrs[key] = value
    main.attrs['Position_' + name] = table.ref
";

#[test]
fn each_of_several_spectra_in_a_row_is_fitted() {
    let (single, several) = (Scan::nothing(), Scan::nothing());
    for scan in [&single, &several] {
        std::fs::copy(root().join(COUNTS), &scan.file).unwrap();
    }
    several.script(THREE_IN_A_ROW, &[]);
    let fitted = |scan: &Scan| {
        let ran = scan.run("curve-fit", &["-p", "components=gaussian+gaussian+polynomial1"]);
        let group = ran["group"].as_str().unwrap();
        scan.script("told = file[given[0] + '/Gaussian_2'][()].ravel()[:9].tolist()", &[group])
    };
    assert_eq!(fitted(&single), fitted(&several));
}

#[test]
fn complex_spectra_are_refused_in_words() {
    let scan = Scan::new(&["--type", "c64"]);
    let reasons = ["Curve_Fit", "complex64", "imaginary part"];
    refuse(["test", "curve-fit", &scan.file, "--pixel", "0"], 1, &reasons);
}
