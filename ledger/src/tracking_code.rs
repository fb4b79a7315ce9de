//! Tracking codes: what a provider writes on a claim, and how it leads back to one ledger entry.
//!
//! 16 digits: the key epoch (1), FF1 under that epoch's key of ledger number (4) and sequence (10), and a
//! Damm check digit over the 15 before it (PRODUCT.md section 5). Resolving one needs the key, no index.

use std::fmt;

use aes::Aes256;
use aes::cipher::KeyInit;
use engine::clean_cell;
use thiserror::Error;

use crate::damm::check_digit;
use crate::ff1::Ff1;

/// Digits of a tracking code.
const DIGITS: usize = 16;
/// Digits under FF1: 4 of the ledger number, 10 of the sequence.
const ENCRYPTED_DIGITS: u32 = 14;
/// Places a half of the encrypted digits apart.
const HALF: u64 = 10_u64.pow(ENCRYPTED_DIGITS / 2);
/// Places the ledger number above the sequence.
const SEQUENCES: u64 = 10_u64.pow(10);

/// The last sequence that a tracking code has room for.
pub const SEQUENCE_MAX: u64 = SEQUENCES - 1;

/// A tracking code whose check digit is right. Whether it was ever given out, only a ledger can say.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrackingCode(u64);

/// Why a text is no tracking code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TrackingCodeError {
    /// Anything but 16 digits, after the rules for typed numbers.
    #[error("a tracking code has 16 digits; compare it with the receipt")]
    Malformed,
    /// The last digit does not follow from the others.
    #[error("the tracking code is mistyped: compare it digit by digit")]
    CheckDigit,
}

impl TrackingCode {
    /// Reads 16 digits, the last of them the right check digit, after the rules for typed numbers: digits of any of the
    /// three scripts, in groups or not, between whatever marks.
    ///
    /// # Errors
    /// [`TrackingCodeError`], the shape before the check digit.
    pub fn parse(text: &str) -> Result<TrackingCode, TrackingCodeError> {
        let text = clean_cell(text);
        let mut digits = [0; DIGITS];
        let mut len = 0;
        for byte in text.bytes().filter(|byte| !matches!(byte, b' ' | b'-')) {
            let place = digits.get_mut(len).filter(|_| byte.is_ascii_digit());
            let digit = place.ok_or(TrackingCodeError::Malformed)?;
            *digit = byte - b'0';
            len += 1;
        }
        if len != DIGITS {
            return Err(TrackingCodeError::Malformed);
        }
        if check_digit(digits.into_iter()) != 0 {
            return Err(TrackingCodeError::CheckDigit);
        }
        Ok(TrackingCode(digits.iter().fold(0, |value, digit| value * 10 + u64::from(*digit))))
    }

    /// Which of the tracking keys it was made with.
    pub fn key_epoch(self) -> u8 {
        u8::try_from(self.0 / 10_u64.pow(15)).expect("16 digits begin with one digit")
    }

    fn from_parts(epoch: u8, encrypted: u64) -> TrackingCode {
        let fifteen = u64::from(epoch) * 10_u64.pow(ENCRYPTED_DIGITS) + encrypted;
        let digits = (0..15).rev().map(|place| (fifteen / 10_u64.pow(place) % 10) as u8);
        TrackingCode(fifteen * 10 + u64::from(check_digit(digits)))
    }

    /// The 14 digits between the epoch and the check digit.
    fn encrypted(self) -> u64 {
        self.0 / 10 % 10_u64.pow(ENCRYPTED_DIGITS)
    }
}

impl fmt::Display for TrackingCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016}", self.0)
    }
}

impl fmt::Debug for TrackingCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrackingCode({self})")
    }
}

/// One tracking key, ready for use.
#[derive(Clone)]
pub(crate) struct TrackingKey(Ff1<Aes256>);

impl TrackingKey {
    pub(crate) fn new(key: &[u8; 32]) -> TrackingKey {
        TrackingKey(Ff1::new(Aes256::new(key.into()), ENCRYPTED_DIGITS, &[]))
    }

    /// The code of a place: ledger number 1..=9999, sequence up to [`SEQUENCE_MAX`].
    pub(crate) fn code(&self, epoch: u8, ledger: u16, sequence: u64) -> TrackingCode {
        debug_assert!(epoch <= 9 && ledger <= 9999 && sequence <= SEQUENCE_MAX);
        let plain = u64::from(ledger) * SEQUENCES + sequence;
        let (left, right) = self.0.encrypt(u128::from(plain / HALF), u128::from(plain % HALF));
        TrackingCode::from_parts(epoch, join(left, right))
    }

