//! `signal-filter` against pycroscopy's formulas in NumPy, against what is known of simulated
//! noise, and in the memory that it is given.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    Ran, assert_refused, pixelmill, program, python_function, python_program, root, run, succeed,
};

const PROCESS: &str = "signal-filter";
const PROGRAM: &str = "signal_filter.py";

/// A scan made by `tests/python/signal_filter.py` in a folder of its own.
struct Traces {
    _folder: TempDir,
    file: PathBuf,
}

impl Traces {
    fn new(options: &Value) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("traces.h5");
        let text = options.to_string();
        python_program(PROGRAM, ["make".as_ref(), file.as_os_str(), text.as_ref()]);
        Self { _folder: folder, file }
    }

    /// A run; returns the path of its group.
    fn filter(&self, options: &[&str]) -> String {
        let ran = succeed(run(PROCESS, &self.file, &parameters(options)));
        ran["group"].as_str().expect("a run has a group").to_owned()
    }

    fn try_filter(&self, options: &[&str]) -> Ran {
        pixelmill(run(PROCESS, &self.file, &parameters(options)))
    }

    /// How far the results are from pycroscopy's.
    fn compare(&self, group: &str, filters: &Value, more: &[&str]) -> Value {
        let text = filters.to_string();
        let mut arguments = vec!["compare", path(&self.file), group, &text];
        arguments.extend(more);
        python_program(PROGRAM, arguments)
    }
}

/// Each option with its `-p`; those that begin with a hyphen as they are.
fn parameters<'a>(options: &[&'a str]) -> Vec<&'a str> {
    let with_flag = |option: &&'a str| {
        if option.starts_with("--") { vec![*option] } else { vec!["-p", *option] }
    };
    options.iter().flat_map(with_flag).collect()
}

fn path(path: &Path) -> &str {
    path.to_str().expect("temporary folders have plain names")
}

fn number(value: &Value, name: &str) -> f64 {
    value[name].as_f64().unwrap_or_else(|| panic!("no {name} in {value}"))
}

/// Large amplitudes, so that pycroscopy's estimate of the floor goes on until it stays.
fn large() -> Value {
    json!({"tones": [[2000.0, 3.0], [7000.0, 1.0], [21000.0, 2.0]], "scale": 1e6})
}

const FILTERS: [&str; 5] = [
    "low_pass=12000",
    "noise_band_frequencies=[0,5000]",
    "noise_band_widths=[300,700]",
    "noise_threshold=1e-3",
    "write_condensed=true",
];

fn filters() -> Value {
    json!({
        "rate": 1e5, "low_pass": [12000.0], "noise_band": [[0.0, 5000.0], [300.0, 700.0]],
        "noise_threshold": 1e-3,
    })
}

#[test]
fn results_are_pycroscopys() {
    for (more, single) in
        [(json!({}), false), (json!({"kind": "f4", "unit": "ms", "per_second": 1e3}), true)]
    {
        let mut options = large();
        options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let traces = Traces::new(&options);
        let found = traces.compare(&traces.filter(&FILTERS), &filters(), &[]);
        let near = if single { 2e-7 } else { 1e-13 };
        assert!(number(&found, "filtered") < near, "{found}");
        assert!(number(&found, "condensed") < near, "{found}");
        assert!(number(&found, "floors") < 1e-9, "{found}");
        assert!(number(&found, "composite") < 1e-6, "{found}");
        let kinds = if single { ["float32", "complex64"] } else { ["float64", "complex128"] };
        assert_eq!([&found["kind"], &found["condensed_kind"]], kinds);
        let frequencies: Vec<f64> = serde_json::from_value(found["frequencies"].clone()).unwrap();
        assert!((frequencies[0] / -5e4 - 1.0).abs() < 1e-6 && frequencies[1] == 0.0, "{found}");
    }
}

