//! Every way in which pyUSID hands out wrong results in silence, provoked in the real pyUSID, and
//! that we hand out the right ones.

use serde_json::{Value, json};

use crate::support::usid::{Scan, group};
use crate::support::{RAW_DATA, assert_refused, pixelmill, succeed};

/// What `expected` says a `Sum` group holds: the sums of the dataset as it is in the file.
fn assert_sums(scan: &Scan, ran: &Value, dataset: &str) {
    let answer = scan.script(
        "found, source = (file[name][()] for name in given)\nsums = source.sum(axis=1, \
         dtype=float)\ntold = [found.shape[0], bool(np.allclose(found[:, 0], sums, rtol=1e-12, \
         atol=0))]",
        &[&format!("{}/Sum", ran["group"].as_str().unwrap()), dataset],
    );
    assert_eq!(answer[1], true, "the results are of other data: {answer}");
}

#[test]
fn a_process_whose_name_begins_like_ours_is_another_process() {
    let scan = Scan::new(&[]);
    let theirs = scan.usid("run", &["Sum"]);
    scan.script(
        "file.move(given[0], given[1])\nfile[given[1]].attrs['tool'] = \
         'Sum_Of_Squares'\nfile[given[1] + '/Sum'][()] = file[given[1] + '/Sum'][()] ** 2",
        &[theirs["group"].as_str().unwrap(), &group("Sum_Of_Squares", 0)],
    );
    let looked = scan.usid("run", &["Sum", "--look"]);
    assert_eq!(looked["duplicates"], json!([group("Sum_Of_Squares", 0)]), "pyUSID is wrong");
    let ran = scan.run("sum", &[]);
    assert_eq!((&ran["outcome"], &ran["group"]), (&"finished".into(), &group("Sum", 0).into()));
    assert_sums(&scan, &ran, RAW_DATA);
}

/// Adds a main dataset that holds so many times the values of the scan's.
fn add_multiple(scan: &Scan, path: &str, factor: u32) {
    scan.script(
        "source = file[given[0]]\nmore = file.create_dataset(given[1], data=source[()] * \
         int(given[2]))\nfor name, value in source.attrs.items():\n    more.attrs[name] = value",
        &[RAW_DATA, path, &factor.to_string()],
    );
}

#[test]
fn a_dataset_whose_name_begins_like_the_source_is_another_dataset() {
    let scan = Scan::new(&[]);
    let fit = format!("{RAW_DATA}_Fit");
    add_multiple(&scan, &fit, 3);
    scan.usid("run", &["Sum", "--dataset", &fit]);
    let looked = scan.usid("run", &["Sum", "--look"]);
    assert_eq!(looked["duplicates"], json!([format!("{fit}-Sum_000")]), "pyUSID is wrong");
    let ran = scan.run("sum", &["--dataset", RAW_DATA]);
    assert_eq!((&ran["outcome"], &ran["group"]), (&"finished".into(), &group("Sum", 0).into()));
    assert_sums(&scan, &ran, RAW_DATA);
    let fitted = scan.run("sum", &["--dataset", &fit]);
    assert_eq!(fitted["outcome"], "existing");
    assert_sums(&scan, &fitted, &fit);
}

#[test]
fn the_same_dataset_name_in_another_channel_is_another_dataset() {
    let scan = Scan::new(&[]);
    let other = "/Measurement_000/Channel_001/Raw_Data";
    add_multiple(&scan, other, 3);
    let theirs = scan.usid("run", &["Sum"]);
    let moved = format!("{other}-Sum_000");
    scan.script("file.move(given[0], given[1])", &[theirs["group"].as_str().unwrap(), &moved]);
    let looked = scan.usid("run", &["Sum", "--look", "--dataset", other]);
    assert_eq!(looked["duplicates"], json!([moved]), "pyUSID is wrong");
    let ran = scan.run("sum", &["--dataset", other]);
    let new = format!("{other}-Sum_001");
    assert_eq!((&ran["outcome"], &ran["group"]), (&"finished".into(), &new.into()));
    assert_sums(&scan, &ran, other);
    let first = scan.run("sum", &["--dataset", RAW_DATA]);
    assert_eq!((&first["outcome"], &first["group"]), (&"existing".into(), &moved.into()));
    assert_sums(&scan, &first, RAW_DATA);
}

