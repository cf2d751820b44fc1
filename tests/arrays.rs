//! What a process sees of a scan as arrays, what it gives as arrays, and results read back as
//! arrays.

use std::path::Path;

use crate::support::{python_function, python_program};
use pixelmill::engine::{OpenRange, Selection};
use pixelmill::ndarray::{Array1, Array2, ArrayD, Axis, Ix1, Ix2, IxDyn};
use pixelmill::process::{
    AxisValues, Dimension, Failure, NoParameters, Outputs, Process, SourceInfo, Spectrum, Unit,
};
use pixelmill::{Computed, Error, Quiet, Request, Results, Stop, compute};

fn computed<P: Process>(parameters: &P::Parameters, request: &Request) -> Computed {
    compute::<P>(parameters, request, &Quiet, &Stop::new()).unwrap()
}

/// The numbers of a scan of 3 × 4 frames of 5 × 6 pixels.
fn frames() -> ArrayD<f32> {
    let count = 3 * 4 * 5 * 6;
    ArrayD::from_shape_fn(IxDyn(&[3, 4, 5, 6]), |place| {
        let number = (0..4).fold(0, |number, axis| number * 7 + place[axis]);
        (number % 89) as f32 - count as f32
    })
}

/// Writes a plain array; in a process of its own, since a file that is open here for writing stays
/// locked for as long as any program runs that another test starts meanwhile.
fn write(file: &Path, values: &ArrayD<f32>) {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_ne_bytes()).collect();
    let raw = file.with_extension("raw");
    std::fs::write(&raw, bytes).unwrap();
    let lengths: Vec<String> = values.shape().iter().map(usize::to_string).collect();
    let paths = [file.as_os_str(), raw.as_os_str()];
    python_function(
        "arrays.py",
        "plain",
        paths.into_iter().chain(lengths.iter().map(AsRef::as_ref)),
    );
}

fn counted(name: &str, length: usize) -> Dimension {
    Dimension::new(name, "", AxisValues::counted(length))
}

/// Each frame turned over, and the sums of its rows.
struct Turned;

struct TurnedFrame {
    frame: Array2<f32>,
    rows: Array1<f64>,
    brightest: f32,
    at: u16,
}

impl Process for Turned {
    const NAME: &'static str = "Turned";
    const VERSION: u32 = 1;

    type Parameters = NoParameters;
    type Input = f32;
    type Output = TurnedFrame;
    type Task = ();
    type Scratch = ();

    fn prepare(_: &NoParameters, _: &SourceInfo) -> Result<(), Failure> {
        Ok(())
    }

    fn create_results_datasets(
        _: &NoParameters,
        source: &SourceInfo,
        results: &mut Results<TurnedFrame>,
    ) {
        let [slow, fast] = [source.axis(1), source.axis(0)];
        results
            .main("Turned", "Counts", "")
            .array(vec![fast, slow.clone()], |output: &TurnedFrame| output.frame.view());
        results
            .main("Rows", "Counts", "")
            .array(vec![slow], |output: &TurnedFrame| output.rows.view());
        results
            .main("Brightest", "Counts", "")
            .record()
            .field("Value", |output: &TurnedFrame| output.brightest)
            .field("Index", |output: &TurnedFrame| output.at);
        results.main("Position", "Index", "").scalar(|output: &TurnedFrame| output.at);
    }

    fn map_function(
        _: &(),
        spectrum: Spectrum<'_, f32>,
        _: &mut (),
    ) -> Result<TurnedFrame, Failure> {
        let frame = spectrum.frame()?;
        if spectrum.position == 5 {
            return Err(Failure::new("no frame on purpose"));
        }
        let (at, brightest) = (spectrum.iter().copied().enumerate())
            .fold((0, f32::MIN), |best, found| if found.1 > best.1 { found } else { best });
        Ok(TurnedFrame {
            // Its fast axis isn't side by side in memory.
            frame: frame.t().to_owned(),
            rows: frame.map(|value| f64::from(*value)).sum_axis(Axis(1)),
            brightest,
            at: at as u16,
        })
    }
}