#[test]
fn harmonics_are_pycroscopys_also_of_an_odd_number_of_points() {
    let given = ["harmonic_frequency=2000", "harmonic_width=450", "harmonics=4", "low_pass=30000"];
    let filters = json!({"rate": 1e5, "harmonics": [2000.0, 450.0, 4], "low_pass": [30000.0]});
    // 1001 points: pycroscopy's centre is at 0 Hz; 1003: it is beside.
    for (points, centre_is_right) in [(1000, true), (1001, true), (1003, false)] {
        let mut options = large();
        options["points"] = points.into();
        let traces = Traces::new(&options);
        let group = traces.filter(&given);
        let as_it_is = traces.compare(&group, &filters, &[]);
        let mended = traces.compare(&group, &filters, &["mended"]);
        assert!(number(&mended, "filtered") < 1e-13, "{points}: {mended}");
        assert_eq!(number(&as_it_is, "composite") < 1e-6, centre_is_right, "{points}: {as_it_is}");
        assert_eq!(number(&as_it_is, "filtered") < 1e-13, centre_is_right, "{points}: {as_it_is}");
    }
}

#[test]
fn the_floor_does_not_depend_on_the_units_of_the_data() {
    let filters = json!({"rate": 1e5, "noise_threshold": 1e-2});
    for (scale, as_pycroscopy) in [(1e6, true), (1e-6, false)] {
        let tones = json!([[2000.0, 30.0], [7000.0, 10.0]]);
        let traces = Traces::new(&json!({"tones": tones, "scale": scale}));
        let group = traces.filter(&["noise_threshold=1e-2"]);
        let told = traces.compare(&group, &filters, &[]);
        // With small numbers pycroscopy never estimates a second time, and its floor is many times
        // as high.
        assert_eq!(number(&told, "floors") < 1e-9, as_pycroscopy, "{told}");
        assert_eq!(number(&told, "filtered") < 1e-13, as_pycroscopy, "{told}");
        let raw = ["noise", path(&traces.file), &group, "none"];
        let noise = python_program(PROGRAM, raw);
        let squared_floor = number(&noise, "squared_floor") / (scale * scale);
        assert!((squared_floor - 4.2).abs() < 0.5, "{noise}");
    }
}

/// The fixed point of the estimate for white noise, whose |F|² over its mean is exponentially
/// distributed: T = L·(1 − e^(−T)·(1 + T)) with L = −ln τ.
fn floor_of_noise(threshold: f64) -> f64 {
    let log = -threshold.ln();
    (0..200).fold(log, |floor: f64, _| log * (1.0 - (-floor).exp() * (1.0 + floor)))
}

#[test]
fn the_threshold_lets_the_share_of_white_noise_pass_that_it_says() {
    let traces = Traces::new(&json!({"rows": 200, "points": 4096, "kind": "f4"}));
    for threshold in [1e-2, 1e-3] {
        let group = traces.filter(&[&format!("noise_threshold={threshold}")]);
        let noise = python_program(PROGRAM, ["noise", path(&traces.file), &group, "none"]);
        let (expected, bins) = (floor_of_noise(threshold), number(&noise, "bins"));
        // Each row's mean of |F|² over 2047 bins has a spread of 1/√2047; 200 rows are averaged.
        // Where the floor cuts into the noise, the estimate follows that by more than 1.
        let spread = expected / 2047f64.sqrt();
        let deviation = number(&noise, "squared_floor") - expected;
        assert!(deviation.abs() < 5.0 * 1.5 * spread / 200f64.sqrt(), "{noise}, {expected}");
        assert!((0.8..1.5).contains(&(number(&noise, "spread") / spread)), "{noise}, {spread}");
        let share = (-expected).exp();
        let passing = number(&noise, "passing") * bins;
        assert!((passing - share * bins).abs() < 5.0 * (share * bins).sqrt(), "{noise}, {share}");
    }
}

#[test]
fn a_tone_comes_through_and_noise_only_as_far_as_the_filter_is_wide() {
    let (rows, points) = (400.0f64, 1000.0);
    let traces = Traces::new(
        &json!({"rows": rows as u32, "points": 1000, "tones": [[2000.0, 2.0], [30000.0, 5.0]]}),
    );
    // Bins are 100 Hz wide: 19, 20 and 21 pass, at both signs of the frequency.
    for (options, bins) in [
        (vec!["band_pass_frequencies=[2000]", "band_pass_widths=[200]"], 6.0),
        (vec!["harmonic_frequency=2000", "harmonic_width=200"], 6.0),
        (vec!["low_pass=2500", "high_pass=1500", "roll_off=0"], 22.0),
        (vec!["noise_band_frequencies=[30000]", "noise_band_widths=[200]"], 994.0),
    ] {
        let group = traces.filter(&options);
        let found = python_function("filtered.py", "residual", [path(&traces.file), &group]);
        let expected = bins / points;
        let bias_of_noise = (expected / rows).sqrt();
        assert!(number(&found, "bias") < 1.5 * bias_of_noise, "{options:?}: {found}");
        let ratio = number(&found, "variance") / expected;
        let spread = (2.0 / (bins * rows)).sqrt();
        assert!((ratio - 1.0).abs() < 5.0 * spread, "{options:?}: {found}, {expected}");
    }
}

