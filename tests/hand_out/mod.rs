//! The hand-out of work on more ranks than any test can start: a discrete-event model that asks the
//! same `Guide` as the engine. `docs/scaling.md` has what it shows.
//!
//! `costs` is what positions take, `model` the ranks and their counter, `folds` what comes on top
//! where they fold, `tables` the cases. The
//! environment variable below writes the tables into the docs; without it they are compared.

mod costs;
mod folds;
#[path = "../../src/hand_out.rs"]
mod guide;
mod model;
mod tables;
#[path = "../../src/engine/fold/tree.rs"]
#[expect(dead_code, reason = "what is resumed and marked isn't modelled")]
mod tree;

use std::path::Path;

use folds::{Way, planned};
use tables::{Row, rows};

/// Set to write the tables into the docs.
const WRITE: &str = "PIXELMILL_WRITE_TABLES";

/// How much less efficient a row is than it could be: Graham (1969) has shown that whoever hands
/// out item by item takes no longer than the ideal time and once the dearest item.
fn lost(row: &Row) -> f64 {
    1.0 - row.outcome.efficiency * (1.0 + row.dearest_item)
}

#[test]
fn ten_to_ten_thousand_ranks_are_kept_busy() {
    for row in rows().card.iter().filter(|row| row.case.workers == 1) {
        assert!(row.outcome.efficiency >= 0.95, "{row:?}");
        assert!(row.outcome.imbalance <= 0.05, "{row:?}");
    }
    for row in &rows().card {
        assert!(lost(row) <= 0.05, "{row:?}");
    }
}

#[test]
fn equal_shares_are_worse_wherever_dear_positions_lie_together() {
    let together = |row: &&Row| row.case.work != "each by itself";
    for row in rows().card.iter().chain(&rows().looked_at).filter(together) {
        assert!(row.outcome.efficiency > row.of_static + 0.03, "{row:?}");
    }
}

#[test]
fn the_counter_answers_all_who_ask() {
    for row in &rows().card {
        assert!(row.outcome.peak_load < 0.9 * row.case.counter.capacity(), "{row:?}");
        assert!(row.outcome.waiting < 0.001, "{row:?}");
    }
    for row in &rows().looked_at {
        assert!(row.outcome.mean_load < row.case.counter.capacity(), "{row:?}");
        assert!(row.outcome.waiting < 0.08, "{row:?}");
    }
}

#[test]
fn a_counter_that_is_looked_at_costs_little() {
    for row in &rows().looked_at {
        let (least, most) = if row.case.ranks > 1000 { (0.90, 0.08) } else { (0.93, 0.02) };
        assert!(row.outcome.efficiency >= least, "{row:?}");
        assert!(row.outcome.imbalance <= most, "{row:?}");
    }
}

#[test]
fn blocks_cost_no_more_than_the_dearest_of_them() {
    for row in &rows().blocks {
        assert!(lost(row) <= 0.01, "{row:?}");
    }
}

#[test]
fn small_scans_are_shared_as_well() {
    for row in &rows().small {
        assert!(lost(row) <= 0.01, "{row:?}");
        assert!(row.outcome.imbalance <= 0.01 + row.dearest_item, "{row:?}");
    }
}

#[test]
fn what_ten_thousand_ranks_fold_comes_together_in_time() {
    let (straight, through_homes): (Vec<_>, Vec<_>) =
        rows().folds.iter().partition(|row| row.way == Way::Straight);
    for row in through_homes {
        assert!(row.folded.efficiency >= 0.9, "{row:?}");
        assert!(row.folded.most_first.max(row.folded.most_other) <= planned(), "{row:?}");
        assert!(row.folded.come * 50 < row.folded.sent, "{row:?}");
    }
    let worst = straight.iter().map(|row| row.folded.efficiency).fold(1.0, f64::min);
    assert!(worst < 0.1, "rank 0 alone can't merge it: {worst}");
}

#[test]
fn the_docs_have_these_tables() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/scaling.md");
    let before = std::fs::read_to_string(&path).unwrap();
    let mut text = before.clone();
    for (name, table) in rows().tables() {
        let begin = format!("<!-- table {name} -->\n");
        let start = text.find(&begin).expect("the docs have this mark") + begin.len();
        let length = text[start..].find("<!-- end -->").expect("each table ends with a mark");
        text.replace_range(start..start + length, &table);
    }
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let differs = before.lines().zip(text.lines()).find(|(old, new)| old != new);
    let is_written = std::env::var_os(WRITE).is_some();
    assert!(is_written || before == text, "{WRITE}=1 brings it up to date; {differs:?}");
}
