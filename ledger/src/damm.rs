//! The Damm check digit: catches every mistyped digit and every swapped pair of neighbours.

/// The totally anti-symmetric quasigroup of order 10 from H. Michael Damm's thesis (Marburg, 2004). Its
/// diagonal is zero, so a text with its check digit at the end comes out as 0.
const TABLE: [[u8; 10]; 10] = [
    [0, 3, 1, 7, 5, 9, 8, 6, 4, 2],
    [7, 0, 9, 2, 1, 5, 4, 8, 6, 3],
    [4, 2, 0, 6, 8, 7, 1, 3, 5, 9],
    [1, 7, 5, 0, 9, 8, 3, 4, 2, 6],
    [6, 1, 2, 3, 0, 4, 5, 9, 7, 8],
    [3, 6, 7, 4, 2, 0, 9, 5, 8, 1],
    [5, 8, 6, 9, 7, 2, 0, 1, 3, 4],
    [8, 9, 4, 5, 3, 6, 2, 0, 1, 7],
    [9, 4, 3, 8, 6, 1, 7, 2, 0, 5],
    [2, 5, 8, 1, 4, 3, 6, 7, 9, 0],
];

/// The check digit of decimal digits (values 0 to 9, first digit first).
pub(crate) fn check_digit(digits: impl Iterator<Item = u8>) -> u8 {
    digits.fold(0, |interim, digit| TABLE[usize::from(interim)][usize::from(digit)])
}

#[cfg(test)]
mod tests {
    use super::{TABLE, check_digit};

    #[test]
    fn published_example() {
        assert_eq!(check_digit([5, 7, 2].into_iter()), 4);
        assert_eq!(check_digit([5, 7, 2, 4].into_iter()), 0);
    }

    /// What Damm's theorem asks of the table, so that no copied digit can be wrong unnoticed.
    #[test]
    fn table_is_a_totally_anti_symmetric_quasigroup() {
        let op = |a: usize, b: usize| usize::from(TABLE[a][b]);
        for a in 0..10 {
            assert_eq!(op(a, a), 0);
            for b in (0..10).filter(|&b| b != a) {
                assert!((0..10).all(|c| op(c, a) != op(c, b)), "row repeats a digit");
                assert!((0..10).all(|c| op(a, c) != op(b, c)), "column repeats a digit");
                assert!((0..10).all(|c| op(op(c, a), b) != op(op(c, b), a)), "a swap goes unnoticed");
            }
        }
    }
}
