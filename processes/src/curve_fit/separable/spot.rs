//! One Gaussian, alone or on a constant, over a whole frame: what its columns tell without them.
//!
//! With the places d = x − centre_x and e = y − centre_y it is g = exp(−(a·d² + 2b·d·e + c·e²)/2)
//! times its height, and all derivatives are g times polynomials of the second degree. Products of
//! columns then follow from the moments Σ g²·dᵖ·eᵠ with p and q up to 4 together, and from Σ
//! g·dᵖ·eᵠ and Σ r·g·dᵖ·eᵠ up to 2, r being the residuals. Powers of e are the same for a row, so
//! that a point takes some 30 operations besides its exponential. Products of columns lose digits
//! that orthogonalised columns keep: where these are many, there are columns after all.

use multiversion::multiversion;

use super::{Buffers, Layout, Separable, State};
use crate::curve_fit::arrays::{dot, exp_fused};
use crate::curve_fit::components::{Kind, LEAST_EXPONENT, NORM};
use crate::curve_fit::estimate::Frame;
use crate::curve_fit::model::Model;
use crate::least_squares::NormalEquations;

const LANES: usize = 8;
/// Less than this share of a column's square that others leave has lost too many digits.
const LEAST_REST: f64 = 1e-6;
/// So do the polynomials where one width is so many times the other.
const MOST_ELONGATED: f64 = 16.0;
/// Powers of d and e of the polynomials' terms.
const TERMS: [(usize, usize); 6] = [(0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2)];

/// Parameters that the shape of a Gaussian has.
const SHAPES: usize = 5;

/// Sums of as many points side by side.
type Lanes = [f64; LANES];
/// Factors of the terms, or sums of something times them.
type Terms = [f64; TERMS.len()];

/// Where a frame's points are, and which parameters are the linear ones.
#[derive(Clone, Debug)]
pub struct Spot {
    /// Number of the Gaussian among the components.
    part: usize,
    peak: usize,
    constant: Option<usize>,
    x: Vec<f64>,
    y: Vec<f64>,
}

/// Sums that no step of the search changes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Constants {
    /// Σ w², w being what residuals are weighted with.
    weights: f64,
    /// Σ w² times the values.
    values: f64,
}

/// The exponent at a point, and what it is multiplied by.
#[derive(Clone, Copy)]
struct Bell {
    centre: (f64, f64),
    height: f64,
    /// Halves of −a, −2b and −c.
    exponent: [f64; 3],
}

/// Sums over a frame of the weighted Gaussian g, the weights w and the weighted values v.
struct Moments<T> {
    /// Σ g²·dᵖ·eᵠ, by q and p.
    squares: [[T; 5]; 5],
    /// Σ w·g·dᵖ·eᵠ, likewise.
    alone: [[T; 3]; 3],
    /// Σ g·v.
    values: T,
}

/// Sums over a frame of the residuals r.
struct Rest<T> {
    squares: T,
    /// Σ w·r.
    alone: T,
    /// Σ r·g·dᵖ·eᵠ, by q and p.
    terms: [[T; 3]; 3],
}

impl Spot {
    /// The Gaussian of a model that is nothing else than one, with or without a constant, over all
    /// points of a frame.
    pub fn of(model: &Model, layout: &Layout, frame: &Frame) -> Option<Self> {
        let part = model.parts.iter().position(|part| part.kind == Kind::Gaussian2d)?;
        let constant = match model.parts.len() {
            1 => None,
            2 if model.parts[1 - part].kind == Kind::Offset => Some(&model.parts[1 - part]),
            _ => return None,
        };
        let peak = model.parts[part].linear[0].free?;
        let constant = match constant {
            Some(constant) => Some(constant.linear[0].free?),
            None => None,
        };
        let is_one = |terms: &Vec<(usize, f64)>| matches!(terms.as_slice(), [(_, 1.0)]);
        let is_plain = layout.linear.iter().all(is_one) && layout.constant.is_empty();
        (frame.is_whole() && is_plain && !layout.is_bounded).then(|| Self {
            part,
            peak,
            constant,
            x: frame.x.clone(),
            y: frame.y.clone(),
        })
    }

    /// Takes the sums of a spectrum that all steps share.
    pub fn begin(work: &mut Buffers) {
        let values = dot(&work.values, &work.weights);
        work.constants = Constants { weights: dot(&work.weights, &work.weights), values };
    }

