//! The cases that are looked at, and their tables in `docs/scaling.md`.

use std::sync::OnceLock;
use std::thread;

use super::costs::{Costs, POSITIONS, Spread};
use super::folds::{Fold, Folded, Way};
use super::model::{CARD, Counter, Job, LOOKED_AT, Outcome, SECOND};

/// What is computed, and by whom.
#[derive(Clone, Debug)]
pub struct Case {
    pub work: &'static str,
    pub ranks: usize,
    pub workers: usize,
    pub counter: Counter,
    /// Items per rank.
    pub items: f64,
    ideal: u64,
}

/// A case and what came of it.
#[derive(Debug)]
pub struct Row {
    pub case: Case,
    pub of_static: f64,
    pub dearest_item: f64,
    pub outcome: Outcome,
}

/// All cases of all tables.
pub struct Rows {
    /// Positions, and a counter that adds by itself.
    pub card: Vec<Row>,
    /// Positions, and a counter that rank 0 has to look at.
    pub looked_at: Vec<Row>,
    /// Blocks.
    pub blocks: Vec<Row>,
    /// Scans of few positions.
    pub small: Vec<Row>,
    pub folds: Vec<FoldRow>,
}

/// A fold and what came of it.
#[derive(Debug)]
pub struct FoldRow {
    pub work: &'static str,
    pub ranks: usize,
    pub way: Way,
    pub folded: Folded,
}

/// Positions of a small scan: 64 × 64.
const SMALL: u64 = 4096;

/// Names of what is computed, and which draw it is.
const WORKS: [(&str, Spread, u64); 6] = [
    ("each by itself", Spread::Even, 1),
    ("by region", Spread::Regional, 1),
    // Of six draws the worst with the slower counter.
    ("by region, drawn again", Spread::Regional, 5),
    ("dear at the beginning", Spread::Lump { from: 0.0 }, 1),
    ("dear in the middle", Spread::Lump { from: 0.475 }, 1),
    ("dear at the end", Spread::Lump { from: 0.95 }, 1),
];

/// Computed once for all tests.
pub fn rows() -> &'static Rows {
    static ROWS: OnceLock<Rows> = OnceLock::new();
    ROWS.get_or_init(|| {
        let mut parts = thread::scope(|scope| {
            let begin = |(work, spread, draw)| {
                scope.spawn(move || of_work(work, &Costs::new(spread, draw)))
            };
            WORKS.map(begin).map(|thread| thread.join().expect("the model doesn't panic"))
        });
        let folds = parts.iter_mut().flat_map(|part| std::mem::take(&mut part.folds)).collect();
        let mut join = |of: fn(&mut Rows) -> &mut Vec<Row>| {
            parts.iter_mut().flat_map(|part| std::mem::take(of(part))).collect()
        };
        Rows {
            folds,
            card: join(|rows| &mut rows.card),
            looked_at: join(|rows| &mut rows.looked_at),
            blocks: join(|rows| &mut rows.blocks),
            small: join(|rows| &mut rows.small),
        }
    })
}

fn of_work(work: &'static str, costs: &Costs) -> Rows {
    let positions = |counter, ideal, (ranks, workers)| {
        let items = POSITIONS as f64 / ranks as f64;
        row(Case { work, ranks, workers, counter, items, ideal }, costs)
    };
    let card = [(10, 1), (100, 1), (1000, 1), (10_000, 1), (1000, 64), (10_000, 64)];
    let looked_at = [(1000, 1), (10_000, 1)];
    let blocks = [1.5, 2.5, 5.5, 20.0, 100.0, 1000.0].map(|items| {
        let (ranks, workers, ideal) = (100, 64, 600 * SECOND);
        row(Case { work, ranks, workers, counter: CARD, items, ideal }, costs)
    });
    let small = [2, 4, 16].map(|ranks| {
        let (items, ideal) = (SMALL as f64 / ranks as f64, 5 * SECOND);
        row(Case { work, ranks, workers: 1, counter: CARD, items, ideal }, costs)
    });
    let folds: &[(usize, Way)] = match work {
        "each by itself" => &[
            (100, Way::Straight),
            (1000, Way::Straight),
            (10_000, Way::Straight),
            (10, Way::Homes),
            (100, Way::Homes),
            (1000, Way::Homes),
            (10_000, Way::Homes),
        ],
        _ => &[(10_000, Way::Homes)],
    };
    Rows {
        card: card.map(|size| positions(CARD, 30 * SECOND, size)).into(),
        looked_at: looked_at.map(|size| positions(LOOKED_AT, 3600 * SECOND, size)).into(),
        blocks: blocks.into(),
        small: small.into(),
        folds: folds.iter().map(|(ranks, way)| fold(work, costs, *ranks, *way)).collect(),
    }
}