#[test]
fn strange_rows_fail_or_are_filtered_and_none_is_silently_wrong() {
    for options in [vec!["low_pass=12000"], vec!["noise_threshold=1e-3"]] {
        let traces = Traces::new(&json!({}));
        python_function("filtered.py", "make_strange", [path(&traces.file)]);
        let ran = traces.try_filter(&options);
        assert_eq!(ran.code, Some(3), "{}", ran.stderr);
        let failed = ran.json["failed"].as_array().unwrap();
        let reasons: Vec<_> =
            failed.iter().map(|one| (one["position"].as_u64(), one["message"].as_str())).collect();
        let reason =
            Some("the spectrum has values that are not finite, or too large to be transformed");
        assert_eq!(reasons, [0, 1, 2].map(|position| (Some(position), reason)));
        let group = ran.json["group"].as_str().unwrap();
        let told = python_function("filtered.py", "strange", [path(&traces.file), group]);
        assert_eq!((&told["missing"], &told["finite"]), (&json!([0, 1, 2]), &json!(9)));
        assert!(number(&told, "constant") < 1e-14 && number(&told, "zero") == 0.0, "{told}");
    }
}

#[test]
fn integers_and_noise_alone_need_no_more_than_they_say() {
    let traces = Traces::new(&json!({
        "kind": "i2", "scale": 1000.0, "unit": "V", "tones": [[2000.0, 3.0], [7000.0, 1.0]],
    }));
    let found = traces.compare(
        &traces.filter(&["noise_threshold=1e-3", "write_condensed=true"]),
        &json!({"rate": 1e5, "noise_threshold": 1e-3}),
        &[],
    );
    assert_eq!((&found["kind"], &found["composite"]), (&json!("float32"), &Value::Null));
    assert!(number(&found, "filtered") < 2e-7 && number(&found, "floors") < 1e-6, "{found}");
    // An axis that isn't time has no sample rate.
    let ran = traces.try_filter(&["low_pass=100"]);
    assert_refused(&ran, 1, &["sample rate", "`Time` is in `V`", "`sample_rate`"]);
    traces.filter(&["low_pass=100", "sample_rate=1e5"]);
}

#[test]
fn too_few_values_for_a_floor_are_refused() {
    let traces = Traces::new(&json!({"points": 18}));
    let ran = traces.try_filter(&["noise_threshold=1e-4"]);
    assert_refused(&ran, 1, &["at least 19 values, not 18"]);
    traces.filter(&["noise_threshold=2e-4"]);
}

#[test]
fn parameters_that_make_no_filter_are_refused() {
    let traces = Traces::new(&json!({}));
    for (options, code, texts) in [
        (&[][..], 2, &["nothing to filter by", "`low_pass=20000`"][..]),
        (&["low_pass=50000"], 1, &["`low_pass` asks for 50000 Hz", "half the sample rate"]),
        (&["low_pass=1000", "high_pass=2000"], 1, &["no frequency pass"]),
        (&["noise_threshold=0.2"], 2, &["`noise_threshold` is 0.2", "0.03"]),
        (&["harmonic_frequency=100"], 2, &["`harmonic_width`"]),
        (
            &["harmonic_frequency=20000", "harmonic_width=9", "harmonics=3"],
            1,
            &["`harmonics`", "60000"],
        ),
        (
            &["noise_band_frequencies=[50,100]", "noise_band_widths=[1]"],
            2,
            &["`noise_band_widths`"],
        ),
        (&["band_pass_frequencies=[-5]", "band_pass_widths=[1]"], 2, &["negative"]),
        (&["band_pass_frequencies=[]", "band_pass_widths=[]", "low_pass=9"], 2, &["is empty"]),
        (&["low_pass=100", "write_filtered=false"], 2, &["no results are left"]),
    ] {
        let ran = traces.try_filter(options);
        assert_refused(&ran, code, texts);
    }
}