    /// The sum of squares, and the normal equations of the shape parameters; none if the columns
    /// have to tell.
    pub fn linearise(
        &self,
        problem: &mut Separable<'_>,
        shape: &[f64],
        equations: &mut NormalEquations,
    ) -> Option<f64> {
        let (layout, work) = (problem.layout, &mut *problem.work);
        let values = problem.model.parts[self.part].shape_values(shape);
        let [x, y, wide, high, angle, ..] = values;
        let is_round = wide <= MOST_ELONGATED * high && high <= MOST_ELONGATED * wide;
        if !is_round {
            return None;
        }
        let (bell, slopes) = Bell::new((x, y), (wide, high), angle);
        let Buffers { values, weights, residuals, constants, .. } = work;
        let moments = gather(&bell, (&self.x, &self.y), (values, weights), residuals);
        let moments = moments.added();
        let alone = of_terms(moments.alone);
        let triangle = Triangle::of(
            self.both(moments.squares[0][0], constants.weights),
            alone[0],
            self.constant.map_or(1, |_| 2),
        )?;
        let solution = triangle.back(triangle.forward(self.both(moments.values, constants.values)));
        let (area, level) = (solution[self.peak], self.constant.map_or(0.0, |at| solution[at]));
        let known = (values.as_slice(), weights.as_slice());
        let rest = subtract(&bell, (&self.x, &self.y), known, (area, level), residuals);
        let rest = rest.added();
        let terms = of_terms(rest.terms);
        triangle.tell(solution, work);
        equations.begin(shape.len());
        let mut columns = [[0.0; TERMS.len()]; SHAPES];
        let first = layout.first[self.part] + 1;
        for (column, terms) in columns.iter_mut().zip(&layout.shape) {
            for term in terms {
                let factor = area * term.factor;
                let slope = slopes[term.column - first];
                column.iter_mut().zip(slope).for_each(|(sum, slope)| *sum += factor * slope);
            }
        }
        // What rounding has left of the residuals along the linear columns.
        let left = triangle.forward(self.both(terms[0], rest.alone));
        let mut along = [[0.0; 2]; SHAPES];
        for at in 0..shape.len() {
            let column = &columns[at];
            let curved = moments.times(column);
            along[at] = triangle.forward(self.both(curved[0], product(column, &alone)));
            for (linear, share) in along[at].iter().enumerate().take(work.linear.len()) {
                work.projected[linear * shape.len() + at] = *share;
            }
            let whole = product(column, &curved);
            let free = whole - product(&along[at], &along[at]);
            let is_told = free > LEAST_REST * whole;
            if !is_told {
                return None;
            }
            equations.set(at, at, free);
            equations.descent[at] = product(column, &terms) - product(&along[at], &left);
            for other in 0..at {
                let shared = product(&columns[other], &curved);
                equations.set(at, other, shared - product(&along[at], &along[other]));
            }
        }
        rest.squares.is_finite().then_some(rest.squares)
    }

    /// What belongs to the Gaussian and to the constant, in the order of the linear parameters.
    fn both(&self, of_peak: f64, of_constant: f64) -> [f64; 2] {
        match self.constant {
            Some(0) => [of_constant, of_peak],
            Some(_) => [of_peak, of_constant],
            None => [of_peak, 0.0],
        }
    }
}

/// R of the columns of the linear parameters, as the products of these say.
struct Triangle {
    /// Its diagonal.
    own: [f64; 2],
    shared: f64,
}

impl Triangle {
    /// From the squares of one column or two, and their product; none if they are nearly the same.
    fn of(squares: [f64; 2], both: f64, count: usize) -> Option<Self> {
        let first = squares[0].sqrt();
        if count == 1 {
            return (first > 0.0).then_some(Self { own: [first, 1.0], shared: 0.0 });
        }
        let shared = both / first;
        let rest = squares[1] - shared * shared;
        let is_told = first > 0.0 && rest > LEAST_REST * squares[1];
        is_told.then(|| Self { own: [first, rest.sqrt()], shared })
    }

    /// Products with the columns as those with Q.
    fn forward(&self, products: [f64; 2]) -> [f64; 2] {
        let first = products[0] / self.own[0];
        [first, (products[1] - self.shared * first) / self.own[1]]
    }

    /// R⁻¹ of products with Q.
    fn back(&self, products: [f64; 2]) -> [f64; 2] {
        let second = products[1] / self.own[1];
        [(products[0] - self.shared * second) / self.own[0], second]
    }

