//! Surveys: the numbers of `show` and of the process `masks`, however little is read at a time, the
//! file free in between, and what becomes of one whose data are changed meanwhile.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use pixelmill::engine::Pixel;
use pixelmill::engine::shown::{Detector, Layout, Part, Picture, State, Survey, Wanted, show};

use crate::support::folds::Scan;
use crate::support::watch::wait_until;
use crate::support::{Sample, pixelmill, python_function, root, run, succeed};

/// Positions of the scans of `folds`, and points of their frames.
const POSITIONS: u64 = 37 * 23;

fn wanted(file: &Path, path: Option<&str>) -> Wanted {
    Wanted {
        file: file.to_owned(),
        path: path.map(str::to_owned),
        field: None,
        positions_axes: path.is_none().then(|| vec![0, 1]),
        pixel: None,
    }
}

fn begun(wanted: &Wanted, detector: &str) -> Survey {
    Survey::begin(wanted, &detector.parse().unwrap()).unwrap()
}

/// As little as there is at a time, until there is nothing more.
fn to_the_end(survey: &mut Survey) -> Picture {
    while survey.go_on(Duration::ZERO).unwrap() {}
    let (seen, all) = survey.seen();
    assert!(survey.is_complete() && seen == all);
    survey.picture()
}

/// Runs something in a pool of one thread, which reads little at a time.
fn alone<T: Send>(action: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap().install(action)
}

fn bits(numbers: &[f64]) -> Vec<u64> {
    numbers.iter().map(|number| number.to_bits()).collect()
}

#[test]
fn sums_are_those_of_show() {
    for (kind, layout) in [
        ("f4", "contiguous"),
        ("f4", "frames"),
        ("c8", "frames"),
        ("f8", "blocks"),
        ("c8", "ragged"),
        ("i2", "ragged"),
        ("u1", "blocks"),
    ] {
        let scan = Scan::new(kind, layout);
        let wanted = wanted(&scan.file, None);
        let shown = show(&wanted).unwrap().pictures.remove(0);
        let picture = to_the_end(&mut begun(&wanted, "all"));
        let is_alike = [&picture, &shown].map(|picture| {
            let Picture { dataset, title, quantity, units, part, notes, layout, .. } = picture;
            (dataset, title, quantity, units, *part, notes, layout)
        });
        assert_eq!(is_alike[0], is_alike[1], "{kind} {layout}");
        assert_eq!(picture.part == Part::Amplitude, kind == "c8");
        assert_eq!(picture.values.states, shown.values.states);
        // Frames that are cut into parts are summed part by part.
        let (sums, expected) = (&picture.values.numbers, &shown.values.numbers);
        if layout == "contiguous" || layout == "frames" || !kind.starts_with(['f', 'c']) {
            assert_eq!(bits(sums), bits(expected), "{kind} {layout}");
            assert_eq!(picture.values.limits, shown.values.limits);
        }
        let apart = sums.iter().zip(expected).map(|(sum, other)| (sum / other - 1.0).abs());
        let apart = apart.fold(0.0, f64::max);
        assert!(apart < 1e-12, "{kind} {layout}: {apart}");
    }
}

#[test]
fn sums_are_those_of_show_in_every_format() {
    let data = |name: &str| root().join("data").join(name);
    let scattered = Scan::made(|file| python_function("plot.py", "scattered", [file]));
    for file in [
        data("be_line_scan_64x64.h5"),
        data("gmode_line_16.h5"),
        data("two_peaks_3x4.h5"),
        scattered.file.clone(),
    ] {
        let wanted = Wanted { positions_axes: None, ..wanted(&file, None) };
        let shown = show(&wanted).unwrap().pictures.remove(0);
        let picture = to_the_end(&mut begun(&wanted, "all"));
        assert_eq!((&picture.title, &picture.layout), (&shown.title, &shown.layout));
        assert_eq!(picture.notes, shown.notes, "{}", file.display());
        assert_eq!(bits(&picture.values.numbers), bits(&shown.values.numbers));
        assert_eq!(picture.values.limits, shown.values.limits, "{}", file.display());
    }
}

