//! Results against references: SciPy's peaks on the bundled sample, exact sums of every element
//! type, and results of every kind that a process can have. All commands agree with what a run
//! wrote.

use serde_json::{Value, json};

use crate::support::usid::{Scan, ask_python, group};
use crate::support::{RAW_DATA, Sample, pixelmill, succeed};

#[test]
fn peaks_of_the_whole_sample_are_scipys() {
    let sample = Sample::new();
    let file = sample.file.to_str().unwrap();
    let ran = succeed(["run", "peak-finding", file]);
    let found = ask_python(&["golden.py", "peaks", file, ran["group"].as_str().unwrap()]);
    assert_eq!(found["positions"], 4096);
    assert_eq!(found["different"], json!([]), "positions of other peaks");
    assert!(found["steps"].as_u64().unwrap() <= 1, "{found}");
    assert!(found["centres"].as_u64().unwrap() < 2048, "most spectra have a peak: {found}");
}

#[test]
fn the_sum_of_complex_spectra_is_refused_and_the_file_untouched() {
    let sample = Sample::new();
    let before = sample.bytes();
    let file = sample.file.to_str().unwrap();
    for arguments in [&["run", "sum", file][..], &["test", "sum", file, "--pixel", "0"]] {
        let ran = pixelmill(arguments);
        assert_eq!(ran.code, Some(1), "{}", ran.stderr);
        assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
        for part in ["Sum", "float64", RAW_DATA, "complex64", "imaginary part"] {
            assert!(ran.stderr.contains(part), "{part} is not in: {}", ran.stderr);
        }
    }
    assert!(before == sample.bytes());
}

#[test]
fn test_status_and_verify_agree_with_a_run() {
    let scan = Scan::new(&["--type", "c64"]);
    let path = group("Peak_Finding", 0);
    let before = scan.bytes();
    let tested: Vec<Value> = (0..20)
        .map(|pixel| succeed(["test", "peak-finding", &scan.file, "--pixel", &pixel.to_string()]))
        .collect();
    assert!(before == scan.bytes(), "a test writes nothing");
    scan.run("peak-finding", &[]);
    let columns =
        ["Peak_Response", "Peak_Position"].map(|name| scan.values(&format!("{path}/{name}")));
    for (pixel, tested) in tested.iter().enumerate() {
        assert_eq!(tested["position"], pixel);
        assert_eq!(tested["at"], json!([pixel / 5, pixel % 5]));
        let at = format!("{},{}", pixel / 5, pixel % 5);
        assert_eq!(*tested, succeed(["test", "peak-finding", &scan.file, "--at", &at]));
        for (column, result) in columns.iter().zip(tested["results"].as_array().unwrap()) {
            assert_eq!(result["values"], json!([column[pixel]]));
        }
        assert_eq!(tested["results"][1]["units"], "Hz");
    }
    let status = succeed(["status", &scan.file, &path]);
    assert_eq!(
        (&status["groups"][0]["completed"], &status["groups"][0]["last_pixel"]),
        (&20.into(), &20.into())
    );
    let verify = |sample: &str| pixelmill(["verify", &scan.file, &path, "--sample", sample]);
    let verified = verify("20");
    assert_eq!(verified.code, Some(0), "{}", verified.stderr);
    assert_eq!((&verified.json["checked"], &verified.json["different"]), (&20.into(), &json!([])));
    assert_eq!(verify("7").json["checked"], 7);
    scan.spoil(&format!("{path}/Peak_Position"), 13..14);
    let verified = verify("20");
    assert_eq!(verified.code, Some(1));
    assert_eq!(verified.json["different"], json!([{"position": 13, "dataset": "Peak_Position"}]));
}