    /// The ledger number and sequence that a code of this key's epoch stands for.
    pub(crate) fn resolve(&self, code: TrackingCode) -> (u16, u64) {
        let encrypted = code.encrypted();
        let (left, right) = self.0.decrypt(u128::from(encrypted / HALF), u128::from(encrypted % HALF));
        let plain = join(left, right);
        (u16::try_from(plain / SEQUENCES).expect("four digits"), plain % SEQUENCES)
    }
}

fn join(left: u128, right: u128) -> u64 {
    u64::try_from(left).expect("seven digits") * HALF + u64::try_from(right).expect("seven digits")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::{SEQUENCE_MAX, TrackingCode, TrackingCodeError, TrackingKey};

    fn key() -> TrackingKey {
        TrackingKey::new(&[7; 32])
    }

    #[test]
    fn parse_takes_sixteen_digits_however_they_are_typed() {
        let code = key().code(3, 1, 1).to_string();
        let fours: Vec<&str> = (0..4).map(|group| &code[4 * group..4 * group + 4]).collect();
        let persian: String = code.chars().map(|c| char::from_u32(u32::from(c) + 0x6C0).unwrap()).collect();
        for typed in [
            code.clone(),
            format!(" {code}\r\n"),
            fours.join(" "),
            fours.join("-"),
            fours.join("\u{A0}"),
            fours.join("\u{2011}"),
            persian.clone(),
            format!("\u{2066}\u{202B}{persian}\u{202C}\u{2069}\u{200F}"),
        ] {
            assert_eq!(
                TrackingCode::parse(&typed).map(|read| read.to_string()),
                Ok(code.clone()),
                "{typed:?}"
            );
        }
        for bad in
            ["", "123", &format!("{code}0"), &code[1..], &format!("{}\u{200D}{}", &code[..8], &code[8..])]
        {
            assert_eq!(TrackingCode::parse(bad), Err(TrackingCodeError::Malformed), "{bad:?}");
        }
        assert_eq!(TrackingCode::parse("+000000000000000"), Err(TrackingCodeError::Malformed));
        assert_eq!(TrackingCode::parse("۰۰۰۰۰۰۰۰"), Err(TrackingCodeError::Malformed), "16 bytes, 8 digits");
    }

    #[test]
    fn codes_of_a_run_are_unique() {
        let codes: HashSet<_> = (0..200_000).map(|sequence| key().code(0, 1, sequence)).collect();
        assert_eq!(codes.len(), 200_000);
    }

    #[test]
    fn codes_do_not_show_the_sequence() {
        let ascending =
            (1..1000).filter(|&sequence| key().code(0, 1, sequence) > key().code(0, 1, sequence - 1)).count();
        assert!((400..600).contains(&ascending), "{ascending} of 999 codes are larger than the one before");
    }

    proptest! {
        #[test]
        fn every_single_digit_error_and_neighbour_swap_is_caught(
            key in any::<[u8; 32]>(), epoch in 0_u8..10, ledger in 1_u16..10_000, sequence in 0..=SEQUENCE_MAX,
        ) {
            let code = TrackingKey::new(&key).code(epoch, ledger, sequence).to_string().into_bytes();
            let parse = |digits: Vec<u8>| TrackingCode::parse(&String::from_utf8(digits).unwrap());
            for place in 0..16 {
                for digit in (b'0'..=b'9').filter(|&digit| digit != code[place]) {
                    let mut mistyped = code.clone();
                    mistyped[place] = digit;
                    prop_assert_eq!(parse(mistyped), Err(TrackingCodeError::CheckDigit));
                }
                if place > 0 && code[place - 1] != code[place] {
                    let mut swapped = code.clone();
                    swapped.swap(place - 1, place);
                    prop_assert_eq!(parse(swapped), Err(TrackingCodeError::CheckDigit));
                }
            }
        }

        #[test]
        fn a_code_leads_back(
            key in any::<[u8; 32]>(), epoch in 0_u8..10, ledger in 0_u16..10_000, sequence in 0..=SEQUENCE_MAX,
        ) {
            let key = TrackingKey::new(&key);
            let code = key.code(epoch, ledger, sequence);
            prop_assert_eq!(code.key_epoch(), epoch);
            prop_assert_eq!(key.resolve(TrackingCode::parse(&code.to_string()).unwrap()), (ledger, sequence));
        }
    }
}