#[test]
fn what_is_inside_of_a_detector_is_what_masks_takes() {
    for (layout, kind) in [("contiguous", "u2"), ("blocks", "i4"), ("ragged", "u1")] {
        let scan = Scan::new(kind, layout);
        for (number, (detector, told)) in [
            ("disk:9,15,5", "shape=disk radius=5 center_y=9 center_x=15"),
            ("disk:2.5,28.25,7.25", "shape=disk radius=7.25 center_y=2.5 center_x=28.25"),
            ("disk:4,5,0", "shape=disk radius=0 center_y=4 center_x=5"),
            ("ring:9,15,3,8", "shape=ring radius=8 radius_inner=3 center_y=9 center_x=15"),
            ("ring:9,15,0,4", "shape=ring radius=4 radius_inner=0 center_y=9 center_x=15"),
            ("ring:1,2,5,10", "shape=ring radius=10 radius_inner=5 center_y=1 center_x=2"),
            ("rectangle:3,5,9,20", "shape=rectangle height=6 width=15 center_y=6 center_x=12.5"),
            // Half of its width is less by a bit than from its middle to the last column.
            (
                "rectangle:3.5,1.01,9.1,2",
                "shape=rectangle height=5 width=0 center_y=6.5 center_x=2",
            ),
            (
                "rectangle:-4,29.5,2,99",
                "shape=rectangle height=6 width=69.5 center_y=-1 center_x=64.25",
            ),
        ]
        .into_iter()
        .enumerate()
        {
            let output = scan.beside(&format!("{number}.h5"));
            let given: Vec<&str> = told.split(' ').flat_map(|told| ["-p", told]).collect();
            let ran = scan.run("masks", &output, &given);
            let path = format!("{}/Intensity", ran["group"].as_str().unwrap());
            let masks = show(&wanted(Path::new(&output), Some(&path))).unwrap().pictures.remove(0);
            let picture = to_the_end(&mut begun(&wanted(&scan.file, None), detector));
            assert_eq!(bits(&picture.values.numbers), bits(&masks.values.numbers), "{detector}");
        }
    }
}

#[test]
fn a_survey_becomes_finer_and_leaves_the_file_to_others_in_between() {
    let scan = Scan::new("u2", "frames");
    let wanted = wanted(&scan.file, None);
    let expected = show(&wanted).unwrap().pictures.remove(0).values.numbers;
    let mut survey = begun(&wanted, "all");
    let picture = survey.picture();
    assert!(picture.values.states.iter().all(|state| *state == State::Missing));
    assert!(picture.notes[0].starts_with("0 of 851 positions have been read"), "{picture:?}");
    let file = File::options().read(true).write(true).open(&scan.file).unwrap();
    let (mut is_more, mut looks, mut before) = (true, 0, 0);
    while is_more {
        is_more = alone(|| survey.go_on(Duration::ZERO).unwrap());
        looks += 1;
        // Programs that other tests start have our files open for an instant, and with them locks.
        wait_until("nobody has a lock on it", || file.try_lock().is_ok());
        file.unlock().unwrap();
        let (seen, all) = survey.seen();
        assert!(all == POSITIONS && (seen > before || !is_more), "{seen} after {before}");
        before = seen;
        let numbers = survey.picture().values.numbers;
        let same = numbers.iter().zip(&expected).filter(|(number, expected)| number == expected);
        assert!(same.count() as u64 >= seen, "after {seen}");
        // Those that lie evenly over it stand in for the others.
        assert!(seen < 64 || numbers.iter().all(|number| number.is_finite()));
    }
    assert!(before == POSITIONS && looks > 5, "{before} after {looks} looks");
    assert!(!survey.picture().notes.iter().any(|note| note.contains("have been read")));
}

#[test]
fn other_data_end_a_survey_and_results_beside_them_do_not() {
    let scan = Scan::new("u2", "frames");
    let file = scan.file.to_str().unwrap();
    let wanted = wanted(&scan.file, None);
    let expected = show(&wanted).unwrap().pictures.remove(0).values.numbers;
    let mut survey = begun(&wanted, "all");
    assert!(alone(|| survey.go_on(Duration::ZERO).unwrap()));
    succeed(run("masks", &scan.file, &["--positions-axes", "0,1"]));
    assert_eq!(to_the_end(&mut survey).values.numbers, expected);
    let mut survey = begun(&wanted, "all");
    assert!(alone(|| survey.go_on(Duration::ZERO).unwrap()));
    python_function("survey.py", "add", [file, "7", "1000"]);
    let told = survey.go_on(Duration::ZERO).unwrap_err().to_string();
    assert!(told.contains("`/data`") && told.contains("changed while it was read"), "{told}");
    let again = to_the_end(&mut begun(&wanted, "all"));
    let shown = show(&wanted).unwrap().pictures.remove(0);
    assert_eq!(again.values.numbers, shown.values.numbers);
    assert_ne!(again.values.numbers, expected);
}