    /// Leaves in the workspace what the covariance needs.
    fn tell(&self, solution: [f64; 2], work: &mut Buffers) {
        let count = work.linear.len();
        work.state.fill(State::Free);
        work.linear.copy_from_slice(&solution[..count]);
        for (at, own) in self.own.iter().enumerate().take(count) {
            work.r[at * count + at] = *own;
        }
        if count > 1 {
            work.r[1] = self.shared;
        }
    }
}

impl Bell {
    /// With the derivatives by each parameter, as polynomials.
    fn new(centre: (f64, f64), (wide, high): (f64, f64), angle: f64) -> (Self, [Terms; SHAPES]) {
        let (sine, cosine) = (libm::sin(angle), libm::cos(angle));
        let (wider, higher) = (wide.recip(), high.recip());
        // u = along·(d, e), v = across·(d, e).
        let along = (cosine * wider, -sine * wider);
        let across = (sine * higher, cosine * higher);
        let times = |u: (f64, f64), v: (f64, f64)| (u.0 * v.0, u.0 * v.1 + u.1 * v.0, u.1 * v.1);
        let (uu, vv, uv) = (times(along, along), times(across, across), times(along, across));
        let [a, b, c] = [uu.0 + vv.0, 0.5 * (uu.1 + vv.1), uu.2 + vv.2];
        let turn = high * wider - wide * higher;
        let slopes = [
            [0.0, a, b, 0.0, 0.0, 0.0],
            [0.0, b, c, 0.0, 0.0, 0.0],
            [-wider, 0.0, 0.0, wider * uu.0, wider * uu.1, wider * uu.2],
            [-higher, 0.0, 0.0, higher * vv.0, higher * vv.1, higher * vv.2],
            [0.0, 0.0, 0.0, turn * uv.0, turn * uv.1, turn * uv.2],
        ];
        let height = NORM * NORM * wider * higher;
        (Self { centre, height, exponent: [-0.5 * a, -b, -0.5 * c] }, slopes)
    }

    /// Its weighted values in a row.
    #[inline(always)]
    fn fill(&self, x: &[f64], e: f64, weights: &[f64], function: &mut [f64]) {
        let [square, both, across] = self.exponent;
        let (linear, constant) = (both * e, across * e * e);
        for ((function, x), weight) in function.iter_mut().zip(x).zip(weights) {
            let d = x - self.centre.0;
            let exponent = d.mul_add(d.mul_add(square, linear), constant);
            let fall = if exponent < LEAST_EXPONENT { 0.0 } else { exp_fused(exponent) };
            *function = weight * (self.height * fall);
        }
    }
}

/// What lies side by side added up. Where it is summed the compiler would take the sums
/// themselves for what is to lie side by side.
fn added<const P: usize, const Q: usize>(sums: &[[Lanes; P]; Q]) -> [[f64; P]; Q] {
    sums.map(|sums| sums.map(|lanes| lanes.iter().sum()))
}

/// Those sums that are times the terms.
fn of_terms(sums: [[f64; 3]; 3]) -> Terms {
    TERMS.map(|(p, q)| sums[q][p])
}

impl Moments<Lanes> {
    fn added(&self) -> Moments<f64> {
        let [[values]] = added(&[[self.values]]);
        Moments { squares: added(&self.squares), alone: added(&self.alone), values }
    }
}

impl Rest<Lanes> {
    fn added(&self) -> Rest<f64> {
        let [[squares, alone]] = added(&[[self.squares, self.alone]]);
        Rest { squares, alone, terms: added(&self.terms) }
    }
}

impl Moments<f64> {
    /// Sums of g² times a polynomial and each of the terms.
    fn times(&self, column: &Terms) -> Terms {
        std::array::from_fn(|at| {
            let (p, q) = TERMS[at];
            let each = column.iter().zip(TERMS);
            each.map(|(factor, (d, e))| factor * self.squares[q + e][p + d]).sum()
        })
    }
}

fn product(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).map(|(left, right)| left * right).sum()
}

/// The end of some rows, where what is no point is 0.
#[inline(always)]
fn padded<const ROWS: usize>(rows: [&[f64]; ROWS]) -> [[Lanes; 1]; ROWS] {
    rows.map(|row| {
        let mut lanes = [0.0; LANES];
        lanes.iter_mut().zip(row).for_each(|(lane, value)| *lane = *value);
        [lanes]
    })
}