#[test]
fn frames_are_computed_as_arrays_and_read_back_in_the_shape_of_the_scan() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("frames.h5");
    let frames = frames();
    write(&file, &frames);
    let request = Request { positions_axes: Some(vec![0, 1]), ..Request::new(&file) };
    let computed = computed::<Turned>(&NoParameters {}, &request);
    assert_eq!((computed.completed, computed.failed.count), (12, 1));

    let turned = computed.array::<f32>("Turned").unwrap();
    assert_eq!(turned.shape(), [3, 4, 6, 5]);
    let rows = computed.array::<f64>("Rows").unwrap();
    assert_eq!(rows.shape(), [3, 4, 5]);
    let brightest = computed.field::<f32>("Brightest", "Value").unwrap();
    let indices = computed.field::<u16>("Brightest", "Index").unwrap();
    assert_eq!(computed.array::<u16>("Position").unwrap(), indices);
    for (number, frame) in frames.exact_chunks(IxDyn(&[1, 1, 5, 6])).into_iter().enumerate() {
        let frame = frame.into_shape_with_order((5, 6)).unwrap();
        let place = [number / 4, number % 4];
        let of = |array: &ArrayD<f32>| {
            array.index_axis(Axis(0), place[0]).index_axis(Axis(0), place[1]).to_owned()
        };
        if number == 5 {
            assert!(
                of(&turned)
                    .iter()
                    .chain([&brightest[place.as_slice()]])
                    .all(|value| value.is_nan())
            );
            assert_eq!(indices[place.as_slice()], 0);
            continue;
        }
        assert_eq!(of(&turned), frame.t().into_dyn());
        for (row, values) in frame.rows().into_iter().enumerate() {
            let sum: f64 = values.iter().map(|value| f64::from(*value)).sum();
            assert_eq!(rows[[place[0], place[1], row].as_slice()], sum);
        }
        let largest = frame.iter().copied().fold(f32::MIN, f32::max);
        assert_eq!(brightest[place.as_slice()], largest);
        assert_eq!(frame.iter().nth(indices[place.as_slice()].into()), Some(&largest));
    }
}

#[test]
fn results_that_cannot_be_read_as_asked_are_refused_by_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("frames.h5");
    write(&file, &frames());
    let request = Request { positions_axes: Some(vec![0, 1]), ..Request::new(&file) };
    let computed = computed::<Turned>(&NoParameters {}, &request);

    let error = computed.array::<f32>("Peaks").unwrap_err();
    assert!(matches!(&error, Error::NoSuchResults { known, .. } if known.len() == 4), "{error:?}");
    assert!(
        error.to_string().ends_with("its results: Brightest, Position, Rows, Turned"),
        "{error}"
    );
    let error = computed.array::<f32>("Rows").unwrap_err();
    assert!(matches!(error, Error::ResultsElement { .. }), "{error}");
    assert!(error.to_string().contains("hold float64, which can't become float32"), "{error}");
    assert!(computed.values::<i32>("Turned").is_err());
    let error = computed.array::<f32>("Brightest").unwrap_err();
    assert!(matches!(error, Error::ResultsRecords { .. }), "{error}");
    assert!(error.to_string().ends_with("each field is an array: Value, Index"), "{error}");
    let error = computed.field::<f32>("Brightest", "Width").unwrap_err();
    assert!(error.to_string().ends_with("no field `Width`; its fields: Value, Index"), "{error}");
    assert!(computed.field::<u8>("Brightest", "Index").is_err(), "65535 is no u8");
    assert!(computed.field::<f32>("Rows", "Value").is_err());
}

/// What the axes of each spectrum are, as an array; computed a unit at a time.
struct Shapes;

#[derive(Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
struct ShapesParameters {
    /// Spectra in a row.
    spectra: usize,
}

impl pixelmill::process::Parameters for ShapesParameters {}

impl Process for Shapes {
    const NAME: &'static str = "Shapes";
    const VERSION: u32 = 1;
    const NARROWING: bool = true;

    type Parameters = ShapesParameters;
    type Input = num_complex::Complex32;
    type Output = ();
    type Task = ();
    type Scratch = ();

    fn prepare(_: &ShapesParameters, _: &SourceInfo) -> Result<(), Failure> {
        Ok(())
    }

    fn spectra_per_position(given: &ShapesParameters, _: &SourceInfo) -> usize {
        given.spectra
    }

    fn create_results_datasets(_: &ShapesParameters, _: &SourceInfo, results: &mut Results<()>) {
        let axis = counted("Axis", 3);
        results
            .main("Lengths", "Length", "")
            .array(vec![axis], |(): &()| [0u32; 3].as_slice().into());
        results.main("Last", "Value", "").scalar(|(): &()| f64::NAN);
    }