/// Makes channels that hold the extremes of each element type, in both byte orders, and tells the
/// exact sum of each row.
const TYPES: &str = r"
source = file['/Measurement_000/Channel_000/Raw_Data']
told = {}
for kind in ('u1', 'i1', 'u2', 'i2', 'u4', 'i4', 'f4', 'f8', 'u8', 'i8'):
    for order in '<>':
        if kind[0] == 'f':
            values = (np.arange(20 * 119).reshape(20, 119) * 37 % 4093 - 2000) * (0.25 if kind == 'f4' else 2.0**-30)
        else:
            least, most = (int(edge) for edge in (np.iinfo(kind).min, np.iinfo(kind).max))
            values = np.array([least, most, most - 1, least + 1, 7, most // 3], kind)[np.arange(20 * 119).reshape(20, 119) * 5 % 6]
        name = f'/Measurement_000/Channel_{order}{kind}/Raw_Data'
        made = file.create_dataset(name, data=values.astype(order + kind))
        for key, value in source.attrs.items():
            made.attrs[key] = value
        told[name] = [float(sum(int(v) for v in row)) if kind[0] != 'f' else float(row.sum()) for row in values]
";

#[test]
fn sums_of_every_element_type_are_exact_or_refused() {
    let scan = Scan::new(&[]);
    let expected = scan.script(TYPES, &[]);
    let mut refused = Vec::new();
    for (dataset, sums) in expected.as_object().unwrap() {
        let ran = scan.try_run("sum", &["--dataset", dataset]);
        if ran.code == Some(3) {
            assert!(ran.stderr.contains("is beyond 2^53: float64 can't hold it"), "{}", ran.stderr);
            let found = scan.values(&format!("{}/Sum", ran.json["group"].as_str().unwrap()));
            assert_eq!(json!(found), json!(vec![f64::NAN; 20]), "{dataset}");
            refused.push(dataset.as_str());
            continue;
        }
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        let found = scan.values(&format!("{}/Sum", ran.json["group"].as_str().unwrap()));
        assert_eq!(json!(found), *sums, "{dataset}");
    }
    let wide = ["<u8", ">u8", "<i8", ">i8"];
    assert_eq!(refused, wide.map(|kind| format!("/Measurement_000/Channel_{kind}/Raw_Data")));
}

/// Compares what `Rich` wrote with NumPy.
const RICH: &str = r"
source, group = file['/Measurement_000/Channel_000/Raw_Data'][()], file[given[0]]
rows = source.reshape(20, 7, 17)
mean, largest, reversed_rows = group['Mean'][()], group['Maximum'][()], group['Reversed'][()]
told = {
    'mean': bool(np.allclose(mean, rows.mean(axis=2, dtype=float) + np.arange(20.0)[:, None], rtol=1e-12)),
    'maximum': bool(np.array_equal(largest['Value [V]'], rows.max(axis=2))),
    'index': bool(np.array_equal(largest['Index'], rows.argmax(axis=2))),
    'reversed': bool(np.array_equal(reversed_rows, rows[:, :, ::-1].reshape(20, 119))),
    'dtype': str(largest.dtype),
    'shapes': [mean.shape, largest.shape, reversed_rows.shape],
}
";

#[test]
fn several_spectra_per_position_give_several_results_each() {
    let scan = Scan::new(&[]);
    scan.script("file['/offset'] = np.stack([np.arange(20.0), np.zeros(20)], axis=1)", &[]);
    let given = ["-p", "spectra=7", "-p", "offset=/offset", "-p", "reversed=true"];
    let ran = scan.run("rich", &given);
    let path = ran["group"].as_str().unwrap();
    let found = scan.script(RICH, &[path]);
    for part in ["mean", "maximum", "index", "reversed"] {
        assert_eq!(found[part], true, "{part}");
    }
    assert_eq!(found["dtype"], "[('Value [V]', '<f4'), ('Index', '<u2')]");
    assert_eq!(found["shapes"], json!([[20, 7], [20, 7], [20, 119]]));
    let seen = scan.usid("check", &[path, "Mean", "Maximum", "Reversed"]);
    let dataset = |name: &str| seen["datasets"][name].clone();
    assert_eq!(dataset("Mean")["spec_labels"], json!(["Spectrum"]));
    assert_eq!(dataset("Maximum")["n_dim_shape"], json!([4, 5, 7]));
    assert_eq!(dataset("Reversed")["spec_labels"], json!(["Spectrum", "Point"]));
    assert_eq!(dataset("Reversed")["n_dim_shape"], json!([4, 5, 7, 17]));
    let verified = succeed(["verify", &scan.file, path, "--sample", "20"]);
    assert_eq!(verified["different"], json!([]));
    let resumed = Scan::new(&[]);
    resumed.script("file['/offset'] = np.stack([np.arange(20.0), np.zeros(20)], axis=1)", &[]);
    resumed.run("rich", &[&given[..], &["--positions", "3:11"]].concat());
    assert_eq!(resumed.run("rich", &given)["report"]["positions"], 12);
    let again = resumed.script(RICH, &[path]);
    assert_eq!(found, again, "resumed or not");
}

#[test]
fn an_auxiliary_input_may_keep_the_axes_of_the_scan() {
    let scan = Scan::new(&[]);
    scan.script(
        "file['/cube'] = np.arange(4 * 5 * 6, dtype='f4').reshape(4, 5, 6)\nfile['/shift'] = \
         np.arange(40.0).reshape(4, 5, 2) ** 2\nrecord = np.zeros((20, 1), [('a', 'f8'), ('b', \
         'f8')])\nrecord['a'][:, 0] = file['/shift'][..., 0].ravel()\nfile['/record'] = record",
        &[],
    );
    let given = ["--dataset", "/cube", "--positions-axes", "0,1", "-p", "spectra=1", "-p"];
    for shift in ["/shift", "/record"] {
        let ran = scan.run("rich", &[&given[..], &[&format!("offset={shift}")]].concat());
        let right = "told = bool(np.allclose(file[given[0]]['Mean'][()].reshape(4, 5), \
                     file['/cube'][()].mean(axis=2) + file['/shift'][..., 0]))";
        assert_eq!(scan.script(right, &[ran["group"].as_str().unwrap()]), true, "{shift}");
    }
}

/// Makes the row a product of two axes, 7 × 17.
const TWO_AXES: &str = r"
group = file['/Measurement_000/Channel_000']
main = group['Raw_Data']
slow, fast = np.divmod(np.arange(119), 17)
for name, values, kind in (('Indices', [slow, fast], 'u4'), ('Values', [slow * 0.5 - 1, fast * 10.0], 'f4')):
    del group['Spectroscopic_' + name]
    table = group.create_dataset('Spectroscopic_' + name, data=np.array(values, kind))
    table.attrs['labels'] = np.array(['Bias', 'Frequency'], 'S')
    table.attrs['units'] = np.array(['V', 'kHz'], 'S')
    main.attrs['Spectroscopic_' + name] = table.ref
";

#[test]
fn results_for_each_spectrum_of_a_position_keep_the_axis_that_numbers_them() {
    let scan = Scan::new(&[]);
    scan.script(TWO_AXES, &[]);
    let ran = scan.run("rich", &["-p", "spectra=7"]);
    let path = ran["group"].as_str().unwrap();
    let seen = scan.usid("check", &[path, "Mean", "Maximum"]);
    assert!(seen["datasets"]["Reversed"].is_null(), "it is optional");
    assert_eq!(seen["datasets"]["Mean"]["spec_dims"], json!(["Bias (V)"]));
    let bias = scan.values(&format!("{path}/Spectroscopic_Values"));
    assert_eq!(bias, (0..7).map(|step| Some(f64::from(step) * 0.5 - 1.0)).collect::<Vec<_>>());
    let whole = scan.run("rich", &["-p", "spectra=1", "-p", "reversed=true"]);
    let seen = scan.usid("check", &[whole["group"].as_str().unwrap(), "Reversed"]);
    assert_eq!(seen["datasets"]["Mean"]["n_dim_shape"], json!([4, 5, 1]));
    assert_eq!(seen["datasets"]["Reversed"]["n_dim_shape"], json!([4, 5, 119]));
}

#[test]
fn spectra_that_do_not_fill_the_row_and_unfit_auxiliary_inputs_are_refused() {
    let scan = Scan::new(&[]);
    scan.script("file['/short'], file['/complex'] = np.zeros(19), np.zeros(20, 'c8')", &[]);
    let before = scan.bytes();
    for (given, reasons) in [
        (&["-p", "spectra=8"][..], ["119", "8"]),
        (&["-p", "spectra=1", "-p", "offset=/short"], ["/short", "20 positions"]),
        (&["-p", "spectra=1", "-p", "offset=/complex"], ["/complex", "complex64"]),
        (&["-p", "spectra=1", "-p", "offset=/nothing"], ["/nothing", "no such dataset"]),
    ] {
        let ran = scan.try_run("rich", given);
        assert_eq!(ran.code, Some(1), "{given:?}: {}", ran.stderr);
        assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
        for reason in reasons {
            assert!(ran.stderr.contains(reason), "{reason} is not in: {}", ran.stderr);
        }
    }
    assert!(before == scan.bytes());
}