/// sum += left·right.
#[inline(always)]
fn add_product(sum: &mut Lanes, left: &Lanes, right: &Lanes) {
    for lane in 0..LANES {
        sum[lane] = left[lane].mul_add(right[lane], sum[lane]);
    }
}

/// Adds to each sum the values times as many powers of d.
#[inline(always)]
fn add_powers<const POWERS: usize>(sums: &mut [Lanes; POWERS], values: Lanes, d: &Lanes) {
    let mut term = values;
    for sum in sums {
        for lane in 0..LANES {
            sum[lane] += term[lane];
        }
        for lane in 0..LANES {
            term[lane] *= d[lane];
        }
    }
}

/// Adds the sums of a row to those of the frame, times as many powers of e as have no higher
/// degree.
#[inline(always)]
fn add_row<const POWERS: usize>(
    row: &[Lanes; POWERS],
    e: f64,
    sums: &mut [[Lanes; POWERS]; POWERS],
) {
    let mut power = [1.0; LANES];
    for (q, sums) in sums.iter_mut().enumerate() {
        for (sum, row) in sums.iter_mut().zip(&row[..POWERS - q]) {
            add_product(sum, row, &power);
        }
        power = power.map(|power| power * e);
    }
}

#[inline(always)]
fn times(left: &Lanes, right: &Lanes) -> Lanes {
    std::array::from_fn(|lane| left[lane] * right[lane])
}

/// Sums over a row, by the powers of d.
#[derive(Clone, Copy, Default)]
struct RowMoments {
    squares: [Lanes; 5],
    alone: [Lanes; 3],
}

impl RowMoments {
    /// Adds some points, and to `with_values` what they are in the values.
    #[inline(always)]
    fn add(
        &mut self,
        centre: f64,
        [x, values, weights, function]: [&[Lanes]; 4],
        with_values: &mut Lanes,
    ) {
        let (mut own, mut with) = (*self, *with_values);
        let points = x.iter().zip(values).zip(weights).zip(function);
        for (((x, values), weights), function) in points {
            let d = x.map(|x| x - centre);
            add_product(&mut with, function, values);
            add_powers(&mut own.squares, times(function, function), &d);
            add_powers(&mut own.alone, times(function, weights), &d);
        }
        (*self, *with_values) = (own, with);
    }
}

/// The moments of a Gaussian, whose weighted values are left in `function`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn gather(
    bell: &Bell,
    (x, y): (&[f64], &[f64]),
    (values, weights): (&[f64], &[f64]),
    function: &mut [f64],
) -> Moments<Lanes> {
    let mut squares = [[[0.0; LANES]; 5]; 5];
    let mut alone = [[[0.0; LANES]; 3]; 3];
    let mut with_values = [0.0; LANES];
    let rows = values.chunks_exact(x.len()).zip(weights.chunks_exact(x.len()));
    for (((values, weights), y), function) in rows.zip(y).zip(function.chunks_exact_mut(x.len())) {
        let e = y - bell.centre.1;
        bell.fill(x, e, weights, function);
        let mut row = RowMoments::default();
        let ((x, end), (values, of_values)) = (x.as_chunks(), values.as_chunks());
        let ((weights, of_weights), (function, of_function)) =
            (weights.as_chunks(), function.as_chunks());
        row.add(bell.centre.0, [x, values, weights, function], &mut with_values);
        if !end.is_empty() {
            let [x, values, weights, function] = padded([end, of_values, of_weights, of_function]);
            row.add(bell.centre.0, [&x, &values, &weights, &function], &mut with_values);
        }
        add_row(&row.squares, e, &mut squares);
        add_row(&row.alone, e, &mut alone);
    }
    Moments { squares, alone, values: with_values }
}

/// Sums over the residuals so far, and over those of a row by the powers of d.
#[derive(Clone, Copy, Default)]
struct RowRest {
    squares: Lanes,
    alone: Lanes,
    terms: [Lanes; 3],
}

impl RowRest {
    /// Adds some points, in whose place in `function` the residuals are left.
    #[inline(always)]
    fn add(
        &mut self,
        (centre, area, level): (f64, f64, f64),
        [x, values, weights]: [&[Lanes]; 3],
        function: &mut [Lanes],
    ) {
        let (mut own, area, level) = (*self, [-area; LANES], [-level; LANES]);
        let points = x.iter().zip(values).zip(weights).zip(function);
        for (((x, values), weights), function) in points {
            let mut rest = *values;
            add_product(&mut rest, &area, function);
            add_product(&mut rest, &level, weights);
            add_product(&mut own.squares, &rest, &rest);
            add_product(&mut own.alone, &rest, weights);
            add_powers(&mut own.terms, times(&rest, function), &x.map(|x| x - centre));
            *function = rest;
        }
        *self = own;
    }
}

