//! IDs for a synthetic population: valid, distinct by construction, skewed over place codes like real ones.
//!
//! A national ID is a place code (digits 1..3), a serial (4..9) and a check digit. Each place counts the IDs
//! that it gave and shuffles the counter into a serial. It gives `PLACE_QUOTA` at most; what the shuffle makes
//! of counters beyond that is a valid ID that nobody ever holds, and so a known "unknown person". Foreign
//! nationals have 8 to 16 digits of their own, counted and shuffled per length.

use super::draw::Draw;
use super::permutation::Permutation;

/// Place codes in use; about as many as there are in the country.
pub(super) const PLACES: usize = 800;
/// IDs that one place gives at most, of its 999,999.
pub(super) const PLACE_QUOTA: u32 = 950_000;
/// The largest share of all people that one place has: 0.9 million of 90 million, below the quota.
const PLACE_SHARE_MAX: f64 = 0.01;
/// The Zipf exponent of the place sizes.
const PLACE_EXPONENT: f64 = -0.8;
/// Slots of the table that turns a draw into a place.
const PLACE_SLOTS: usize = 1 << 14;
/// Foreign IDs of each length that are never given, at the end of the shuffle.
const FOREIGN_UNISSUED: u32 = 1_000_000;
/// Lengths of foreign IDs and their weights; 12 digits is the comprehensive code that most hold.
const FOREIGN_LENGTHS: [(u32, u8); 9] =
    [(5, 8), (20, 9), (15, 10), (10, 11), (35, 12), (6, 13), (4, 14), (3, 15), (2, 16)];

/// The digits of an ID, as they stand in the extract.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct IdDigits {
    digits: [u8; 16],
    len: u8,
    foreign: bool,
}

impl IdDigits {
    fn new(value: u64, len: u8, foreign: bool) -> Self {
        let mut digits = [b'0'; 16];
        let mut rest = value;
        for digit in digits[..usize::from(len)].iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        IdDigits { digits, len, foreign }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.digits[..usize::from(self.len)]
    }

    pub(super) fn is_foreign(&self) -> bool {
        self.foreign
    }
}

/// Who gives out IDs. It holds one counter per place and per length, whatever the number of people.
pub(super) struct Registry {
    /// The place code of each rank.
    codes: Vec<u16>,
    /// The rank of a draw.
    slots: Vec<u16>,
    issued: Vec<u32>,
    serials: Vec<Permutation>,
    foreign_issued: [u32; 17],
    foreign: Vec<Permutation>,
}

impl Registry {
    pub(super) fn new(draw: &mut Draw) -> Self {
        let codes = place_codes(draw);
        let mut keys = || std::array::from_fn(|_| draw.word());
        Registry {
            slots: place_slots(),
            issued: vec![0; PLACES],
            serials: codes.iter().map(|&code| Permutation::new(serial_count(code), keys())).collect(),
            codes,
            foreign_issued: [0; 17],
            foreign: (0..=16u32).map(|len| Permutation::new(10u64.pow(len.max(8)), keys())).collect(),
        }
    }

    /// A place, large ones more often.
    pub(super) fn place(&self, draw: &mut Draw) -> u16 {
        self.slots[draw.below(PLACE_SLOTS as u32) as usize]
    }

    /// The next national ID of this place, or of the next one that has any left.
    pub(super) fn issue_national(&mut self, place: u16) -> IdDigits {
        let mut rank = usize::from(place);
        while self.issued[rank] >= PLACE_QUOTA {
            rank = (rank + 1) % PLACES;
        }
        let index = self.issued[rank];
        self.issued[rank] += 1;
        self.national(rank, u64::from(index))
    }

    /// The next ID of a foreign national.
    pub(super) fn issue_foreign(&mut self, draw: &mut Draw) -> IdDigits {
        let len = draw.weighted(&FOREIGN_LENGTHS);
        let counter = &mut self.foreign_issued[usize::from(len)];
        let index = u64::from(*counter);
        *counter += 1;
        let shuffle = &self.foreign[usize::from(len)];
        debug_assert!(index < shuffle.size() - u64::from(FOREIGN_UNISSUED), "more people than IDs");
        IdDigits::new(shuffle.apply(index), len, true)
    }

