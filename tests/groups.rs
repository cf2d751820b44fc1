//! Which results group a run takes: legacy ones, several partial ones, one that the user names, and
//! how a new one is called. The groups are pyUSID's.

use serde_json::json;

use crate::support::RAW_DATA;
use crate::support::usid::{Scan, group};

/// `Sum` groups written by pyUSID, each marked as far as said: `(positions in the status dataset,
/// last_pixel)`.
fn scan_with(marks: &[(&str, &str)]) -> Scan {
    let scan = Scan::new(&[]);
    for (number, (status, last_pixel)) in marks.iter().enumerate() {
        let made = scan.usid("run", &["Sum", "--override"]);
        assert_eq!(made["group"], group("Sum", number as u32));
        mark(&scan, number as u32, status, last_pixel);
    }
    scan
}

fn mark(scan: &Scan, number: u32, status: &str, last_pixel: &str) {
    let path = group("Sum", number);
    scan.usid("mark", &[&path, "--status", status, "--last-pixel", last_pixel]);
}

/// Digest of all that is in a group.
fn digest(scan: &Scan, number: u32) -> serde_json::Value {
    scan.script(
        "import hashlib\nfound = file[given[0]]\ncontent = [(n, d[()].tobytes().hex(), sorted((k, \
         str(v)) for k, v in d.attrs.items())) for n, d in found.items()]\ntold = [content, \
         sorted((k, str(v)) for k, v in found.attrs.items())]\ntold = \
         hashlib.sha256(json.dumps(told).encode()).hexdigest()",
        &[&group("Sum", number)],
    )
}

#[test]
fn a_group_with_only_last_pixel_gets_a_status_dataset() {
    let scan = scan_with(&[("none", "7")]);
    let path = group("Sum", 0);
    let dataset = format!("{path}/Sum");
    let expected = scan.values(&dataset);
    scan.spoil(&dataset, 0..20);
    let ran = scan.run("sum", &[]);
    assert_eq!((&ran["group"], &ran["report"]["positions"]), (&path.clone().into(), &13.into()));
    let values = scan.values(&dataset);
    for row in 0..20 {
        let wanted = if row < 7 { Some(1000.0 + row as f64) } else { expected[row] };
        let (found, wanted) = (values[row].unwrap(), wanted.unwrap());
        assert!((found - wanted).abs() <= 1e-12 * wanted.abs(), "{row}: {found} {wanted}");
    }
    let seen = scan.usid("check", &[&path, "Sum"]);
    assert_eq!((&seen["completed"], &seen["last_pixel"]), (&20.into(), &20.into()));
    assert_eq!(seen["status_dtype"], "uint8");
    assert_eq!(scan.usid("run", &["Sum", "--look"])["duplicates"], json!([path]));
}

#[test]
fn a_status_dataset_made_for_a_legacy_group_marks_exactly_its_prefix() {
    let scan = scan_with(&[("none", "7")]);
    let ran = scan.run("sum", &["--positions", "10:12"]);
    assert_eq!(ran["completed"], 9);
    let status = scan.values(&format!("{}/completed_positions", group("Sum", 0)));
    let expected = |at| f64::from(at < 7 || (10..12).contains(&at));
    assert_eq!(status, (0..20).map(|at| Some(expected(at))).collect::<Vec<_>>());
}

#[test]
fn a_legacy_group_that_is_complete_is_returned_untouched() {
    let scan = scan_with(&[("none", "20")]);
    let before = scan.bytes();
    let ran = scan.run("sum", &[]);
    assert_eq!((&ran["outcome"], &ran["group"]), (&"existing".into(), &group("Sum", 0).into()));
    assert!(before == scan.bytes());
}

