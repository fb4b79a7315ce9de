//! Mobile numbers, and the keyed fingerprint that is stored in their place. The number itself is never
//! stored, logged or shown.

use std::fmt;
use std::num::NonZeroU32;

use thiserror::Error;

use crate::cell::clean_cell;
use crate::person::{IdKind, PersonId};

/// An Iranian mobile number: the nine digits after the leading 9.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Mobile(u32);

/// The cell is neither empty nor a mobile number. Never holds the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a mobile number: write 09 and nine digits, or +98 9 and nine digits")]
pub struct MobileError;

impl MobileError {
    /// The rule's stable code.
    pub fn code(self) -> &'static str {
        "bad_mobile"
    }
}

impl Mobile {
    /// Reads a mobile number after the cell rules and without spaces and hyphens: an optional `+98`, `0098`,
    /// `98` or `0`, then 9 and nine digits. An empty cell is no number.
    ///
    /// # Errors
    /// [`MobileError`] for anything else.
    pub fn parse(cell: &str) -> Result<Option<Mobile>, MobileError> {
        let cell = clean_cell(cell);
        if cell.is_empty() {
            return Ok(None);
        }
        // `+98` and a space or hyphen after each digit is the longest spelling anyone needs.
        let mut kept = [0_u8; 14];
        let mut len = 0;
        for byte in cell.bytes().filter(|byte| !matches!(byte, b' ' | b'-')) {
            *kept.get_mut(len).ok_or(MobileError)? = byte;
            len += 1;
        }
        let (prefix, number) = kept[..len].split_at(len.checked_sub(10).ok_or(MobileError)?);
        let valid_prefix = matches!(prefix, b"" | b"0" | b"98" | b"0098" | b"+98");
        if !valid_prefix || number[0] != b'9' || !number.iter().all(u8::is_ascii_digit) {
            return Err(MobileError);
        }
        let nine = number[1..].iter().fold(0, |value, digit| value * 10 + u32::from(digit - b'0'));
        Ok(Some(Mobile(nine)))
    }
}

impl Mobile {
    /// A digest of the number without any key: whoever sees it can try all numbers. It is made to be hashed again
    /// under a key, by what must not have the number itself, and is neither stored nor shown.
    pub fn digest(&self) -> [u8; 32] {
        blake3::derive_key("estehqaq 2026 mobile number digest", &self.0.to_le_bytes())
    }
}

impl fmt::Debug for Mobile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mobile(redacted)")
    }
}

/// 32 bits of a keyed hash of (kind, ID, mobile). Zero means "no number" in a record, so a hash of zero
/// counts as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(NonZeroU32);

impl Fingerprint {
    /// The stored form; zero is no fingerprint.
    pub fn from_u32(bits: u32) -> Option<Fingerprint> {
        NonZeroU32::new(bits).map(Fingerprint)
    }

    /// The stored form.
    pub fn to_u32(self) -> u32 {
        self.0.get()
    }
}

/// The secret under which mobile numbers are fingerprinted, with the id by which a snapshot names it.
#[derive(Clone)]
pub struct MobileKey {
    id: u32,
    secret: [u8; 32],
}

impl MobileKey {
    /// A key from the secrets file.
    pub fn new(id: u32, secret: [u8; 32]) -> MobileKey {
        MobileKey { id, secret }
    }

    /// The id that a snapshot names.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// A digest that tells whether two keys are the same and nothing else about them.
    pub fn digest(&self) -> [u8; 32] {
        blake3::derive_key("estehqaq 2026 mobile key digest", &self.secret)
    }

    /// BLAKE3 keyed with the secret over kind, ID and number, cut to 32 bits.
    pub fn fingerprint(&self, person: PersonId, mobile: &Mobile) -> Fingerprint {
        let mut message = [0_u8; 13];
        message[0] = match person.kind() {
            IdKind::National => b'N',
            IdKind::Foreign => b'F',
        };
        message[1..9].copy_from_slice(&person.to_u64().to_le_bytes());
        message[9..].copy_from_slice(&mobile.0.to_le_bytes());
        let hash = blake3::keyed_hash(&self.secret, &message);
        let [a, b, c, d, ..] = *hash.as_bytes();
        Fingerprint(NonZeroU32::new(u32::from_le_bytes([a, b, c, d])).unwrap_or(NonZeroU32::MIN))
    }
}

impl fmt::Debug for MobileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MobileKey({}, redacted)", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::{Mobile, MobileError, MobileKey};
    use crate::person::{IdKind, PersonId};

    #[test]
    fn every_spelling_is_the_same_number() {
        let plain = Mobile::parse("9121234567").unwrap().unwrap();
        for cell in [
            "09121234567",
            "+989121234567",
            "00989121234567",
            "989121234567",
            "0912 123 4567",
            "0912-1234567",
            " +98 912-123-45-67 ",
            "۰۹۱۲۱۲۳۴۵۶۷",
            "٠٩١٢١٢٣٤٥٦٧",
            "- 0 9 1 2 1 2 3 4 5 6 7 -",
            "0912\u{A0}123\u{2011}45\u{A0}67",
            "\u{202A}+98 912 1234567\u{202C}\r\n",
            "\u{2068}۰۹۱۲\u{2011}۱۲۳۴۵۶۷\u{2069}\u{AD}\u{200D}",
        ] {
            assert_eq!(Mobile::parse(cell), Ok(Some(plain)), "{cell:?}");
        }
        assert!(Mobile::parse("9812345678").unwrap().is_some(), "a number may itself begin with 98");
        let other = Mobile::parse("9121234568").unwrap().unwrap();
        assert!(plain.digest() == plain.digest() && plain.digest() != other.digest());
    }

    #[test]
    fn anything_else_is_refused() {
        assert_eq!(Mobile::parse(" \u{200C}"), Ok(None));
        for cell in [
            "0",
            "-",
            "8121234567",
            "091212345678",
            "912123456",
            "0912123456",
            "+9121234567",
            "++989121234567",
        ] {
            assert_eq!(Mobile::parse(cell), Err(MobileError), "{cell:?}");
        }
        for cell in [
            "0912\u{200D}1234567",
            "0912.1234567",
            "(0912)1234567",
            "009809121234567",
            "9".repeat(60).as_str(),
        ] {
            assert_eq!(Mobile::parse(cell), Err(MobileError), "{cell:?}");
        }
    }

    #[test]
    fn a_fingerprint_depends_on_key_kind_id_and_number() {
        let person = |kind, id| PersonId::parse(kind, id).unwrap();
        let mobile = Mobile::parse("09121234567").unwrap().unwrap();
        let other = Mobile::parse("09121234568").unwrap().unwrap();
        let key = MobileKey::new(1, [7; 32]);
        let base = key.fingerprint(person(IdKind::National, "0499370899"), &mobile);
        assert_eq!(base, key.fingerprint(person(IdKind::National, "499370899"), &mobile));
        assert_ne!(base, key.fingerprint(person(IdKind::National, "0499370899"), &other));
        assert_ne!(base, key.fingerprint(person(IdKind::Foreign, "0499370899"), &mobile));
        assert_ne!(base, key.fingerprint(person(IdKind::National, "4400276201"), &mobile));
        assert_ne!(
            base,
            MobileKey::new(1, [8; 32]).fingerprint(person(IdKind::National, "0499370899"), &mobile)
        );
        assert_eq!(format!("{key:?} {mobile:?}"), "MobileKey(1, redacted) Mobile(redacted)");
    }
}