    fn map_function(
        _: &(),
        _: Spectrum<'_, num_complex::Complex32>,
        _: &mut (),
    ) -> Result<(), Failure> {
        Err(Failure::new("spectra are computed together"))
    }

    fn unit_computation(
        _: &(),
        unit: &mut Unit<'_, num_complex::Complex32>,
        _: &mut (),
        outputs: &mut Outputs<'_, ()>,
    ) -> Result<(), Failure> {
        let spectra = unit.len();
        let shape = unit.spectrum(0).shape.to_vec();
        let failed: Vec<usize> =
            (0..spectra).filter(|at| unit.spectrum(*at).position == 1).collect();
        let array = unit.array::<IxDyn>()?;
        assert_eq!((array.len_of(Axis(0)), &array.shape()[1..]), (spectra, shape.as_slice()));
        let lasts: Vec<f64> = array
            .outer_iter()
            .map(|one| one.iter().last().map_or(f64::NAN, |z| z.re.into()))
            .collect();
        let mut lengths = outputs.column::<u32, Ix2>(0)?;
        for mut row in lengths.rows_mut() {
            row.iter_mut().zip(&shape).for_each(|(place, length)| *place = *length as u32);
        }
        outputs.column::<f64, Ix1>(1)?.assign(&Array1::from(lasts));
        outputs.filled(0..spectra);
        failed.into_iter().for_each(|at| outputs.set(at, Err(Failure::new("one on purpose"))));
        Ok(())
    }
}

#[test]
fn units_and_columns_are_arrays_with_the_axes_that_do_not_tell_spectra_apart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("usid.h5");
    python_function("arrays.py", "usid", [file.to_str().unwrap(), "6"]);
    for (spectra, shape, repeats) in [
        (1, vec![2, 3, 4], vec![]),
        (2, vec![3, 4], vec![2]),
        (6, vec![4], vec![2, 3]),
        // Each begins in the middle of a step.
        (3, vec![8], vec![3]),
    ] {
        let computed = computed::<Shapes>(&ShapesParameters { spectra }, &Request::new(&file));
        assert_eq!(computed.failed.count, 1);
        let lasts = computed.array::<f64>("Last").unwrap();
        assert_eq!(lasts.shape(), [[2, 3].as_slice(), &repeats].concat());
        let lengths = computed.array::<u32>("Lengths").unwrap();
        assert_eq!(lengths.shape(), [[2, 3].as_slice(), &repeats, &[3]].concat());
        for (number, (last, lengths)) in lasts.iter().zip(lengths.rows()).enumerate() {
            let told: Vec<usize> = lengths.iter().map(|length| *length as usize).collect();
            if number / spectra == 1 {
                assert!(last.is_nan() && told == [0, 0, 0], "{number}: {last} {told:?}");
                continue;
            }
            assert_eq!(*last, ((number + 1) * 24 / spectra - 1) as f64);
            assert_eq!(told[..shape.len()], shape);
        }
    }
}

#[test]
fn values_of_positions_that_are_not_marked_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("frames.h5");
    write(&file, &frames());
    let some = OpenRange { start: Some(2), end: Some(4), step: None };
    let request = Request {
        positions_axes: Some(vec![0, 1]),
        positions: Some(Selection::Positions(some)),
        ..Request::new(&file)
    };
    let computed = computed::<Turned>(&NoParameters {}, &request);
    // As a run leaves it that is killed between writing and marking.
    let statements = "file[given[0]]['Rows'][...] = 7; file[given[0]]['Position'][...] = 7";
    python_program("edit.py", [file.to_str().unwrap(), statements, &computed.group]);
    let rows = computed.array::<f64>("Rows").unwrap();
    let positions = computed.values::<u16>("Position").unwrap();
    for (number, (row, position)) in rows.rows().into_iter().zip(positions).enumerate() {
        let is_marked = (2..4).contains(&number);
        assert_eq!(position, if is_marked { 7 } else { 0 }, "{number}");
        assert!(row.iter().all(|value| if is_marked { *value == 7.0 } else { value.is_nan() }));
    }
}

#[test]
fn positions_that_are_no_full_grid_are_one_axis() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("usid.h5");
    python_function("arrays.py", "usid", [file.to_str().unwrap(), "5"]);
    let computed = computed::<Shapes>(&ShapesParameters { spectra: 2 }, &Request::new(&file));
    assert_eq!(computed.array::<f64>("Last").unwrap().shape(), [5, 2]);
    assert_eq!(computed.array::<u32>("Lengths").unwrap().shape(), [5, 2, 3]);
}