#[test]
fn a_group_with_neither_marker_is_left_alone_and_said_so() {
    let scan = scan_with(&[("none", "none")]);
    let before = digest(&scan, 0);
    let ran = scan.try_run("sum", &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(ran.json["group"], group("Sum", 1));
    let said = format!("{} is left alone: nothing tells", group("Sum", 0));
    assert!(ran.stderr.contains(&said), "{}", ran.stderr);
    assert_eq!(before, digest(&scan, 0));
}

#[test]
fn the_status_dataset_wins_over_last_pixel() {
    // pyUSID sets last_pixel to the number of positions as soon as it looks at a partial group.
    let scan = scan_with(&[("5", "5")]);
    scan.usid("run", &["Sum", "--look"]);
    assert_eq!(scan.usid("check", &[&group("Sum", 0)])["last_pixel"], 20);
    let ran = scan.run("sum", &[]);
    assert_eq!((&ran["group"], &ran["report"]["positions"]), (&group("Sum", 0).into(), &15.into()));
}

#[test]
fn a_complete_group_beats_a_newer_partial_one() {
    let scan = scan_with(&[("5", "5"), ("20", "20"), ("8", "8")]);
    let before = scan.bytes();
    let ran = scan.run("sum", &[]);
    assert_eq!((&ran["outcome"], &ran["group"]), (&"existing".into(), &group("Sum", 1).into()));
    assert!(before == scan.bytes());
}

#[test]
fn the_newest_partial_group_is_resumed_by_number_not_by_letters() {
    let scan = scan_with(&[("5", "5"), ("8", "8")]);
    let others = digest(&scan, 0);
    let ran = scan.run("sum", &[]);
    assert_eq!((&ran["group"], &ran["report"]["positions"]), (&group("Sum", 1).into(), &12.into()));
    assert_eq!(others, digest(&scan, 0));

    let scan = scan_with(&[("5", "5"), ("8", "8")]);
    for (old, new) in [(0, 999), (1, 1000)] {
        scan.script("file.move(given[0], given[1])", &[&group("Sum", old), &group("Sum", new)]);
    }
    assert_eq!(scan.run("sum", &[])["group"], group("Sum", 1000));
}

#[test]
fn a_partial_group_that_the_user_names_beats_newer_and_complete_ones() {
    for wanted in ["Raw_Data-Sum_000", &group("Sum", 0)] {
        let scan = scan_with(&[("5", "5"), ("8", "8"), ("20", "20")]);
        let others = [digest(&scan, 1), digest(&scan, 2)];
        let ran = scan.run("sum", &["--resume", wanted]);
        assert_eq!(ran["group"], group("Sum", 0));
        assert_eq!((&ran["report"]["positions"], &ran["completed"]), (&15.into(), &20.into()));
        assert_eq!(others, [digest(&scan, 1), digest(&scan, 2)]);
    }
}

#[test]
fn a_group_that_is_named_but_can_not_be_resumed_is_refused_with_the_reason() {
    let scan = scan_with(&[("5", "5"), ("none", "none")]);
    scan.usid("run", &["Peak_Finding"]);
    scan.script("file[given[0]].attrs['scale'] = 2.0", &[&group("Sum", 0)]);
    let before = scan.bytes();
    let peaks = group("Peak_Finding", 0);
    for (named, code, reason) in [
        ("Raw_Data-Sum_000", 1, "with other parameters"),
        ("Raw_Data-Sum_001", 1, "nothing tells which of its positions"),
        (&peaks, 1, "it holds results of `Peak_Finding`"),
        ("Raw_Data-Sum_007", 2, "has no results group `Raw_Data-Sum_007`"),
    ] {
        let ran = scan.try_run("sum", &["--resume", named]);
        assert_eq!(ran.code, Some(code), "{}", ran.stderr);
        assert!(ran.stderr.contains(reason), "{}", ran.stderr);
        assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
    }
    assert!(before == scan.bytes());
}

#[test]
fn another_parameter_and_override_make_a_new_group() {
    let scan = Scan::new(&["--type", "c64"]);
    let groups = [
        scan.run("peak-finding", &[])["group"].clone(),
        scan.run("peak-finding", &["-p", "min_snr=2"])["group"].clone(),
        scan.run("peak-finding", &["--override"])["group"].clone(),
        scan.run("peak-finding", &["-p", "min_snr=2"])["group"].clone(),
    ];
    assert_eq!(groups, [0, 1, 2, 1].map(|number| json!(group("Peak_Finding", number))));
    let looked =
        scan.usid("run", &["Peak_Finding", "--look", "--parameters", r#"{"min_snr": 2.0}"#]);
    assert_eq!(looked["duplicates"], json!([group("Peak_Finding", 1)]));
}

#[test]
fn a_partial_group_of_other_parameters_is_not_resumed() {
    let scan = Scan::new(&["--type", "c64"]);
    scan.killed(&[
        "Peak_Finding",
        "--batch",
        "6",
        "--kill-after",
        "2",
        "--parameters",
        r#"{"min_snr": 2.0}"#,
    ]);
    let ran = scan.run("peak-finding", &[]);
    assert_eq!(
        (&ran["group"], &ran["report"]["positions"]),
        (&group("Peak_Finding", 1).into(), &20.into())
    );
}

#[test]
fn a_new_group_has_the_highest_number_and_one_whatever_gaps_there_are() {
    let scan = scan_with(&[("20", "20")]);
    scan.script(
        "for name in ('Raw_Data-Sum_007', 'Raw_Data-Sum_old', 'Raw_Data-Sum_Of_023', \
         'Raw_Data-Sums_030'):\n    file['Measurement_000/Channel_000'].create_group(name)",
        &[],
    );
    assert_eq!(scan.run("sum", &["--override"])["group"], group("Sum", 8));
    scan.script("file.move(given[0], given[1])", &[&group("Sum", 8), &group("Sum", 999)]);
    assert_eq!(scan.run("sum", &["--override"])["group"], group("Sum", 1000));
    assert_eq!(scan.run("sum", &["--override"])["group"], group("Sum", 1001));
}

#[test]
fn a_dash_in_the_name_of_the_dataset_is_kept_as_pyusid_keeps_it() {
    let dataset = "/Measurement_000/Channel_000/Raw-Data";
    let scan = Scan::new(&[]);
    scan.script("file.move(given[0], given[1])", &[RAW_DATA, dataset]);
    let theirs = scan.usid("run", &["Sum", "--dataset", dataset]);
    assert_eq!(theirs["group"], "/Measurement_000/Channel_000/Raw-Data-Sum_000");
    assert_eq!(scan.run("sum", &[])["outcome"], "existing");
    let ours = scan.run("sum", &["--override"]);
    assert_eq!(ours["group"], "/Measurement_000/Channel_000/Raw-Data-Sum_001");
    let looked = scan.usid("run", &["Sum", "--dataset", dataset, "--look"]);
    assert_eq!(looked["duplicates"], json!([theirs["group"], ours["group"]]));
}
