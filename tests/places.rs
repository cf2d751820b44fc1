//! Results groups that somebody has changed between two runs: what is written past HDF5 goes where
//! it belongs or nowhere, and what the group says is read whatever it looks like.

use crate::support::watch::Opener;
use crate::support::{Sample, pixelmill, python_program, run};

const GROUP: &str = "/Measurement_000/Channel_000/Raw_Data-Trouble_000";
const PROCESS: &str = "trouble";

/// A sample of which a part is computed, changed by a script that finds the open file in `file` and
/// the group in `group`.
fn partly_computed_then(script: &str) -> Sample {
    let sample = Sample::new();
    let part = pixelmill(run(PROCESS, &sample.file, &["--positions", "0:1000"]));
    assert_eq!(part.code, Some(3), "{}", part.stderr);
    change(&sample, script);
    sample
}

fn change(sample: &Sample, script: &str) -> serde_json::Value {
    let statements = format!("group = file[given[0]]\n{script}");
    python_program("edit.py", [sample.file.as_os_str(), statements.as_ref(), GROUP.as_ref()])
}

/// Puts another dataset in the place of one, followed by a dataset of the user's.
fn replaced(name: &str, values: &str) -> String {
    format!(
        "old = group['{name}'][()]\ndel group['{name}']\ngroup.create_dataset('{name}', \
         data={values})\ngroup.create_dataset('Mine', data=np.arange(100000.0))"
    )
}

#[test]
fn whatever_type_a_marker_has_the_run_goes_on_with_what_it_says() {
    let mut opener = Opener::new();
    let undisturbed = Sample::new();
    pixelmill(run(PROCESS, &undisturbed.file, &[]));
    let expected = opener.snapshot(&undisturbed.file);
    for (name, values) in [
        ("completed_positions", "old.astype('i8')"),
        ("completed_positions", "old.astype('?')"),
        ("completed_positions", "old.astype('>u2')"),
        ("failed_positions", "old.astype('u2')"),
        ("failed_positions", "old.astype('?') * old.astype('i8')"),
        ("failed_positions", "old[:1200]"),
        ("failure_messages", "old[:3]"),
        ("failure_messages", "old.astype('S80')"),
        ("failure_messages", "np.array([text.decode() for text in old], dtype=object)"),
    ] {
        let sample = partly_computed_then(&replaced(name, values));
        let ran = pixelmill(run(PROCESS, &sample.file, &[]));
        assert_eq!(ran.code, Some(3), "{name} = {values}: {}", ran.stderr);
        assert_eq!(ran.json["report"]["positions"], 4096 - 1000, "{name} = {values}");
        assert_eq!(ran.json["group"], GROUP);
        let intact = change(
            &sample,
            "told = bool((group['Mine'][()] == np.arange(100000.0)).all())\ndel group['Mine']",
        );
        assert_eq!(intact, true, "{name} = {values}: the user's dataset was written over");
        assert!(opener.snapshot(&sample.file) == expected, "{name} = {values}");
    }
}

#[test]
fn what_a_link_leads_to_is_never_written_to() {
    for (name, link) in [
        ("completed_positions", "h5py.SoftLink('/mine')"),
        ("completed_positions", "h5py.ExternalLink(sys.argv[1] + '.other', 'mine')"),
        ("failed_positions", "h5py.SoftLink('/mine')"),
        ("failure_messages", "h5py.SoftLink('/mine')"),
        ("First", "h5py.SoftLink('/mine')"),
        ("First", "h5py.ExternalLink(sys.argv[1] + '.other', 'mine')"),
    ] {
        let script = format!(
            "values = group['{name}'][()]\ndel group['{name}']\nother = h5py.File(sys.argv[1] + \
             '.other', 'w')\n[place.create_dataset('mine', data=values) for place in (file, \
             other)]\ngroup['{name}'] = {link}"
        );
        let sample = partly_computed_then(&script);
        let mine = "told = [place['mine'][()].tobytes().hex() for place in (file, \
                    h5py.File(sys.argv[1] + '.other'))]";
        let before = change(&sample, mine);
        let ran = pixelmill(run(PROCESS, &sample.file, &[]));
        assert_eq!(ran.code, Some(3), "{}", ran.stderr);
        assert_eq!(
            ran.json["group"],
            GROUP.replace("Trouble_000", "Trouble_001"),
            "{name} as {link}"
        );
        let said = format!("its `{name}` is a link to another place");
        assert!(ran.stderr.contains(&said), "{}", ran.stderr);
        assert_eq!(before, change(&sample, mine), "{name} as {link}");
    }
}

