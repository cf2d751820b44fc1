//! Real files of every kind, and what a run does to them: `prepare` and `checkpoint`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use hdf5::ObjectReference1;
use hdf5::plist::dataset_create::AllocTime;
use hdf5::types::VarLenUnicode;

pub const PARENT: &str = "Measurement_000/Channel_000";
pub const GROUP: &str = "Measurement_000/Channel_000/Raw_Data-Feas_000";

/// Makes a results group beside the dataset, as a run does before it computes.
pub fn prepare(file: &hdf5::File) -> hdf5::Result<()> {
    let parent = file.group(PARENT)?;
    let group = parent.create_group("Raw_Data-Feas_000")?;
    for (name, value) in [
        ("tool", "Feas"),
        ("machine_id", "größe.µ.example"),
        ("timestamp", "2024_01_02-03_04_05"),
        ("platform", "Linux"),
        ("parameters", r#"{"width_min":20,"width_max":60,"noise_percentile":10.0}"#),
        ("parameter_hash", "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"),
        ("process_version", "1"),
        ("pixelmill_version", "0.1.0"),
    ] {
        text(&group, name, value)?;
    }
    for (name, value) in [("last_pixel", 0), ("num_steps", 30), ("num_source_dsets", 1)] {
        group.new_attr::<i64>().create(name)?.write_scalar(&value)?;
    }
    group.new_attr::<f64>().create("min_snr")?.write_scalar(&1.5)?;
    group.new_attr::<f64>().shape(3).create("widths")?.write_raw(&[20.0, 40.0, 60.0])?;
    let source = parent.reference::<ObjectReference1>("Raw_Data")?;
    group.new_attr::<ObjectReference1>().create("source_000")?.write_scalar(&source)?;
    for (name, columns) in [("Peak_Response", 1), ("Peak_Position", 1), ("Residuals", 40)] {
        let results = group
            .new_dataset::<f32>()
            .fill_value(f32::NAN)
            .alloc_time(Some(AllocTime::Early))
            .shape((20, columns))
            .create(name)?;
        text(&results, "quantity", "Amplitude")?;
        text(&results, "units", "V")?;
        for name in ["Position_Indices", "Spectroscopic_Indices"] {
            let ancillary = parent.reference::<ObjectReference1>(name)?;
            results.new_attr::<ObjectReference1>().create(name)?.write_scalar(&ancillary)?;
        }
    }
    // Without a fill value of its own HDF5 writes none, and free space inside the file shows
    // through.
    let status = group.new_dataset::<u8>().fill_value(0u8).alloc_time(Some(AllocTime::Early));
    status.shape(20).create("completed_positions")?;
    Ok(())
}

fn text(place: &hdf5::Location, name: &str, value: &str) -> hdf5::Result<()> {
    let value: VarLenUnicode = value.parse().unwrap();
    place.new_attr::<VarLenUnicode>().create(name)?.write_scalar(&value)
}

/// Brings `last_pixel` up to date, as a run does while it computes.
pub fn checkpoint(file: &hdf5::File) -> hdf5::Result<()> {
    file.group(GROUP)?.attr("last_pixel")?.write_scalar(&17i64)
}

/// What of `prepare` and `checkpoint` can be seen: nothing, or `last_pixel`. Panics if it is half
/// there.
pub fn progress(file: &hdf5::File) -> Option<i64> {
    let parent = file.group(PARENT).unwrap();
    assert!(parent.dataset("Raw_Data").unwrap().attr("Position_Indices").is_ok());
    if !parent.link_exists("Raw_Data-Feas_000") {
        return None;
    }
    let group = file.group(GROUP).unwrap();
    let machine: VarLenUnicode = group.attr("machine_id").unwrap().read_scalar().unwrap();
    assert_eq!(machine.as_str(), "größe.µ.example");
    let source: ObjectReference1 = group.attr("source_000").unwrap().read_scalar().unwrap();
    assert!(group.dereference(&source).is_ok());
    let results: Vec<f32> = group.dataset("Residuals").unwrap().read_raw().unwrap();
    assert!(results.len() == 800 && results.iter().all(|value| value.is_nan()));
    assert_eq!(group.dataset("completed_positions").unwrap().read_raw::<u8>().unwrap(), [0; 20]);
    Some(group.attr("last_pixel").unwrap().read_scalar().unwrap())
}

/// One file of every kind, as bytes, by its kind.
pub fn kinds() -> &'static BTreeMap<String, Vec<u8>> {
    static KINDS: LazyLock<BTreeMap<String, Vec<u8>>> = LazyLock::new(make_kinds);
    &KINDS
}

fn make_kinds() -> BTreeMap<String, Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    python("make", folder.path());
    let files = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    // `latest` is what h5py's HDF5 2 writes as its newest form, which no older library reads.
    let readable = |path: &PathBuf| {
        hdf5::library_version() >= (2, 0, 0)
            || path.file_stem().is_some_and(|kind| kind != "latest")
    };
    files
        .filter(readable)
        .map(|path| {
            let mut bytes = std::fs::read(&path).unwrap();
            let kind = path.file_stem().unwrap().to_str().unwrap().to_owned();
            if kind == "stale_journal" {
                bytes.extend(stale_journal(bytes.len() as u64));
            }
            (kind, bytes)
        })
        .collect()
}

/// A whole journal, but of another place: copied in from elsewhere.
fn stale_journal(end: u64) -> Vec<u8> {
    let mut journal = super::super::journal::Journal { writes: Default::default(), new_end: end };
    journal.writes.write(0, b"not the signature");
    journal.encode(end + 1)
}

/// What h5py and h5dump see in a file: a digest of everything, or what they say against it.
pub struct Seen {
    pub h5py: String,
    pub h5dump: Option<String>,
}

/// What h5py and h5dump see in each file of `folder`, by its name.
pub fn show(folder: &Path) -> BTreeMap<String, Seen> {
    let field = |line: &serde_json::Value, name| line[name].as_str().map(str::to_owned);
    python("show", folder)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .map(|line: serde_json::Value| {
            let seen = Seen { h5py: field(&line, "h5py").unwrap(), h5dump: field(&line, "h5dump") };
            (field(&line, "name").unwrap(), seen)
        })
        .collect()
}

fn python(action: &str, folder: &Path) -> String {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let interpreter = Some(here.join(".venv/tests/bin/python"))
        .filter(|path| path.exists())
        .or_else(|| std::env::var_os("PIXELMILL_TEST_PYTHON").map(PathBuf::from))
        .expect("no Python with h5py for the tests: run scripts/test, which sets it up");
    let script = here.join("tests/python/transaction_files.py");
    let output = Command::new(interpreter).arg(script).arg(action).arg(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