#[test]
fn our_own_results_of_two_channels_are_told_apart() {
    let scan = Scan::new(&[]);
    let other = "/Measurement_000/Channel_001/Raw_Data";
    add_multiple(&scan, other, 1);
    let first = scan.run("sum", &["--dataset", RAW_DATA]);
    let second = scan.run("sum", &["--dataset", other]);
    assert_eq!(second["group"], format!("{other}-Sum_000"));
    assert_ne!(first["parameter_hash"], second["parameter_hash"], "though the data are the same");
}

#[test]
fn lists_of_small_numbers_are_not_all_the_same() {
    let scan = Scan::new(&[]);
    let given = |list: &str| format!("weights={list}");
    let first = scan.run("weighted", &["-p", &given("[1e-9, 2e-9]")]);
    for other in ["[9e-9, 5e-9]", "[1e-9, 2.00000001e-9]", "[1e-9]", "[1e-9, 2e-9, 0]", "[]"] {
        let ran = scan.run("weighted", &["-p", &given(other)]);
        assert_eq!(ran["outcome"], "finished", "{other}");
        assert_ne!(ran["parameter_hash"], first["parameter_hash"]);
    }
    assert_eq!(scan.run("weighted", &["-p", &given("[1e-9, 2e-9]")])["group"], first["group"]);
    let matches = scan.script(
        "from pyUSID.io.hdf_utils import check_for_matching_attrs\ntold = \
         bool(check_for_matching_attrs(file[given[0]], {'weights': [9e-9, 5e-9]}))",
        &[first["group"].as_str().unwrap()],
    );
    assert_eq!(matches, true, "pyUSID is wrong");
}

#[test]
fn lists_of_numbers_in_a_group_of_pyusid_are_compared_one_by_one() {
    let scan = Scan::new(&[]);
    let made = scan.run("weighted", &["-p", "weights=[1e-9, 2e-9]"]);
    let path = made["group"].as_str().unwrap();
    scan.script(
        "for name in ('parameters', 'parameter_hash', 'source_fingerprint'):\n    del \
         file[given[0]].attrs[name]",
        &[path],
    );
    let same = scan.run("weighted", &["-p", "weights=[1e-9, 2e-9]"]);
    assert_eq!((&same["outcome"], &same["group"]), (&"existing".into(), &made["group"]));
    let other = scan.run("weighted", &["-p", "weights=[9e-9, 5e-9]"]);
    assert_eq!(other["outcome"], "finished");
}

#[test]
fn a_parameter_that_we_do_not_know_makes_another_computation() {
    let scan = Scan::new(&[]);
    let theirs = scan.usid("run", &["Sum"]);
    scan.script("file[given[0]].attrs['scale'] = 2.0", &[theirs["group"].as_str().unwrap()]);
    let looked = scan.usid("run", &["Sum", "--look"]);
    assert_eq!(looked["duplicates"], json!([group("Sum", 0)]), "pyUSID is wrong");
    assert_eq!(scan.run("sum", &[])["group"], group("Sum", 1));
}

