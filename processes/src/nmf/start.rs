//! Where a search for components begins: what of singular vectors has one sign.

/// What of the most that the scan has of a vector counts as nothing.
const NOTHING: f64 = 1e-13;

/// For each singular vector its positive or its negative part, whichever has more of the scan, as a
/// vector of norm 1 without signs (NNDSVD; C. Boutsidis and E. Gallopoulos, Pattern Recognit. 41
/// (2008) 1350). `squares` has for each what the scan has of it in the sense of the vector and
/// against it: the sums of the squares of its positive and of its negative parts. What the scan
/// has nothing of is nothing.
pub fn start(vectors: &[f64], points: usize, squares: &[f64]) -> Vec<f64> {
    let nothing = NOTHING * squares.iter().fold(0.0_f64, |most, square| most.max(*square));
    let each = vectors.chunks_exact(points).zip(squares.as_chunks().0);
    each.flat_map(|(vector, [along, against])| {
        let positive: f64 = vector.iter().map(|value| value.max(0.0).powi(2)).sum();
        let negative: f64 = vector.iter().map(|value| value.min(0.0).powi(2)).sum();
        let (sign, square, has) = match along * positive >= against * negative {
            true => (1.0, positive, *along),
            false => (-1.0, negative, *against),
        };
        let factor = if square > 0.0 && has > nothing { sign / square.sqrt() } else { 0.0 };
        vector.iter().map(move |value| (factor * value).max(0.0))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_part_of_which_the_scan_has_more_is_taken() {
        let vectors = [0.6, 0.8, 0.0, 0.6, -0.8, 0.0, 0.6, -0.8, 0.0, 0.0, 1.0, 0.0];
        let squares = [9.0, 0.0, 1.0, 1.0, 4.0, 1.0, 1e-14, 0.0];
        let found = start(&vectors, 3, &squares);
        let expected = [0.6, 0.8, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-15), "{found:?}");
    }
}