/// The least memory that a run says it takes when it has too little, in bytes.
fn least_memory(arguments: &[&str]) -> u64 {
    let ran = pixelmill([arguments, &["--memory", "1M"]].concat());
    let words: Vec<&str> = ran.stderr.split_whitespace().collect();
    let at =
        words.iter().rposition(|word| *word == "MiB").unwrap_or_else(|| panic!("{}", ran.stderr));
    let mebibytes: f64 = words[at - 1].parse().unwrap();
    (mebibytes * f64::from(1 << 20)).ceil() as u64
}

/// Bytes that the program takes for itself: code, threads, HDF5.
const OWN: u64 = 24 << 20;

fn peak(arguments: &[&str]) -> u64 {
    let program = program();
    let all = [&[path(&program)], arguments].concat();
    python_function("measured.py", "peak", all)[1].as_u64().expect("a number") << 10
}

#[test]
fn the_memory_that_it_says_it_takes_is_enough() {
    for points in [1 << 19, 524_287] {
        let traces = Traces::new(&json!({"rows": 4, "points": points, "kind": "f4"}));
        let run = ["run", PROCESS, path(&traces.file), "-p", "noise_threshold=1e-3"];
        let run = [&run[..], &["-p", "write_condensed=true", "--cores", "1"]].concat();
        let least = least_memory(&run);
        let used =
            peak(&[&run[..], &["--memory", &format!("{}K", least.div_ceil(1024) + 1024)]].concat());
        assert!(used < least + OWN, "{points}: {used} of {least} bytes");
        assert!(used * 2 > least, "{points}: only {used} of {least} bytes");
    }
}

#[test]
fn results_larger_than_the_memory_are_the_same_as_in_plenty() {
    const MEMORY: u64 = 16 << 20;
    let traces =
        Traces::new(&json!({"rows": 6000, "points": 4096, "kind": "f4", "tones": [[2000.0, 1.0]]}));
    let (tight, roomy) = (traces.file.with_extension("tight"), traces.file.with_extension("roomy"));
    let run =
        ["run", PROCESS, path(&traces.file), "-p", "noise_threshold=1e-3", "-p", "low_pass=20000"];
    let run = [&run[..], &["-p", "write_condensed=true", "--output"]].concat();
    let used = peak(&[&run[..], &[path(&tight), "--cores", "2", "--memory", "16M"]].concat());
    assert!(used < MEMORY + OWN, "{used} bytes");
    let ran = succeed([&run[..], &[path(&roomy), "--cores", "1", "--memory", "1G"]].concat());
    let group = ran["group"].as_str().unwrap();
    let [one, other] =
        [&tight, &roomy].map(|file| python_function("filtered.py", "digests", [path(file), group]));
    assert_eq!(one.as_object().unwrap().len(), 4);
    assert_eq!(one, other);
}

/// Kept beside its input, and made anew only by whoever sets `PIXELMILL_UPDATE_GOLDEN`.
#[test]
fn the_sample_gives_the_results_that_are_kept() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("scan.h5");
    std::fs::copy(root().join("data/gmode_line_16.h5"), &file).unwrap();
    let options = parameters(&FILTERS);
    let ran = succeed(run(PROCESS, &file, &options));
    let kept = root().join("data/gmode_line_16_filtered.h5");
    let group = ran["group"].as_str().unwrap();
    let mut arguments = vec!["golden", path(&file), group, path(&kept)];
    if std::env::var_os("PIXELMILL_UPDATE_GOLDEN").is_some() {
        arguments.push("update");
    }
    let told = python_program(PROGRAM, arguments);
    assert_eq!(told["same_kinds"], true, "{told}");
    let far = told["far"].as_object().unwrap();
    assert_eq!(far.len(), 4, "{told}");
    assert!(far.values().all(|far| far.as_f64().unwrap() < 2e-7), "{told}");
}
