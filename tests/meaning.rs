//! What a file means: numbers of every type, text of every age, axes that don't fit. Each is computed
//! with the right values, or named in one line; what isn't taken as the file has it is said.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{filters_program, pixelmill, python_script, refuse, run, succeed};

/// Files that a Python script has written; it finds their folder in `folder`.
struct Written {
    folder: TempDir,
}

const IMPORTS: &str = "import json, sys, h5py, numpy as np\nfolder = sys.argv[1]\n";

impl Written {
    fn new(script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        python_script(&format!("{IMPORTS}{script}\nprint('{{}}')"), [folder.path()]);
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What a run says, and the sums that it has written to a file of its own, by the path of the group.
    fn sums(&self, name: &str, more: &[&str]) -> (Value, String, Vec<f64>) {
        let output = self.path(&format!("{name}-sums.h5"));
        let mut arguments = run("sum", &self.path(name), more);
        arguments.extend(["--output".into(), output.clone().into()]);
        let ran = pixelmill(arguments);
        let group = ran.json["group"].as_str().unwrap_or_else(|| panic!("{name}: {}", ran.stderr));
        (ran.json.clone(), ran.stderr.clone(), values(&output, &format!("{group}/Sum")))
    }

    fn info(&self, name: &str) -> Value {
        succeed(["info".as_ref(), self.path(name).as_os_str()])
    }
}

fn values(file: &Path, dataset: &str) -> Vec<f64> {
    let script = "import json, sys, h5py\nwith h5py.File(sys.argv[1]) as f: \
                  print(json.dumps([float(v) if v == v else None for v in f[sys.argv[2]][...].ravel()]))";
    let told = python_script(script, [file.as_os_str(), dataset.as_ref()]);
    told.as_array().unwrap().iter().map(|value| value.as_f64().unwrap_or(f64::NAN)).collect()
}

const BY_ROWS: [&str; 2] = ["--positions-axes", "0"];

#[test]
fn numbers_of_every_type_have_their_sums() {
    let written = Written::new(
        r"
from h5py import h5d, h5s, h5t
data = np.arange(12).reshape(3, 4) - 4
for name, kind in (('i8', '<i8'), ('big', '>i8'), ('u8', '<u8'), ('half', '<f2'), ('half_big', '>f2'), ('i1', 'i1')):
    with h5py.File(f'{folder}/{name}.h5', 'w') as file:
        file['d'] = np.abs(data).astype(kind) if name == 'u8' else data.astype(kind)
        file.create_dataset('chunked', data=file['d'][...], chunks=(2, 3), compression='gzip')
def odd(name, kind, write):
    with h5py.File(f'{folder}/{name}.h5', 'w') as file:
        made = h5d.create(file.id, b'd', kind, h5s.create_simple((3, 4)))
        made.write(h5s.ALL, h5s.ALL, write)
        h5d.create(file.id, b'chunked', kind, h5s.create_simple((3, 4)))
        h5py.Dataset(h5d.open(file.id, b'chunked')).id.write(h5s.ALL, h5s.ALL, write)
for name, base, size in (('i24', h5t.STD_I32LE, 3), ('i24_big', h5t.STD_I32BE, 3), ('i40', h5t.STD_I64LE, 5)):
    kind = base.copy()
    kind.set_precision(8 * size)
    kind.set_size(size)
    odd(name, kind, data.astype('i8'))
bfloat = h5t.IEEE_F32LE.copy()
bfloat.set_fields(15, 7, 8, 0, 7)
bfloat.set_size(2)
bfloat.set_ebias(127)
odd('bfloat', bfloat, data.astype('f4'))
other = h5t.IEEE_F32LE.copy()
other.set_fields(31, 25, 6, 0, 25)
other.set_ebias(31)
odd('other_float', other, data.astype('f4'))
",
    );
    let signed = [-10.0, 6.0, 22.0];
    // With the type that it is read as.
    for (name, element) in [
        ("i8", "int64"),
        ("big", "int64"),
        ("u8", "uint64"),
        ("half", "float16"),
        ("half_big", "float16"),
        ("i1", "int8"),
        ("i24", "int32"),
        ("i24_big", "int32"),
        ("i40", "int64"),
        ("bfloat", "bfloat16"),
        ("other_float", "float64"),
    ] {
        let expected = if name == "u8" { [10.0, 6.0, 22.0] } else { signed };
        let file = format!("{name}.h5");
        for dataset in ["d", "chunked"] {
            let more = [&BY_ROWS[..], &["--dataset", dataset]].concat();
            let (told, _, sums) = written.sums(&file, &more);
            assert_eq!(
                (&told["outcome"], &sums[..]),
                (&json!("finished"), &expected[..]),
                "{file}"
            );
        }
        // Nobody says which axes are positions, but what it holds is known.
        let info = written.info(&file)["datasets"].to_string();
        assert!(info.contains("--positions-axes 0"), "{element}: {info}");
    }
}

#[test]
fn integers_that_float64_cannot_hold_fail_their_position_by_name() {
    let written = Written::new(
        r"
data = np.full((3, 4), 2**53, 'i8')
data[1, 2] += 1
with h5py.File(f'{folder}/long.h5', 'w') as file:
    file['d'] = data
with h5py.File(f'{folder}/unsigned.h5', 'w') as file:
    file['d'] = np.full((2, 3), 2**64 - 1, 'u8')
",
    );
    let (told, _, sums) = written.sums("long.h5", &BY_ROWS);
    assert_eq!(told["failed"].as_array().unwrap().len(), 1, "{told}");
    assert!(told["failed"].to_string().contains("9007199254740993 at point 2"), "{told}");
    assert_eq!((sums[0], sums[2]), (4.0 * 2f64.powi(53), 4.0 * 2f64.powi(53)));
    assert!(sums[1].is_nan());
    let (told, _, _) = written.sums("unsigned.h5", &BY_ROWS);
    assert_eq!(told["failed"].as_array().unwrap().len(), 2, "{told}");
    assert!(told["failed"].to_string().contains("18446744073709551615"), "{told}");
}

#[test]
fn what_holds_no_numbers_of_ours_is_named() {
    let written = Written::new(
        r"
two = np.dtype([('rate', 'f4'), ('intensity', 'f4')])
kinds = {
    'long_double': np.ones((3, 4), 'g'), 'record': np.zeros((3, 4), two),
    'capitals': np.zeros((3, 4), [('R', 'f8'), ('I', 'f8')]),
    'text': np.array([[b'a', b'b']], 'S1'), 'scalar': np.float64(3), 'empty': np.zeros((0, 4)),
    'array': np.zeros((3, 4), ('f4', (3,)))}
for name, data in kinds.items():
    with h5py.File(f'{folder}/{name}.h5', 'w') as file:
        if name == 'array':
            file.create_dataset('d', (3, 4), h5py.h5t.py_create(np.dtype(('f4', (3,)))))
        else:
            file['d'] = data
with h5py.File(f'{folder}/enum.h5', 'w') as file:
    file.create_dataset('d', (3, 4), h5py.enum_dtype({'off': 0, 'on': 1}, 'u1'))
",
    );
    for (name, held) in [
        ("long_double", "long double"),
        ("record", "compound records (rate, intensity)"),
        ("capitals", "compound records (R, I)"),
        ("text", "text"),
        ("scalar", "a single number"),
        ("empty", "empty"),
        ("enum", "an enumeration"),
        ("array", "arrays"),
    ] {
        let file = written.path(&format!("{name}.h5"));
        refuse(run("sum", &file, &BY_ROWS), 1, &["no main dataset", "`/d`", held]);
        let named = [&BY_ROWS[..], &["--dataset", "d"]].concat();
        refuse(run("sum", &file, &named), 1, &["`/d`", held]);
        let others = succeed(["info".as_ref(), file.as_os_str()])["other_datasets"].to_string();
        assert!(others.contains("/d") && others.contains(held), "{others}");
    }
}

#[test]
fn only_what_libraries_call_the_parts_of_complex_numbers_is_complex() {
    let written = Written::new(
        r"
for number, names in enumerate(('r i', 're im', 'Re Im', 'real imag', 'REAL IMAGINARY')):
    one, other = names.split()
    rows = np.full((3, 4), 2 + 1j, '>c8').view([(one, '>f4'), (other, '>f4')])
    with h5py.File(f'{folder}/{number}.h5', 'w') as file:
        file['d'] = rows if number else rows.view('>c8')
from h5py import h5d, h5s, h5t
with h5py.File(f'{folder}/5.h5', 'w') as file:
    if hasattr(h5t, 'COMPLEX_IEEE_F32LE'):
        made = h5d.create(file.id, b'd', h5t.COMPLEX_IEEE_F32LE, h5s.create_simple((3, 4)))
        made.write(h5s.ALL, h5s.ALL, np.full((3, 4), 2 + 1j, 'c8'), mtype=h5t.COMPLEX_IEEE_F32LE)
    else:
        file['d'] = np.full((3, 4), 2 + 1j, 'c8')
",
    );
    for number in 0..6 {
        let file = written.path(&format!("{number}.h5"));
        let arguments = run("slow", &file, &["-p", "pause=0", "--positions-axes", "0"]);
        let told = succeed(arguments);
        let group = told["group"].as_str().unwrap();
        let sums = values(&file, &format!("{group}/Slow_Sum"));
        assert_eq!(sums, [8.0; 3], "file {number}");
    }
}

#[test]
fn text_that_is_not_utf_8_is_read_as_latin_1_and_said() {
    let written = Written::new(
        r"
def text(item, name, value, fixed):
    kind = h5py.string_dtype('ascii', 20 if fixed else None)
    array = value if isinstance(value, bytes) else np.array(value, object)
    item.attrs.create(name, array if not fixed or isinstance(value, bytes) else np.array(value, 'S20'), dtype=kind)
for fixed in (False, True):
    with h5py.File(f'{folder}/{fixed}.h5', 'w') as file:
        group = file.create_group('Measurement_000/Channel_000')
        main = group.create_dataset('Raw_Data', data=np.ones((6, 8)))
        text(main, 'quantity', b'Gr\xf6\xdfe', fixed)
        text(main, 'units', b'\xb5A', fixed)
        tables = {'Position': np.array([[i // 3, i % 3] for i in range(6)]), 'Spectroscopic': np.arange(8)[None]}
        for what, table in tables.items():
            labels = [b'X', b'H\xf6he'] if what == 'Position' else [b'\xb0C']
            for kind, dtype in (('Indices', 'u4'), ('Values', 'f4')):
                made = group.create_dataset(f'{what}_{kind}', data=table.astype(dtype))
                text(made, 'labels', labels, fixed)
                text(made, 'units', [b'\xb5m'] * len(labels), fixed)
                main.attrs[f'{what}_{kind}'] = made.ref
",
    );
    for name in ["False.h5", "True.h5"] {
        let info = written.info(name);
        let dataset = &info["datasets"][0];
        assert_eq!((&dataset["quantity"], &dataset["units"]), (&json!("Größe"), &json!("µA")));
        assert_eq!(dataset["position_dimensions"][1]["name"], "Höhe");
        assert_eq!(dataset["spectroscopic_dimensions"][0]["units"], "µm");
        assert!(dataset["notes"][0].as_str().unwrap().contains("Latin-1: `"), "{dataset}");
        let (told, said, sums) = written.sums(name, &[]);
        assert_eq!((&told["outcome"], sums), (&json!("finished"), vec![8.0; 6]));
        assert!(said.contains("Latin-1"), "{said}");
        let check = "with h5py.File(sys.argv[1]) as f:\n    d = f[sys.argv[2]]\n    \
                     print(json.dumps([d.attrs['units'], f[d.attrs['Position_Indices']].attrs['labels'].tolist()]))";
        let output = written.path(&format!("{name}-sums.h5"));
        let sum = format!("{}/Sum", told["group"].as_str().unwrap());
        let arguments = [output.as_os_str(), sum.as_ref()];
        let stored = python_script(&format!("import json, sys, h5py\n{check}"), arguments);
        assert_eq!(stored, json!(["µA", ["X", "Höhe"]]), "{name}");
    }
}

#[test]
fn names_that_are_not_utf_8_hurt_nobody() {
    let written = Written::new(
        r"
with h5py.File(f'{folder}/names.h5', 'w') as file:
    file['d'] = np.ones((3, 4))
    file.create_group(b'Gr\xf6\xdfe')[b'\xb5'] = np.ones((3, 4))
    file.id.links.create_soft(b'\xe4', b'/d')
    h5py.h5a.create(file['d'].id, b'\xb5', h5py.h5t.NATIVE_INT32, h5py.h5s.create(h5py.h5s.SCALAR))
    record = h5py.h5t.create(h5py.h5t.COMPOUND, 8)
    record.insert(b'\xb5', 0, h5py.h5t.IEEE_F32LE)
    record.insert(b'\xe4', 4, h5py.h5t.IEEE_F32LE)
    h5py.h5d.create(file.id, b'record', record, h5py.h5s.create_simple((3, 4)))
",
    );
    let (told, _, sums) = written.sums("names.h5", &["--dataset", "d", "--positions-axes", "0"]);
    assert_eq!((&told["outcome"], sums), (&json!("finished"), vec![4.0; 3]));
    succeed(["info".as_ref(), written.path("names.h5").as_os_str()]);
    let record = [&BY_ROWS[..], &["--dataset", "record"]].concat();
    refuse(run("sum", &written.path("names.h5"), &record), 1, &["compound records (µ, ä)"]);
}

#[test]
fn an_attribute_that_claims_gigabytes_is_not_read() {
    let written = Written::new(
        r"
with h5py.File(f'{folder}/claims.h5', 'w', libver='latest') as file:
    data = file.create_dataset('d', data=np.ones((3, 4)))
    data.attrs.create('units', np.array([b'x' * 3000000], 'S3000000'))
",
    );
    let (told, _, sums) = written.sums("claims.h5", &BY_ROWS);
    assert_eq!((&told["outcome"], sums), (&json!("finished"), vec![4.0; 3]));
}

#[test]
fn axes_of_another_length_are_cut_or_left_out_and_it_is_said() {
    let written = Written::new(
        r"
with h5py.File(f'{folder}/nexus.h5', 'w') as file:
    group = file.create_group('entry/data')
    group.attrs.update({'NX_class': 'NXdata', 'signal': 'I', 'axes': ['y', 'E']})
    data = group.create_dataset('I', data=np.ones((23, 5)), maxshape=(None, 5), chunks=(4, 5))
    data.attrs['interpretation'] = 'spectrum'
    group['y'], group['E'] = np.arange(30.0) * 2, np.arange(5.0)
for name, length in (('longer', 30), ('shorter', 7)):
    with h5py.File(f'{folder}/{name}.h5', 'w') as file:
        data = file.create_dataset('d', data=np.ones((23, 5)))
        file['y'] = np.arange(float(length)) * 2
        file['y'].attrs['units'] = 'um'
        file['y'].make_scale('y')
        data.dims[0].attach_scale(file['y'])
with h5py.File(f'{folder}/usid.h5', 'w') as file:
    main = file.create_dataset('Raw_Data', data=np.ones((23, 5)))
    main.attrs.update(quantity='I', units='A')
    for what, table in (('Position', np.arange(30)[:, None]), ('Spectroscopic', np.arange(6)[None])):
        for kind, dtype in (('Indices', 'u4'), ('Values', 'f4')):
            made = file.create_dataset(f'{what}_{kind}', data=table.astype(dtype))
            made.attrs.update(labels=[what], units=['um'])
            main.attrs[f'{what}_{kind}'] = made.ref
",
    );
    for (name, more, note) in [
        ("nexus.h5", &[][..], "30 values for an axis of 23; the first 23 are taken"),
        ("longer.h5", &BY_ROWS, "30 values for an axis of 23; the first 23 are taken"),
        ("shorter.h5", &BY_ROWS, "7 values for an axis of 23; its steps are counted instead"),
        ("usid.h5", &[], "30 rows instead of 23; the first 23 are taken"),
    ] {
        let (told, said, sums) = written.sums(name, more);
        assert_eq!((&told["outcome"], sums), (&json!("finished"), vec![5.0; 23]), "{name}");
        assert!(said.contains(note), "{name}: {said}");
        let script = "import json, sys, h5py\nwith h5py.File(sys.argv[1]) as f: \
                      print(json.dumps(str(f[sys.argv[2]].attrs['source_notes'])))";
        let output = written.path(&format!("{name}-sums.h5"));
        let arguments = [output.as_os_str(), told["group"].as_str().unwrap().as_ref()];
        assert!(python_script(script, arguments).to_string().contains(note), "{name}");
    }
    let script = "import json, sys, h5py\nwith h5py.File(sys.argv[1]) as f:\n    \
                  s = f['d-Sum_000/Sum'].dims[0][0]\n    \
                  print(json.dumps([float(s[22]), s.attrs['units']]))";
    for (name, expected) in [("longer.h5", json!([44.0, "um"])), ("shorter.h5", json!([22.0, ""]))]
    {
        let output = written.path(&format!("{name}-sums.h5"));
        assert_eq!(python_script(script, [output]), expected, "{name}");
    }
}

#[test]
fn packed_numbers_are_taken_as_they_are_stored_and_have_no_units() {
    let written = Written::new(
        r"
with h5py.File(f'{folder}/packed.h5', 'w') as file:
    file['d'] = np.ones((3, 4), 'i2')
    file['d'].attrs.update(units='K', scale_factor=0.01, add_offset=273.15, _FillValue=np.int16(-999))
",
    );
    let (_, said, sums) = written.sums("packed.h5", &BY_ROWS);
    assert_eq!(sums, [4.0; 3]);
    assert!(
        said.contains("packed (scale_factor 0.01, add_offset 273.15, _FillValue -999)"),
        "{said}"
    );
    let script = "import json, sys, h5py\nwith h5py.File(sys.argv[1]) as f: \
                  print(json.dumps(f['d-Sum_000/Sum'].attrs['units']))";
    assert_eq!(python_script(script, [written.path("packed.h5-sums.h5")]), json!(""));
}

#[test]
fn a_single_spectrum_is_one_position() {
    let folder = tempfile::tempdir().unwrap();
    let told = filters_program("formats.py", ["single".as_ref(), folder.path()]);
    let file = Path::new(told["file"].as_str().unwrap());
    let info = succeed(["info".as_ref(), file.as_os_str()]);
    let datasets = info["datasets"].as_array().unwrap();
    // The variance of the noise that is stored with it is no second one.
    assert_eq!(datasets.len(), 1, "{info}");
    assert_eq!(
        (&datasets[0]["positions"], &datasets[0]["spectral_points"]),
        (&json!(1), &json!(200))
    );
    let ran = succeed(run("curve-fit", file, &["-p", "components=gaussian+offset"]));
    assert_eq!(ran["completed"], 1);
    let results = Path::new(ran["file"].as_str().unwrap());
    let loaded = filters_program("formats.py", ["single-results".as_ref(), results]);
    assert!((loaded["centre"].as_f64().unwrap() - 4.0).abs() < 1e-6, "{loaded}");
    assert_eq!(loaded["shape"], json!([1]), "{loaded}");
    assert_eq!(
        succeed(run("curve-fit", file, &["-p", "components=gaussian+offset"]))["outcome"],
        "existing"
    );
    let group = ran["group"].as_str().unwrap();
    let verified = succeed(["verify".as_ref(), results.as_os_str(), group.as_ref()]);
    assert_eq!(verified["different"], json!([]));
    let probe = ["test", "curve-fit", "--pixel", "0"].map(AsRef::as_ref);
    let probe = probe.into_iter().chain([file.as_os_str()]);
    assert_eq!(succeed(probe)["position"], 0);
}

#[test]
fn one_measurement_of_which_nobody_knows_can_be_said_to_be_one() {
    let written = Written::new(
        "with h5py.File(f'{folder}/one.h5', 'w') as file:\n    file['d'] = np.arange(5.0)",
    );
    let told = refuse(run("sum", &written.path("one.h5"), &["--dataset", "d"]), 2, &["none"]);
    assert!(!told.contains("as in --positions-axes 0;"), "{told}");
    let more = ["--dataset", "d", "--positions-axes", "none"];
    let (told, _, sums) = written.sums("one.h5", &more);
    assert_eq!((&told["completed"], sums), (&json!(1), vec![10.0]));
    let output = written.path("one.h5-sums.h5");
    let group = told["group"].as_str().unwrap();
    let verified = succeed(["verify".as_ref(), output.as_os_str(), group.as_ref()]);
    assert_eq!(verified["different"], json!([]));
}

#[test]
fn files_of_other_kinds_are_called_by_their_names() {
    let written = Written::new(
        r"
with open(f'{folder}/old.hdf', 'wb') as file:
    file.write(b'\x0e\x03\x13\x01' + bytes(100))
for driver, name in (('family', 'part%05d.h5'), ('split', 'split')):
    options = {'memb_size': 1 << 16} if driver == 'family' else {}
    with h5py.File(f'{folder}/{name}', 'w', driver=driver, **options) as file:
        file['d'] = np.ones((64, 512))
",
    );
    for (name, texts) in [
        ("old.hdf", ["HDF4", "h4toh5"]),
        ("part00000.h5", ["only a part of a family of files", "h5repart"]),
        ("split-m.h5", ["only a part of a split file", "h5repack"]),
        ("split-r.h5", ["raw data of a split file", "-m.h5"]),
    ] {
        refuse(run("sum", &written.path(name), &BY_ROWS), 1, &texts);
    }
}