/// What is left of the values without a Gaussian of this area and a constant; in `function`, where
/// the Gaussian was.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn subtract(
    bell: &Bell,
    (x, y): (&[f64], &[f64]),
    (values, weights): (&[f64], &[f64]),
    (area, level): (f64, f64),
    function: &mut [f64],
) -> Rest<Lanes> {
    let mut row = RowRest::default();
    let mut terms = [[[0.0; LANES]; 3]; 3];
    let known = (bell.centre.0, area, level);
    let rows = values.chunks_exact(x.len()).zip(weights.chunks_exact(x.len()));
    for (((values, weights), y), function) in rows.zip(y).zip(function.chunks_exact_mut(x.len())) {
        row.terms = [[0.0; LANES]; 3];
        let ((x, end), (values, of_values)) = (x.as_chunks(), values.as_chunks());
        let ((weights, of_weights), (function, of_function)) =
            (weights.as_chunks(), function.as_chunks_mut());
        row.add(known, [x, values, weights], function);
        if !end.is_empty() {
            let [x, values, weights, mut last] =
                padded([end, of_values, of_weights, &*of_function]);
            row.add(known, [&x, &values, &weights], &mut last);
            of_function.copy_from_slice(&last.as_flattened()[..end.len()]);
        }
        add_row(&row.terms, y - bell.centre.1, &mut terms);
    }
    Rest { squares: row.squares, alone: row.alone, terms }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curve_fit::description::Components;
    use crate::curve_fit::model::Extent;
    use crate::least_squares::{Bounds, Problem};
    use serde_json::{Value, json};

    const EXTENT: Extent = Extent { least: 0.0, most: 9.0, channel: 0.5 };

    /// What an evaluation tells: the sum, the normal equations, the linear parameters, residuals
    /// and variances.
    struct Told {
        sum: f64,
        numbers: Vec<f64>,
        residuals: Vec<f64>,
    }

    /// A frame of so many rows and columns, uneven weights and places.
    struct Fixture {
        model: Model,
        layout: Layout,
        frame: Frame,
        values: Vec<f64>,
        weights: Vec<f64>,
    }

    impl Fixture {
        fn new(components: &Value, (rows, columns): (usize, usize)) -> Self {
            let components: Components = serde_json::from_value(components.clone()).unwrap();
            let model = Model::over(&components, [EXTENT; 2]).unwrap();
            let layout = Layout::new(&model, rows * columns);
            let line =
                |count: usize| (0..count).map(move |at| 9.0 * (at as f64 / count as f64).powf(1.1));
            let (y, x): (Vec<f64>, Vec<f64>) = (line(rows).collect(), line(columns).collect());
            let points: Vec<usize> = (0..rows * columns).collect();
            let value = |at: &usize| {
                let (d, e) = (x[at % columns] - 4.1, y[at / columns] - 3.7);
                let noise = 0.2 * ((at * 7919 % 1009) as f64 / 504.5 - 1.0);
                2.0 + noise + 9.0 * (-0.4 * d * d - 0.1 * d * e - 0.2 * e * e).exp()
            };
            let values = points.iter().map(value).collect();
            let weights = points.iter().map(|at| 1.0 + 0.1 * (at % 5) as f64).collect();
            let frame = Frame::new(points, &y, &x, EXTENT);
            Self { model, layout, frame, values, weights }
        }

        fn spot(&self) -> Option<Spot> {
            Spot::of(&self.model, &self.layout, &self.frame)
        }

        fn told(&self, spot: Option<&Spot>, shape: &[f64]) -> Told {
            let columns = self.frame.x.len();
            let places = || self.frame.points.iter();
            let x: Vec<f64> = places().map(|at| self.frame.x[at % columns]).collect();
            let y: Vec<f64> = places().map(|at| self.frame.y[at / columns]).collect();
            let mut work = Buffers { weights: self.weights.clone(), ..Buffers::default() };
            let mut equations = NormalEquations::default();
            let (model, layout, widths, convolved) = (&self.model, &self.layout, None, None);
            let (x, y) = (&x, &y);
            let mut problem =
                Separable { model, layout, x, y, widths, convolved, spot, work: &mut work };
            problem.begin(&self.values);
            let sum = problem.linearise(shape, &mut equations);
            let mut numbers = equations.descent.clone();
            for at in 0..shape.len() {
                numbers.extend((0..=at).map(|other| equations.element(at, other)));
            }
            numbers.extend(&work.linear);
            let free = Bounds { lower: &[f64::NEG_INFINITY; 5], upper: &[f64::INFINITY; 5] };
            let mut variances = Vec::new();
            work.variances(&equations, shape, free, &mut variances);
            numbers.extend(variances);
            Told { sum, numbers, residuals: work.residuals }
        }
    }

    #[test]
    fn moments_tell_what_columns_tell() {
        let tied = json!({"tied": "spot.sigma_x", "factor": 0.7, "shift": 0.1});
        let spot = |more: Value| {
            let mut spot = json!({"type": "gaussian2d", "name": "spot"});
            spot.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            spot
        };
        let shape = [4.3, 3.5, 1.3, 1.7, 0.3];
        for (components, shape) in [
            (json!("gaussian2d"), &shape[..]),
            (json!("gaussian2d+offset"), &shape),
            (json!("offset+gaussian2d"), &shape),
            (json!([spot(json!({"rotation_angle": {"fixed": 0.2}})), "offset"]), &shape[..4]),
            (json!([spot(json!({"sigma_y": tied})), "offset"]), &[4.3, 3.5, 1.3, 0.3]),
        ] {
            for size in [(9, 16), (13, 11), (24, 32), (30, 5)] {
                let fixture = Fixture::new(&components, size);
                let spot = fixture.spot().unwrap();
                let (found, expected) =
                    (fixture.told(Some(&spot), shape), fixture.told(None, shape));
                let near = |found: f64, expected: f64, scale: f64| {
                    let difference = (found - expected).abs();
                    assert!(
                        difference < 1e-10 * scale,
                        "{components}, {size:?}: {found} {expected}"
                    );
                };
                near(found.sum, expected.sum, expected.sum);
                for (found, expected) in found.numbers.iter().zip(&expected.numbers) {
                    near(*found, *expected, 1.0 + expected.abs());
                }
                for (found, expected) in found.residuals.iter().zip(&expected.residuals) {
                    near(*found, *expected, 10.0);
                }
            }
        }
    }

    #[test]
    fn columns_tell_where_moments_would_lose_digits() {
        let fixture = Fixture::new(&json!("gaussian2d+offset"), (16, 16));
        let spot = fixture.spot().unwrap();
        for shape in [
            // Very long, as wide as a constant, beyond the frame, and nowhere.
            [4.3, 3.5, 0.1, 2.0, 0.3],
            [4.3, 3.5, 9000.0, 9000.0, 0.3],
            [-8.0, 3.5, 1.0, 1.0, 0.0],
            [4.3, 3.5, 1e-3, 1e-3, 0.3],
        ] {
            let (found, expected) = (fixture.told(Some(&spot), &shape), fixture.told(None, &shape));
            assert_eq!(found.sum.to_bits(), expected.sum.to_bits(), "{shape:?}");
            let bits = |told: &Told| -> Vec<_> {
                told.numbers.iter().map(|number| number.to_bits()).collect()
            };
            assert_eq!(bits(&found), bits(&expected), "{shape:?}");
        }
    }

    #[test]
    fn other_models_and_frames_with_holes_have_columns() {
        for components in [
            json!("lorentzian2d+offset"),
            json!("gaussian2d+plane"),
            json!("gaussian2d+gaussian2d"),
            json!([{"type": "gaussian2d", "A": {"min": 0}}, "offset"]),
            json!([{"type": "gaussian2d", "A": {"fixed": 3}}, "offset"]),
            json!(["gaussian2d", {"type": "offset", "offset": {"tied": "gaussian2d.A"}}]),
        ] {
            assert!(Fixture::new(&components, (9, 9)).spot().is_none(), "{components}");
        }
        let mut fixture = Fixture::new(&json!("gaussian2d"), (9, 9));
        assert!(fixture.spot().is_some());
        let points = (1..81).collect();
        fixture.frame = Frame::new(points, &fixture.frame.y, &fixture.frame.x, EXTENT);
        assert!(fixture.spot().is_none());
    }
}