fn fold(work: &'static str, costs: &Costs, ranks: usize, way: Way) -> FoldRow {
    let folded = Fold { costs, ranks, way }.run();
    FoldRow { work, ranks, way, folded }
}

fn row(case: Case, costs: &Costs) -> Row {
    let Case { ranks, workers, counter, ideal, .. } = case;
    let items = (case.items * ranks as f64).round() as u64;
    let job = Job { costs, items, ranks, workers, counter, ideal };
    let outcome = job.run();
    assert_eq!(outcome.items, items, "every item is taken once");
    let (of_static, dearest_item) = (job.static_efficiency(), job.dearest_item());
    Row { case, of_static, dearest_item, outcome }
}

impl Rows {
    /// The tables by their names, in Markdown.
    pub fn tables(&self) -> [(&'static str, String); 5] {
        [
            ("card", of_positions(&self.card)),
            ("looked-at", of_positions(&self.looked_at)),
            ("blocks", self.of_blocks()),
            ("small", of_positions(&self.small)),
            ("folds", self.of_folds()),
        ]
    }

    fn of_folds(&self) -> String {
        let head = [
            "costs",
            "ranks",
            "nodes go",
            "efficiency",
            "gathering at the end",
            "nodes sent",
            "nodes come to rank 0",
            "most at rank 0",
            "most at another",
            "merging at most",
            "behind",
        ];
        table(
            &head,
            self.folds.iter().map(|FoldRow { work, ranks, way, folded }| {
                vec![
                    (*work).to_owned(),
                    thousands(*ranks as f64),
                    if *way == Way::Homes { "home" } else { "to rank 0" }.to_owned(),
                    percent(folded.efficiency),
                    percent(folded.gathering),
                    thousands(rounded(folded.sent as f64)),
                    thousands(rounded(folded.come as f64)),
                    thousands(rounded(folded.most_first as f64)),
                    thousands(rounded(folded.most_other as f64)),
                    percent(folded.merging),
                    format!("{:.1} s", folded.behind),
                ]
            }),
        )
    }

    fn of_blocks(&self) -> String {
        let head = [
            "costs",
            "blocks per rank",
            "dearest block",
            "equal shares",
            "handed out",
            "imbalance",
        ];
        table(
            &head,
            self.blocks.iter().map(|Row { case, of_static, dearest_item, outcome }| {
                vec![
                    case.work.to_owned(),
                    case.items.to_string(),
                    percent(*dearest_item),
                    percent(*of_static),
                    percent(outcome.efficiency),
                    percent(outcome.imbalance),
                ]
            }),
        )
    }
}

fn of_positions(rows: &[Row]) -> String {
    let head = [
        "costs",
        "ranks × workers",
        "equal shares",
        "handed out",
        "imbalance",
        "dearest position",
        "pieces",
        "fetches/s",
        "at most",
        "waiting",
    ];
    table(
        &head,
        rows.iter().map(|Row { case, of_static, dearest_item, outcome }| {
            vec![
                case.work.to_owned(),
                format!("{} × {}", thousands(case.ranks as f64), case.workers),
                percent(*of_static),
                percent(outcome.efficiency),
                percent(outcome.imbalance),
                percent(*dearest_item),
                thousands(rounded(outcome.pieces as f64)),
                thousands(rounded(outcome.mean_load)),
                thousands(rounded(outcome.peak_load)),
                percent(outcome.waiting),
            ]
        }),
    )
}

fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let head: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
    let rule = std::iter::once("---").chain(std::iter::repeat_n("---:", head.len() - 1));
    let rule: Vec<String> = rule.map(str::to_owned).collect();
    let body: String = rows.map(|cells| line(&cells)).collect();
    line(&head) + &line(&rule) + &body
}

fn percent(part: f64) -> String {
    format!("{:.1} %", part * 100.0)
}

/// With two digits that count: more say nothing of a model.
fn rounded(value: f64) -> f64 {
    let unit = 10f64.powi((value.max(1.0).log10().floor() as i32 - 1).max(0));
    (value / unit).round() * unit
}

fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let groups = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy);
    groups.collect::<Vec<_>>().join(",")
}
