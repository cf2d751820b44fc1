//! Peaks and disks in frames, with their derivatives.

use multiversion::multiversion;

use super::components::{Channels, Kind, NORM, tail};

/// Fills the columns of a spot: the function, and its derivatives by the shape parameters.
pub fn fill(kind: Kind, channels: Channels<'_>, shape: &[f64], columns: &mut [f64]) {
    match *shape {
        [x, y, radius, edge, ..] if kind == Kind::Disk => {
            disk(channels, (x, y), (radius, edge), split(columns, channels.x.len()));
        }
        [x, y, wide, high, angle, ..] => {
            let place = Ellipse::new((x, y), (wide, high), angle);
            let columns = split(columns, channels.x.len());
            match kind {
                Kind::Lorentzian2d => {
                    lorentzian((channels.x, channels.y, channels.weights), place, columns);
                }
                _ => gaussian((channels.x, channels.y, channels.weights), place, columns),
            }
        }
        _ => {}
    }
}

fn split<const COLUMNS: usize>(columns: &mut [f64], length: usize) -> [&mut [f64]; COLUMNS] {
    let mut rest = columns;
    std::array::from_fn(|_| {
        let (column, behind) = std::mem::take(&mut rest).split_at_mut(length);
        rest = behind;
        column
    })
}

/// Where an elliptic peak is, and how large.
#[derive(Clone, Copy)]
struct Ellipse {
    centre: (f64, f64),
    cosine: f64,
    sine: f64,
    /// Inverse widths along both axes.
    narrow: (f64, f64),
    /// How much an angle moves u along v and the other way round.
    turn: f64,
}

impl Ellipse {
    fn new(centre: (f64, f64), (wide, high): (f64, f64), angle: f64) -> Self {
        Self {
            centre,
            cosine: libm::cos(angle),
            sine: libm::sin(angle),
            narrow: (wide.recip(), high.recip()),
            turn: high / wide - wide / high,
        }
    }

    /// u and v of a place.
    #[inline(always)]
    fn within(&self, x: f64, y: f64) -> (f64, f64) {
        let (right, down) = (x - self.centre.0, y - self.centre.1);
        let u = (right * self.cosine - down * self.sine) * self.narrow.0;
        (u, (right * self.sine + down * self.cosine) * self.narrow.1)
    }

    /// Derivatives of −(u² + v²)/2 by the centre and the angle.
    #[inline(always)]
    fn slopes(&self, u: f64, v: f64) -> [f64; 3] {
        let (along, across) = (u * self.narrow.0, v * self.narrow.1);
        let right = along * self.cosine + across * self.sine;
        [right, across * self.cosine - along * self.sine, u * v * self.turn]
    }
}

#[multiversion(targets("x86_64+avx2"))]
fn gaussian(
    (x, y, weights): (&[f64], &[f64], &[f64]),
    place: Ellipse,
    [function, by_x, by_y, by_wide, by_high, by_angle]: [&mut [f64]; 6],
) {
    let height = NORM * NORM * place.narrow.0 * place.narrow.1;
    let places = x.iter().zip(y).zip(weights);
    let columns = function.iter_mut().zip(by_x).zip(by_y).zip(by_wide).zip(by_high).zip(by_angle);
    for (((x, y), weight), (((((f, by_x), by_y), by_wide), by_high), by_angle)) in
        places.zip(columns)
    {
        let (u, v) = place.within(*x, *y);
        let value = weight * height * tail((u * u + v * v).sqrt());
        let [right, down, turned] = place.slopes(u, v);
        *f = value;
        *by_x = value * right;
        *by_y = value * down;
        *by_wide = value * place.narrow.0 * (u * u - 1.0);
        *by_high = value * place.narrow.1 * (v * v - 1.0);
        *by_angle = value * turned;
    }
}

#[multiversion(targets("x86_64+avx2"))]
fn lorentzian(
    (x, y, weights): (&[f64], &[f64], &[f64]),
    place: Ellipse,
    [function, by_x, by_y, by_wide, by_high, by_angle]: [&mut [f64]; 6],
) {
    let places = x.iter().zip(y).zip(weights);
    let columns = function.iter_mut().zip(by_x).zip(by_y).zip(by_wide).zip(by_high).zip(by_angle);
    for (((x, y), weight), (((((f, by_x), by_y), by_wide), by_high), by_angle)) in
        places.zip(columns)
    {
        let (u, v) = place.within(*x, *y);
        let fall = (1.0 + u * u + v * v).recip();
        let value = weight * fall;
        let slope = 2.0 * value * fall;
        let [right, down, turned] = place.slopes(u, v);
        *f = value;
        *by_x = slope * right;
        *by_y = slope * down;
        *by_wide = slope * place.narrow.0 * u * u;
        *by_high = slope * place.narrow.1 * v * v;
        *by_angle = slope * turned;
    }
}