    /// A valid national ID that no population of this seed holds.
    pub(super) fn never_issued_national(&self, draw: &mut Draw) -> IdDigits {
        let rank = usize::from(self.place(draw));
        let spare = self.serials[rank].size() as u32 - PLACE_QUOTA;
        self.national(rank, u64::from(PLACE_QUOTA + draw.below(spare)))
    }

    /// A valid foreign ID that no population of this seed holds.
    pub(super) fn never_issued_foreign(&self, draw: &mut Draw) -> IdDigits {
        let len = draw.weighted(&FOREIGN_LENGTHS);
        let shuffle = &self.foreign[usize::from(len)];
        let index = shuffle.size() - 1 - u64::from(draw.below(FOREIGN_UNISSUED));
        IdDigits::new(shuffle.apply(index), len, true)
    }

    fn national(&self, rank: usize, index: u64) -> IdDigits {
        let code = u64::from(self.codes[rank]);
        let mut serial = self.serials[rank].apply(index) + 1;
        if repeated_serial(self.codes[rank]).is_some_and(|repeated| serial >= repeated) {
            serial += 1;
        }
        let nine = code * 1_000_000 + serial;
        IdDigits::new(nine * 10 + check_digit(nine), 10, false)
    }
}

/// The check digit of nine digits (PRODUCT.md section 2).
fn check_digit(nine: u64) -> u64 {
    let (mut rest, mut sum) = (nine, 0);
    for weight in 2..=10 {
        sum += rest % 10 * weight;
        rest /= 10;
    }
    match sum % 11 {
        r if r < 2 => r,
        r => 11 - r,
    }
}

/// The serial that would make ten equal digits, which no ID may be: only for 111, 222, ... 999.
fn repeated_serial(code: u16) -> Option<u64> {
    (code > 0 && code.is_multiple_of(111)).then(|| u64::from(code) * 1001)
}

/// Serials of a place: 1 to 999,999, without the one of ten equal digits.
fn serial_count(code: u16) -> u64 {
    if repeated_serial(code).is_some() { 999_998 } else { 999_999 }
}

/// Place codes by rank: the first ones of a shuffle of 001 to 899.
fn place_codes(draw: &mut Draw) -> Vec<u16> {
    let mut codes: Vec<u16> = (1..900).collect();
    for last in (1..codes.len()).rev() {
        codes.swap(last, draw.below(last as u32 + 1) as usize);
    }
    codes.truncate(PLACES);
    codes
}

/// The share of people of each rank: Zipf, where no rank has more than `PLACE_SHARE_MAX`.
fn place_shares() -> Vec<f64> {
    let mut shares: Vec<f64> = (1..=PLACES).map(|rank| (rank as f64).powf(PLACE_EXPONENT)).collect();
    let total: f64 = shares.iter().sum();
    shares.iter_mut().for_each(|share| *share /= total);
    // What the cap takes from the large places goes to the others in proportion, which may lift a few more
    // to the cap: the rounds settle at once, and their number does not matter.
    for _ in 0..32 {
        let capped = shares.iter().filter(|&&share| share >= PLACE_SHARE_MAX).count();
        let open: f64 = shares.iter().filter(|&&share| share < PLACE_SHARE_MAX).sum();
        let factor = (1.0 - capped as f64 * PLACE_SHARE_MAX) / open;
        for share in &mut shares {
            *share = if *share >= PLACE_SHARE_MAX { PLACE_SHARE_MAX } else { *share * factor };
        }
    }
    shares
}

/// For each slot the rank whose stretch of the summed shares it falls into.
fn place_slots() -> Vec<u16> {
    let shares = place_shares();
    let (mut rank, mut reached) = (0usize, shares[0]);
    let mut slots = Vec::with_capacity(PLACE_SLOTS);
    for slot in 0..PLACE_SLOTS {
        let middle = (slot as f64 + 0.5) / PLACE_SLOTS as f64;
        while middle > reached && rank + 1 < PLACES {
            rank += 1;
            reached += shares[rank];
        }
        slots.push(rank as u16);
    }
    slots
}

#[cfg(test)]
mod tests;
