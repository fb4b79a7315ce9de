//! Person IDs: national IDs with their check digit, and foreign nationals' numbers. The two are separate
//! spaces. A parsed ID is personal data: it has a redacting `Debug` and no `Display`.

use std::fmt;

use thiserror::Error;

use crate::cell::clean_cell;

/// Which space an ID belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IdKind {
    /// An Iranian national ID (کد ملی): ten digits, the last a check digit.
    National,
    /// A foreign national's number: 8 to 16 digits as they stand.
    Foreign,
}

impl IdKind {
    /// The code used over HTTP.
    pub fn code(self) -> &'static str {
        match self {
            IdKind::National => "national",
            IdKind::Foreign => "foreign",
        }
    }

    /// Reads the code used over HTTP, in any case.
    pub fn from_code(code: &str) -> Option<IdKind> {
        [IdKind::National, IdKind::Foreign].into_iter().find(|kind| kind.code().eq_ignore_ascii_case(code))
    }
}

/// A national ID without its check digit, which the other nine imply: 0..=999,999,999.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NationalId(u32);

/// A foreign national's number, as the decimal number written "1" before its digits, so that leading zeros
/// and the length are kept: 100,000,000..20,000,000,000,000,000.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ForeignId(u64);

/// A person's ID. National IDs sort before foreign ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PersonId {
    /// A national ID.
    National(NationalId),
    /// A foreign national's number.
    Foreign(ForeignId),
}

/// Why a text is no person ID. Never holds the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PersonIdError {
    /// Wrong characters or length, ten equal digits, or digits 4 to 9 all zero.
    #[error("not an ID: a national ID has 8 to 10 digits, a foreign national's number 8 to 16")]
    Malformed,
    /// The tenth digit of a national ID does not follow from the other nine.
    #[error("the check digit is wrong: compare the ID with the card")]
    CheckDigit,
}

impl PersonIdError {
    /// The rule's stable code.
    pub fn code(self) -> &'static str {
        match self {
            PersonIdError::Malformed => "bad_person_id",
            PersonIdError::CheckDigit => "bad_check_digit",
        }
    }
}

impl PersonId {
    /// Reads an ID after the cell rules; 8 and 9 digits of a national ID are padded on the left, since
    /// spreadsheets drop zeros.
    ///
    /// # Errors
    /// [`PersonIdError`], the shape before the check digit.
    pub fn parse(kind: IdKind, cell: &str) -> Result<PersonId, PersonIdError> {
        let cell = clean_cell(cell);
        let digits = cell.as_bytes();
        if !digits.iter().all(u8::is_ascii_digit) {
            return Err(PersonIdError::Malformed);
        }
        match kind {
            IdKind::National => NationalId::from_digits(digits).map(PersonId::National),
            IdKind::Foreign => ForeignId::from_digits(digits).map(PersonId::Foreign),
        }
    }

    /// Which space it belongs to.
    pub fn kind(self) -> IdKind {
        match self {
            PersonId::National(_) => IdKind::National,
            PersonId::Foreign(_) => IdKind::Foreign,
        }
    }

    /// The ID as a number of at most 55 bits, unique within its kind.
    pub fn to_u64(self) -> u64 {
        match self {
            PersonId::National(NationalId(nine)) => u64::from(nine),
            PersonId::Foreign(ForeignId(number)) => number,
        }
    }

    /// The inverse of [`PersonId::to_u64`]; none for a number that no ID of that kind has.
    pub fn from_u64(kind: IdKind, number: u64) -> Option<PersonId> {
        match kind {
            IdKind::National => {
                let nine = u32::try_from(number).ok()?;
                NationalId::from_nine(nine).map(PersonId::National)
            }
            IdKind::Foreign => {
                let digits = number.checked_ilog10()?;
                let leads_with_one = number / 10_u64.pow(digits) == 1;
                ((8..=16).contains(&digits) && leads_with_one).then_some(PersonId::Foreign(ForeignId(number)))
            }
        }
    }

    /// The digits, for those who may see them.
    pub fn reveal(self) -> String {
        match self {
            PersonId::National(id) => format!("{:09}{}", id.0, check_digit(id.0)),
            PersonId::Foreign(ForeignId(number)) => number.to_string()[1..].to_owned(),
        }
    }
}

impl NationalId {
    fn from_digits(digits: &[u8]) -> Result<NationalId, PersonIdError> {
        if !(8..=10).contains(&digits.len()) {
            return Err(PersonIdError::Malformed);
        }
        let ten = digits.iter().fold(0_u64, |value, digit| value * 10 + u64::from(digit - b'0'));
        let nine = u32::try_from(ten / 10).map_err(|_| PersonIdError::Malformed)?;
        if ten.is_multiple_of(1_111_111_111) || nine.is_multiple_of(1_000_000) {
            return Err(PersonIdError::Malformed);
        }
        if u64::from(check_digit(nine)) != ten % 10 {
            return Err(PersonIdError::CheckDigit);
        }
        Ok(NationalId(nine))
    }