#[test]
fn a_parameter_that_is_none_is_not_any_value() {
    let scan = Scan::new(&["--type", "c64"]);
    scan.usid("run", &["Peak_Finding", "--parameters", r#"{"min_length": 4}"#]);
    let looked = scan.usid("run", &["Peak_Finding", "--look"]);
    assert_eq!(looked["duplicates"], json!([group("Peak_Finding", 0)]), "pyUSID is wrong");
    assert_eq!(scan.run("peak-finding", &[])["group"], group("Peak_Finding", 1));
    let four = scan.run("peak-finding", &["-p", "min_length=4"]);
    assert_eq!(
        (&four["outcome"], &four["group"]),
        (&"existing".into(), &group("Peak_Finding", 0).into())
    );
}

#[test]
fn data_that_were_acquired_again_are_computed_again() {
    let scan = Scan::new(&[]);
    scan.run("sum", &[]);
    scan.script("file[given[0]][3] *= 2", &[RAW_DATA]);
    let looked = scan.usid("run", &["Sum", "--look"]);
    assert_eq!(looked["duplicates"], json!([group("Sum", 0)]), "pyUSID is wrong");
    let ran = scan.run("sum", &[]);
    assert_eq!((&ran["outcome"], &ran["group"]), (&"finished".into(), &group("Sum", 1).into()));
    assert_sums(&scan, &ran, RAW_DATA);
    scan.script("file[given[0]][3] /= 2", &[RAW_DATA]);
    assert_eq!(scan.run("sum", &[])["group"], group("Sum", 0), "the old data are back");
}

#[test]
fn a_partial_group_is_not_resumed_over_data_that_were_acquired_again() {
    let scan = Scan::new(&[]);
    scan.run("sum", &["--positions", "0:10"]);
    scan.script("file[given[0]][3] *= 2", &[RAW_DATA]);
    let ran = scan.run("sum", &[]);
    assert_eq!((&ran["group"], &ran["report"]["positions"]), (&group("Sum", 1).into(), &20.into()));
    assert_sums(&scan, &ran, RAW_DATA);
}

#[test]
fn two_files_that_share_a_results_file_have_results_of_their_own() {
    let (first, second) = (Scan::new(&["--seed", "1"]), Scan::new(&["--seed", "2"]));
    let out = first.beside("results.h5");
    let to_out = ["--output", out.as_str()];
    first.run("sum", &to_out);
    let looked = second.usid("run", &["Sum", "--look", "--target", &out]);
    assert_eq!(looked["duplicates"], json!(["/Raw_Data-Sum_000"]), "pyUSID is wrong");
    let ran = second.run("sum", &to_out);
    assert_eq!((&ran["outcome"], &ran["group"]), (&"finished".into(), &"/Raw_Data-Sum_001".into()));
    for (scan, number) in [(&first, 0), (&second, 1)] {
        let again = scan.run("sum", &to_out);
        assert_eq!(again["outcome"], "existing");
        assert_eq!(again["group"], format!("/Raw_Data-Sum_{number:03}"));
        let sums = scan.script(
            "with h5py.File(given[0]) as out:\n    sums = out[given[1]][:, 0]\ntold = \
             bool(np.allclose(sums, file[given[2]][()].sum(axis=1, dtype=float), rtol=1e-12, \
             atol=0))",
            &[&out, &format!("/Raw_Data-Sum_{number:03}/Sum"), RAW_DATA],
        );
        assert_eq!(sums, true);
    }
}

#[test]
fn a_copy_of_a_file_in_another_place_has_results_of_its_own_in_a_shared_file() {
    // Same bytes, so the same hash: only the path of the source tells them apart.
    let first = Scan::new(&[]);
    let copy = first.beside("copy.h5");
    std::fs::copy(&first.file, &copy).unwrap();
    let out = first.beside("results.h5");
    first.run("sum", &["--output", &out]);
    let ran = succeed(["run", "sum", &copy, "--output", &out]);
    assert_eq!((&ran["outcome"], &ran["group"]), (&"finished".into(), &"/Raw_Data-Sum_001".into()));
}

#[test]
fn a_partial_group_that_pyusid_has_looked_at_is_still_partial() {
    let scan = Scan::new(&[]);
    scan.run("sum", &["--positions", "0:5"]);
    scan.usid("run", &["Sum", "--look"]);
    assert_eq!(scan.usid("check", &[&group("Sum", 0)])["last_pixel"], 20, "pyUSID is wrong");
    let status = succeed(["status", &scan.file, &group("Sum", 0)])["groups"].take();
    assert_eq!((&status[0]["completed"], &status[0]["positions"]), (&5.into(), &20.into()));
    let ran = scan.run("sum", &[]);
    assert_eq!((&ran["outcome"], &ran["report"]["positions"]), (&"finished".into(), &15.into()));
    assert_sums(&scan, &ran, RAW_DATA);
}

#[test]
fn positions_marked_with_another_number_count_once() {
    let scan = Scan::new(&[]);
    scan.run("sum", &["--positions", "0:10"]);
    scan.script("file[given[0] + '/completed_positions'][:10] = 2", &[&group("Sum", 0)]);
    let looked = scan.usid("run", &["Sum", "--look"]);
    assert_eq!(looked["duplicates"], json!([group("Sum", 0)]), "pyUSID is wrong");
    let ran = scan.run("sum", &[]);
    assert_eq!((&ran["group"], &ran["report"]["positions"]), (&group("Sum", 0).into(), &10.into()));
    assert_sums(&scan, &ran, RAW_DATA);
}

#[test]
fn the_hash_is_that_of_the_json_beside_it_and_of_a_version() {
    let scan = Scan::new(&["--type", "c64"]);
    let ran = scan.run("peak-finding", &[]);
    let path = ran["group"].as_str().unwrap();
    let answer = scan.script(
        "import hashlib\nattrs = file[given[0]].attrs\ntext = attrs['parameters']\ndigest = \
         lambda text: hashlib.sha256(text.encode()).hexdigest()\ntold = {'same': digest(text) == \
         attrs['parameter_hash'], 'content': json.loads(text)}\nassert \
         text.count('\"process_version\":1,') == 1, text\nattrs['parameters'] = \
         text.replace('\"process_version\":1,', \
         '\"process_version\":2,')\nattrs['parameter_hash'] = digest(attrs['parameters'])",
        &[path],
    );
    assert_eq!(answer["same"], true);
    let content = &answer["content"];
    assert_eq!(content["process"], "Peak_Finding");
    assert_eq!(content["parameters"]["width_min"], 20);
    assert!(content["parameters"].as_object().unwrap().contains_key("min_length"), "defaults too");
    assert_eq!(
        (&content["source"]["shape"], &content["source"]["element_type"]),
        (&json!([20, 119]), &"complex64".into())
    );
    // The group now is one that version 2 of the process made.
    let again = scan.run("peak-finding", &[]);
    assert_eq!(again["group"], group("Peak_Finding", 1));
    assert_eq!(again["parameter_hash"], ran["parameter_hash"]);
}

#[test]
fn an_auxiliary_input_that_changed_makes_another_computation() {
    let scan = Scan::new(&[]);
    scan.script("file['/offset'] = np.arange(20.0)", &[]);
    let given = ["-p", "spectra=1", "-p", "offset=/offset"];
    let first = scan.run("rich", &given);
    assert_eq!(scan.run("rich", &given)["outcome"], "existing");
    scan.script("file['/offset'][7] = 0", &[]);
    let second = scan.run("rich", &given);
    assert_ne!(first["group"], second["group"]);
}

#[test]
fn parameters_are_the_same_however_they_are_given() {
    let scan = Scan::new(&["--type", "c64"]);
    let file = scan.beside("given.toml");
    std::fs::write(&file, "width_min = 20\nnum_steps = 30\n").unwrap();
    let first = scan.run("peak-finding", &["-p", "width_max=60.0"]);
    for given in [&["--params", &file][..], &["-p", "min_length=none"], &["-p", "width_min=2e1"]] {
        let again = scan.run("peak-finding", given);
        assert_eq!((&again["outcome"], &again["group"]), (&"existing".into(), &first["group"]));
    }
}

/// How a test makes a dataset anew, with its attributes: `anew(path, values, …)`.
const ANEW: &str = "def anew(path, values, **how):\n    attributes = dict(file[path].attrs)\n    \
                    del file[path]\n    made = file.create_dataset(path, data=values, **how)\n    \
                    for name, value in attributes.items():\n        made.attrs[name] = value\n    \
                    return made\n";

/// Computes, all positions or some, edits the file, and computes again: that has to be done in full
/// and in a group of its own; the refusal to resume the first group and `verify` have to say what
/// differs. Results go to another file, so that an edit may put another dataset in the source's
/// place.
fn assert_computed_anew(process: &[&str], before: &str, edit: &str, told: &str) {
    for selection in [&["--positions", "0:10"][..], &[]] {
        let scan = Scan::new(&[]);
        scan.script(&format!("{ANEW}{before}"), &[RAW_DATA]);
        let out = scan.beside("results.h5");
        let given = [&process[1..], &["--output", &out]].concat();
        let first = scan.run(process[0], &[&given, selection].concat());
        scan.script(&format!("{ANEW}{edit}"), &[RAW_DATA]);
        let ran = scan.try_run(process[0], &given);
        assert_eq!(ran.code, Some(0), "{edit}: {}", ran.stderr);
        assert!(ran.stderr.contains(told), "`{told}` isn't in {}", ran.stderr);
        assert_eq!(
            ran.json["report"]["positions"], ran.json["positions"],
            "{edit}: {}",
            ran.stderr
        );
        assert_ne!(ran.json["group"], first["group"], "{edit}");
        let group = first["group"].as_str().unwrap();
        let resumed = scan.try_run(process[0], &[&given[..], &["--resume", group]].concat());
        assert_refused(&resumed, 1, &[group, told]);
        let verified = pixelmill(["verify", &out, group, "--sample", "0"]);
        assert_eq!(verified.code, Some(1), "{edit}: {}", verified.stderr);
        assert!(verified.stderr.contains(told), "{}", verified.stderr);
        assert!(verified.json["changed"].as_str().unwrap().contains(told), "{}", verified.json);
    }
}

const CHANNEL: &str = "/Measurement_000/Channel_000";

#[test]
fn a_corrected_axis_makes_another_computation() {
    let spectrum = format!("{CHANNEL}/Spectroscopic_Values");
    let positions = format!("{CHANNEL}/Position_Values");
    for (edit, told) in [
        (format!("file['{spectrum}'][0, 3] += 1"), "the values of the axis `Frequency`"),
        (format!("file['{spectrum}'][0] *= 1000"), "the first value of the axis `Frequency`"),
        (
            format!(
                "for name in ('Indices', 'Values'):\n    file['{CHANNEL}/Spectroscopic_' + \
                 name].attrs['units'] = ['kHz']"
            ),
            "the units of the axis `Frequency`: \"Hz\" there, \"kHz\" here",
        ),
        (
            format!(
                "for name in ('Indices', 'Values'):\n    file['{CHANNEL}/Spectroscopic_' + \
                 name].attrs['labels'] = ['Bias']"
            ),
            "the name of the axis `Bias`: \"Frequency\" there",
        ),
        (
            format!("file['{positions}'][:, 1] += 1"),
            "the first value of the axis `X`: 0 there, 1 here",
        ),
        (
            format!("file['{positions}'][:5, 0] = -0.0"),
            "value 0 of the axis `Y`: 0 there, \"-0\" here",
        ),
    ] {
        assert_computed_anew(&["sum"], "", &edit, told);
    }
}

#[test]
fn other_units_and_another_quantity_make_another_computation() {
    for (edit, told) in [
        ("file[given[0]].attrs['units'] = 'mV'", "the units of `/M"),
        ("file[given[0]].attrs['quantity'] = 'Current'", "the quantity of `/M"),
    ] {
        assert_computed_anew(&["sum"], "", edit, told);
    }
}

#[test]
fn positions_in_another_order_make_another_computation() {
    let edit = format!(
        "for name in ('Indices', 'Values'):\n    table = file['{CHANNEL}/Position_' + name]\n    \
         rows = table[()]\n    rows[[6, 7]] = rows[[7, 6]]\n    table[...] = rows"
    );
    assert_computed_anew(&["sum"], "", &edit, "the position steps of");
}

#[test]
fn the_same_bytes_of_another_type_make_another_computation() {
    for (first, second, told) in [
        ("<i4", ">i4", "the byte order of"),
        ("<i4", "<u4", "the element type of"),
        ("<f4", ">f4", "the byte order of"),
        ("<c8", "<f8", "the element type of"),
    ] {
        let before = format!(
            "anew(given[0], np.arange(80, dtype='i4').reshape(20, 4).view('{first}'))\n{}",
            points(first)
        );
        let edit =
            format!("anew(given[0], file[given[0]][()].view('{second}'))\n{}", points(second));
        assert_computed_anew(&["digest"], &before, &edit, told);
    }
}

/// Gives the spectrum as many points as the new values of 16 bytes are.
fn points(element: &str) -> String {
    let count = 16 / element[2..].parse::<usize>().unwrap();
    format!(
        "for name, kind in (('Indices', 'u4'), ('Values', 'f4')):\n    path = \
         '{CHANNEL}/Spectroscopic_' + name\n    made = anew(path, np.arange({count}, \
         dtype=kind)[None])\n    file[given[0]].attrs['Spectroscopic_' + name] = made.ref"
    )
}

#[test]
fn another_fill_value_where_nothing_was_written_makes_another_computation() {
    let make = |fill: &str| {
        format!(
            "values = np.arange(20 * 119, dtype='f4').reshape(20, 119)[:10]\nanew(given[0], None, \
             shape=(20, 119), dtype='f4', chunks=(5, 119), fillvalue={fill})[:10] = values"
        )
    };
    assert_computed_anew(&["sum"], &make("1"), &make("2"), "the fill value of");
}

#[test]
fn the_same_chunks_in_another_shape_make_another_computation() {
    // The second has the same bytes in as many chunks.
    let make = |rows: usize, columns: usize| {
        format!(
            "made = anew(given[0], None, shape=(20, 4), dtype='f4', chunks=({rows}, {columns}))\n\
             values = np.arange(80, dtype='f4')\n\
             for number in range(4):\n    \
             at = number * {rows} % 20, number * {rows} // 20 * {columns}\n    \
             if {columns} != 4:\n        at = number // 2 * {rows}, number % 2 * {columns}\n    \
             made.id.write_direct_chunk(at, values[number * 20:][:20].tobytes())\n{}",
            points("<f4")
        )
    };
    assert_computed_anew(&["sum"], &make(5, 4), &make(10, 2), "the chunk shape of");
}

#[test]
fn an_auxiliary_input_with_another_meaning_makes_another_computation() {
    let rich = ["rich", "-p", "spectra=1", "-p", "offset=/offset"];
    let make = |kind: &str, shape: &str| {
        format!(
            "if 'offset' in file:\n    del file['offset']\nfile['offset'] = np.arange(40, \
             dtype='<f8').view({kind}){shape}"
        )
    };
    let record =
        |first: &str, second: &str| make(&format!("[('{first}', 'f8'), ('{second}', 'f8')]"), "");
    let before = record("Amplitude", "Phase");
    for (edit, told) in [
        (
            record("Phase", "Amplitude"),
            "the fields of `/offset`: \"Amplitude\" there, \"Phase\" here",
        ),
        (
            record("Amplitude", "Offset"),
            "the fields of `/offset`: \"Phase\" there, \"Offset\" here",
        ),
        (
            make("[('Amplitude', '>f8'), ('Phase', '>f8')]", ""),
            "the byte order of `/offset`: \"little\" there, \"big\" here",
        ),
        (make("'<f8'", ".reshape(20, 2)"), "the fields of `/offset`"),
    ] {
        assert_computed_anew(&rich, &before, &edit, told);
    }
}

#[test]
fn a_zero_with_a_sign_is_another_parameter() {
    let scan = Scan::new(&[]);
    let first = scan.run("weighted", &["-p", "weights=[1, 0.0]"]);
    let second = scan.run("weighted", &["-p", "weights=[1, -0.0]"]);
    assert_ne!(first["group"], second["group"]);
    for (weights, expected) in [("[1, 0]", &first), ("[1.0, -0.0]", &second)] {
        let again = scan.run("weighted", &["-p", &format!("weights={weights}")]);
        assert_eq!((&again["outcome"], &again["group"]), (&"existing".into(), &expected["group"]));
    }
    // Read back from the file they are what they were.
    for ran in [&first, &second] {
        let verified = succeed(["verify", &scan.file, ran["group"].as_str().unwrap()]);
        assert_eq!((&verified["changed"], &verified["checked"]), (&Value::Null, &json!(20)));
    }
}

#[test]
fn parameters_have_all_their_bits_when_they_are_read_back() {
    let scan = Scan::new(&[]);
    let weights = "weights=[0.1, 2.0053904418238476e-10, 1.7976931348623157e308, 9007199254740993]";
    let ran = scan.run("weighted", &["-p", weights]);
    let verified = succeed(["verify", &scan.file, ran["group"].as_str().unwrap()]);
    assert_eq!((&verified["changed"], &verified["different"]), (&Value::Null, &json!([])));
    let seed = scan.run("slow", &["-p", "pause=0", "--cores", "1", "--memory", "100M"]);
    let again = scan.run("slow", &["-p", "pause=0", "--cores", "2", "--checkpoint", "1"]);
    assert_eq!((&again["outcome"], &again["group"]), (&"existing".into(), &seed["group"]));
}