fn disk(
    channels: Channels<'_>,
    (centre_x, centre_y): (f64, f64),
    (radius, edge): (f64, f64),
    [function, by_x, by_y, by_radius, by_edge]: [&mut [f64]; 5],
) {
    let sharp = edge.recip();
    let places = channels.x.iter().zip(channels.y).zip(channels.weights);
    let columns = function.iter_mut().zip(by_x).zip(by_y).zip(by_radius).zip(by_edge);
    for (((x, y), weight), ((((f, by_x), by_y), by_radius), by_edge)) in places.zip(columns) {
        let (right, down) = (x - centre_x, y - centre_y);
        let distance = (right * right + down * down).sqrt();
        let beyond = (distance - radius) * sharp;
        // Far from the edge it is 1 or 0 to the last digit.
        *f = weight
            * if beyond.abs() < 9.0 {
                0.5 * libm::erfc(beyond * std::f64::consts::FRAC_1_SQRT_2)
            } else if beyond < 0.0 {
                1.0
            } else {
                0.0
            };
        let slope = weight * NORM * sharp * tail(beyond);
        let outwards = if distance > 0.0 { slope / distance } else { 0.0 };
        *by_x = outwards * right;
        *by_y = outwards * down;
        *by_radius = slope;
        *by_edge = slope * beyond;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derivatives_are_those_of_the_functions() {
        let x: Vec<f64> = (0..60).map(|at| f64::from(at % 10) * 0.4).collect();
        let y: Vec<f64> = (0..60).map(|at| f64::from(at / 10) * 0.6).collect();
        let weights: Vec<f64> = (0..60).map(|at| 1.0 + 0.05 * f64::from(at % 7)).collect();
        let channels = Channels { x: &x, y: &y, weights: &weights };
        for (kind, shape) in [
            (Kind::Gaussian2d, vec![1.7, 1.9, 0.9, 0.5, 0.4]),
            (Kind::Lorentzian2d, vec![1.7, 1.9, 0.9, 0.5, -0.8]),
            (Kind::Disk, vec![1.7, 1.9, 1.2, 0.3]),
        ] {
            let columns = |shape: &[f64]| {
                let mut columns = vec![0.0; (1 + shape.len()) * x.len()];
                fill(kind, channels, shape, &mut columns);
                columns
            };
            let at = columns(&shape);
            for (number, name) in kind.shape().iter().enumerate() {
                let moved = |by: f64| {
                    let mut shape = shape.clone();
                    shape[number] += by;
                    columns(&shape)
                };
                let (above, below) = (moved(1e-5), moved(-1e-5));
                for channel in 0..x.len() {
                    let expected = (above[channel] - below[channel]) / 2e-5;
                    let found = at[(1 + number) * x.len() + channel];
                    let error = (found - expected).abs();
                    assert!(error < 1e-7 * (1.0 + expected.abs()), "{kind:?} {name} {channel}");
                }
            }
        }
    }

    #[test]
    fn the_volume_of_a_gaussian_is_one_and_a_disk_is_flat_inside() {
        let x: Vec<f64> = (0..10_000).map(|at| f64::from(at % 100)).collect();
        let y: Vec<f64> = (0..10_000).map(|at| f64::from(at / 100)).collect();
        let channels = Channels { x: &x, y: &y, weights: &vec![1.0; 10_000] };
        let mut columns = vec![0.0; 60_000];
        fill(Kind::Gaussian2d, channels, &[50.0, 48.0, 7.0, 3.0, 0.5], &mut columns);
        let volume: f64 = columns[..10_000].iter().sum();
        assert!((volume - 1.0).abs() < 1e-9, "{volume}");
        fill(Kind::Disk, channels, &[50.0, 48.0, 20.0, 0.5], &mut columns);
        assert_eq!((columns[4850], columns[0]), (1.0, 0.0));
        let area: f64 = columns[..10_000].iter().sum();
        assert!((area / (std::f64::consts::PI * 400.25) - 1.0).abs() < 1e-3, "{area}");
    }
}