    /// The ID whose first nine digits are these, if there is one: digits 4 to 9 are not all zero, and the
    /// ten with the check digit are not all equal.
    pub fn from_nine(nine: u32) -> Option<NationalId> {
        let all_equal = nine.is_multiple_of(111_111_111) && check_digit(nine) == nine % 10;
        (nine <= 999_999_999 && !nine.is_multiple_of(1_000_000) && !all_equal).then_some(NationalId(nine))
    }

    /// The first nine digits; the index key, since the check digit carries no information.
    pub fn nine(self) -> u32 {
        self.0
    }
}

impl ForeignId {
    fn from_digits(digits: &[u8]) -> Result<ForeignId, PersonIdError> {
        if !(8..=16).contains(&digits.len()) {
            return Err(PersonIdError::Malformed);
        }
        Ok(ForeignId(digits.iter().fold(1, |value, digit| value * 10 + u64::from(digit - b'0'))))
    }

    /// The number written "1" before the digits; the index key.
    pub fn number(self) -> u64 {
        self.0
    }
}

/// The check digit of a national ID's first nine digits: the sum of digit times place (10 for the first, 2
/// for the ninth) mod 11, itself below 2, else 11 minus it (PRODUCT.md section 2).
fn check_digit(nine: u32) -> u32 {
    let (mut rest, mut sum) = (nine, 0);
    for place in 2..=10 {
        sum += rest % 10 * place;
        rest /= 10;
    }
    match sum % 11 {
        remainder @ 0..=1 => remainder,
        remainder => 11 - remainder,
    }
}

impl fmt::Debug for PersonId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PersonId({}, redacted)", self.kind().code())
    }
}

impl fmt::Debug for NationalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NationalId(redacted)")
    }
}

impl fmt::Debug for ForeignId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ForeignId(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::{IdKind, PersonId, PersonIdError};

    #[track_caller]
    fn check(kind: IdKind, cell: &str, expected: Result<&str, PersonIdError>) {
        let parsed = PersonId::parse(kind, cell);
        assert_eq!(parsed.map(PersonId::reveal), expected.map(str::to_owned), "{cell:?}");
    }

    #[test]
    fn national_ids_of_the_contract() {
        check(IdKind::National, "0499370899", Ok("0499370899"));
        check(IdKind::National, "499370899", Ok("0499370899"));
        check(IdKind::National, "68415941", Ok("0068415941"));
        check(IdKind::National, " ۴۴۰۰۲۷۶۲۰۱\u{200C}", Ok("4400276201"));
        check(IdKind::National, "\u{202B}\u{2067}۰۴۹۹۳۷۰۸۹۹\u{2069}\u{202C}", Ok("0499370899"));
        check(IdKind::National, "\u{200D}0499370899\u{AD}\r\n", Ok("0499370899"));
        check(IdKind::National, "0684159415", Err(PersonIdError::CheckDigit));
        check(IdKind::National, "1234567890", Err(PersonIdError::CheckDigit));
        check(IdKind::National, "1111111112", Err(PersonIdError::CheckDigit));
    }

    #[test]
    fn malformed_national_ids() {
        for cell in [
            "",
            "1234567",
            "12345678901",
            "+499370899",
            "04993-70899",
            "04993\u{A0}70899",
            "04993\u{200D}70899",
            "049937089x",
            "00004993708999",
        ] {
            check(IdKind::National, cell, Err(PersonIdError::Malformed));
        }
        for digit in 0..10 {
            check(IdKind::National, &digit.to_string().repeat(10), Err(PersonIdError::Malformed));
        }
        check(IdKind::National, "1230000001", Err(PersonIdError::Malformed));
        check(IdKind::National, "00000000", Err(PersonIdError::Malformed));
    }

    #[test]
    fn foreign_numbers_keep_zeros_and_length() {
        check(IdKind::Foreign, "00000000", Ok("00000000"));
        check(IdKind::Foreign, "000000000", Ok("000000000"));
        check(IdKind::Foreign, "9999999999999999", Ok("9999999999999999"));
        check(IdKind::Foreign, "1234567", Err(PersonIdError::Malformed));
        check(IdKind::Foreign, "12345678901234567", Err(PersonIdError::Malformed));
        check(IdKind::Foreign, "1234567a", Err(PersonIdError::Malformed));
    }

    #[test]
    fn debug_tells_nothing() {
        let id = PersonId::parse(IdKind::National, "0499370899").unwrap();
        assert_eq!(format!("{id:?}"), "PersonId(national, redacted)");
    }
}
