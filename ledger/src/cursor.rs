//! Where a page of a search ended, as a text for whoever asks for the next page. It names a place in the ledger, so it
//! stays right while entries arrive; it is vouched for, for one person, so that nobody makes one up and the entry that
//! tells of a search counts rightly. It holds nothing about the person.

use std::fmt::Write;

use engine::PersonId;
use thiserror::Error;

use crate::index::PersonKey;
use crate::keys::LedgerKeys;

/// Segment, slot, how many were shown; and what vouches for them.
const PLACE_LEN: usize = 16;
const MAC_LEN: usize = 8;

/// The last entry that was shown, and how many were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub(crate) segment: u32,
    pub(crate) slot: u32,
    pub(crate) shown: u64,
}

/// Why a text is no cursor of this search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("this is not where a page of a search for this person ended; begin again without it")]
pub struct CursorError;

impl Cursor {
    /// Reads what a search for this person gave out. After a change of the ledger key it is none any more.
    ///
    /// # Errors
    /// When the text is none.
    pub fn parse(text: &str, person: PersonId, keys: &LedgerKeys) -> Result<Cursor, CursorError> {
        let bytes = from_hex(text).ok_or(CursorError)?;
        let (place, mac) = bytes.split_first_chunk::<PLACE_LEN>().ok_or(CursorError)?;
        if *mac != mac_of(place, person, keys) {
            return Err(CursorError);
        }
        let (segment, rest) = place.split_first_chunk().ok_or(CursorError)?;
        let (slot, rest) = rest.split_first_chunk().ok_or(CursorError)?;
        Ok(Cursor {
            segment: u32::from_le_bytes(*segment),
            slot: u32::from_le_bytes(*slot),
            shown: u64::from_le_bytes(*rest.first_chunk().ok_or(CursorError)?),
        })
    }

    /// As it is given out.
    pub(crate) fn to_text(self, person: PersonId, keys: &LedgerKeys) -> String {
        let mut place = [0; PLACE_LEN];
        place[..4].copy_from_slice(&self.segment.to_le_bytes());
        place[4..8].copy_from_slice(&self.slot.to_le_bytes());
        place[8..].copy_from_slice(&self.shown.to_le_bytes());
        let mac = mac_of(&place, person, keys);
        place.iter().chain(&mac).fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

fn mac_of(place: &[u8; PLACE_LEN], person: PersonId, keys: &LedgerKeys) -> [u8; MAC_LEN] {
    let mut hasher = blake3::Hasher::new_keyed(keys.current().cursors());
    hasher.update(place).update(&PersonKey::from(person).to_bytes());
    *hasher.finalize().as_bytes().first_chunk().expect("a hash has 32 bytes")
}

fn from_hex(text: &str) -> Option<[u8; PLACE_LEN + MAC_LEN]> {
    let mut bytes = [0; PLACE_LEN + MAC_LEN];
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() || pairs.len() != bytes.len() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use engine::{IdKind, PersonId};

    use super::{Cursor, CursorError};
    use crate::entry::tests::some_keys;

    #[test]
    fn cursors_come_back_for_the_same_person_and_unchanged_only() {
        let keys = some_keys();
        let person = |n| PersonId::from_u64(IdKind::National, n).unwrap();
        let cursor = Cursor { segment: 7, slot: u32::MAX, shown: 1 << 40 };
        let text = cursor.to_text(person(499_370_899), &keys);
        assert_eq!(Cursor::parse(&text, person(499_370_899), &keys), Ok(cursor));
        assert_eq!(Cursor::parse(&text, person(499_370_898), &keys), Err(CursorError));
        for at in 0..text.len() {
            let other = if text.as_bytes()[at] == b'0' { "1" } else { "0" };
            let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
            assert_eq!(Cursor::parse(&changed, person(499_370_899), &keys), Err(CursorError), "at {at}");
        }
        for bad in ["", "0", &text[2..], &format!("{text}00"), &"x".repeat(48), &"é".repeat(24)] {
            assert_eq!(Cursor::parse(bad, person(499_370_899), &keys), Err(CursorError), "{bad}");
        }
    }
}