#[test]
fn positions_without_a_result_are_told_apart() {
    let sample = Sample::new();
    let ran = pixelmill(run("trouble", &sample.file, &["--positions", "0:3000"]));
    let group = ran.json["group"].as_str().unwrap();
    let wanted = wanted(&sample.file, Some(&format!("{group}/First")));
    let shown = show(&wanted).unwrap().pictures.remove(0);
    let picture = to_the_end(&mut begun(&wanted, "all"));
    assert_eq!(bits(&picture.values.numbers), bits(&shown.values.numbers));
    assert_eq!(picture.values.states, shown.values.states);
    let counts = |picture: &Picture| (picture.values.pending, picture.values.failed);
    assert_eq!(counts(&picture), counts(&shown));
    assert!(counts(&picture).0 == 1096 && counts(&picture).1 > 0);
    assert_eq!(picture.title, shown.title);
    // What isn't computed yet stands in for nothing.
    let mut survey = begun(&wanted, "all");
    alone(|| survey.go_on(Duration::ZERO).unwrap());
    let values = survey.picture().values;
    assert!(values.numbers[3500].is_nan() && values.states[3500] != State::Known);
}

#[test]
fn only_positions_whose_data_are_damaged_have_failed() {
    for (layout, expected) in [("chunks", 4), ("virtual", 2)] {
        let scan = Scan::made(|file| python_function("survey.py", "damaged", [file, layout]));
        let wanted = Wanted { positions_axes: Some(vec![0]), ..wanted(&scan.file, None) };
        let shown = show(&wanted).unwrap().pictures.remove(0);
        let picture = to_the_end(&mut begun(&wanted, "all"));
        assert_eq!(picture.values.failed, expected, "{layout}");
        assert_eq!(picture.values.states, shown.values.states, "{layout}");
        assert_eq!(bits(&picture.values.numbers), bits(&shown.values.numbers), "{layout}");
    }
}

#[test]
fn a_scan_that_is_larger_than_a_picture_has_the_means_of_its_pixels() {
    let scan = Scan::made(|file| python_function("survey.py", "large", [file]));
    let mut wanted = wanted(&scan.file, None);
    let shown = show(&wanted).unwrap().pictures.remove(0);
    let picture = to_the_end(&mut begun(&wanted, "all"));
    assert_eq!(picture.notes, shown.notes);
    assert!(shown.notes[0].starts_with("means of 3 × 1 positions"), "{:?}", shown.notes);
    let pairs = picture.values.numbers.iter().zip(&shown.values.numbers);
    assert!(pairs.clone().count() == 334 * 150);
    assert!(pairs.clone().all(|(one, other)| (one / other - 1.0).abs() < 1e-13));
    // Of several maps the one with the position that is named.
    wanted.positions_axes = Some(vec![2, 0, 1]);
    wanted.pixel = Some(Pixel::Number(150_000 + 7));
    let survey = &mut begun(&wanted, "all");
    assert_eq!(survey.seen(), (0, 150_000));
    let picture = to_the_end(survey);
    assert!(picture.notes.contains(&"map 2 of 7".to_owned()), "{:?}", picture.notes);
    assert!(picture.title.contains("axis 2 step 1"), "{}", picture.title);
    let Layout::Image { rows, columns, .. } = &picture.layout else { panic!("it is a map") };
    assert_eq!((rows.len(), columns.len()), (334, 150));
    let told = python_function("survey.py", "mean", [scan.file.to_str().unwrap(), "1"]);
    assert_eq!(picture.values.numbers[0], told.as_f64().unwrap());
}

#[test]
fn what_does_not_fit_the_data_is_refused() {
    let scan = Scan::new("u2", "contiguous");
    let sample = Sample::new();
    let group = succeed(run("peak-finding", &sample.file, &[]))["group"].clone();
    let frames = wanted(&scan.file, None);
    let spectra = Wanted { positions_axes: None, ..wanted(&sample.file, None) };
    let results = wanted(&sample.file, group.as_str());
    for (wanted, detector, told) in [
        (&frames, "window:10,589", "its spectra have 589 points"),
        (&frames, "disk:-9,-9,3", "no point of its frames lies inside"),
        (&spectra, "disk:1,2,3", "it holds no frames"),
        (&spectra, "rectangle:1,2,3,4", "it holds no frames"),
        (&results, "all", "say which of the datasets of this results group"),
    ] {
        let detector: Detector = detector.parse().unwrap();
        let refused = Survey::begin(wanted, &detector).err().expect(told).to_string();
        assert!(refused.contains(told), "{refused}");
    }
    let window = to_the_end(&mut begun(&frames, "window:3,3"));
    let told = python_function("survey.py", "value", [scan.file.to_str().unwrap(), "3"]);
    assert_eq!(window.values.numbers[0], told.as_f64().unwrap());
}