#[test]
fn a_status_of_another_length_is_named_and_ends_nothing() {
    for length in [10, 5000] {
        let sample = partly_computed_then(&format!(
            "del group['completed_positions']\ngroup['completed_positions'] = np.zeros({length}, \
             'u1')"
        ));
        let ran = pixelmill(run(PROCESS, &sample.file, &[]));
        assert_eq!((ran.code, &ran.json["completed"]), (Some(3), &4096.into()), "{}", ran.stderr);
        let said = format!("`completed_positions` has {length} values for 4096 positions");
        assert!(ran.stderr.contains(&said), "{}", ran.stderr);
    }
}

#[test]
fn attributes_are_read_in_any_spelling() {
    let mut opener = Opener::new();
    for script in [
        "group.attrs['last_run'] = 'somebody'",
        "group.attrs['last_run'] = np.bytes_('somebody')",
        "group.attrs['last_run'] = [1, 2]",
        "group.attrs['last_pixel'] = '1000'",
        "group.attrs['last_pixel'] = np.float32(1000)",
        "group.attrs['last_pixel'] = np.uint8(3)",
        "group.attrs['last_pixel'] = [1000]",
        "del group.attrs['last_pixel']",
        "[group.attrs.create(name, np.bytes_(group.attrs[name])) for name in ('tool', \
         'parameter_hash', 'parameters')]",
        "[group.attrs.create(name, [group.attrs[name]], dtype=h5py.string_dtype()) for name in \
         ('tool', 'parameter_hash')]",
    ] {
        let sample = partly_computed_then(script);
        let ran = pixelmill(run(PROCESS, &sample.file, &[]));
        assert_eq!(ran.code, Some(3), "{script}: {}", ran.stderr);
        assert_eq!(
            (&ran.json["group"], &ran.json["report"]["positions"]),
            (&GROUP.into(), &3096.into()),
            "{script}"
        );
        assert_eq!(opener.group(&sample.file).last_pixel, 4096, "{script}");
    }
}

#[test]
fn a_group_whose_results_are_gone_is_not_complete() {
    for (script, missing) in [
        ("del group['Count']", "its dataset `Count` is missing"),
        (
            "del group['First']\ngroup['First'] = np.zeros((7, 1))",
            "its dataset `First` has the shape [7, 1]",
        ),
    ] {
        let sample = Sample::new();
        pixelmill(run(PROCESS, &sample.file, &[]));
        change(&sample, script);
        let status = pixelmill(["status".as_ref(), sample.file.as_os_str()]);
        let said = status.json["groups"][0]["missing"].as_str().unwrap();
        assert!(said.starts_with(missing), "{said}");
        let ran = pixelmill(run(PROCESS, &sample.file, &[]));
        assert_eq!(ran.json["outcome"], "finished", "{}", ran.stderr);
        assert!(ran.stderr.contains("Trouble_000 is left alone"), "{}", ran.stderr);
    }
}

#[test]
fn last_pixel_is_mended_by_whoever_may_write() {
    for compressed in [&[][..], &["--compress", "gzip"]] {
        let sample = Sample::new();
        let told = || {
            let status = pixelmill(["status".as_ref(), sample.file.as_os_str()]);
            let found = &status.json["groups"][0];
            (found["last_pixel"].as_i64(), found["prefix"].as_i64())
        };
        pixelmill(run(PROCESS, &sample.file, compressed));
        for wrong in [0, 40, 9999] {
            change(&sample, &format!("group.attrs['last_pixel'] = np.int64({wrong})"));
            assert_eq!(told(), (Some(wrong), Some(4096)));
            let ran = pixelmill(run(PROCESS, &sample.file, &[]));
            assert_eq!(ran.json["outcome"], "existing", "{}", ran.stderr);
            assert_eq!(told(), (Some(4096), Some(4096)), "{compressed:?}");
        }
        let before = sample.bytes();
        pixelmill(run(PROCESS, &sample.file, &[]));
        assert!(before == sample.bytes(), "what is right is left as it is");
    }
}
