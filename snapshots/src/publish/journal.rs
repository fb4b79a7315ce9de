//! `journal.ndjson`: one line for each transition of a generation, who, when, what and why. A line is written
//! and synced before its one step on disk, so that the disk tells afterwards whether the last line came true;
//! a line that did not is followed by one that says so. Lines carry a check over themselves and all before.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::generation::gate::{Gate, GateFigures};
use crate::generation::name::GenerationName;

/// The file of that name in the snapshots folder.
pub const JOURNAL_FILE: &str = "journal.ndjson";
/// What was found at the end of the journal after a crash in the middle of a line is moved here.
pub(crate) const TORN_FILE: &str = "journal.torn";

const CHECK_MEMBER: &str = ",\"check\":\"";
const CHECK_LEN: usize = 16;

/// One transition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JournalLine {
    /// Counts from 1.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// Who: a user, or the part of the program that acted by itself.
    pub by: String,
    /// What.
    #[serde(flatten)]
    pub event: Event,
    /// Why, where somebody said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What happens to a generation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Event {
    /// Placed under its name, not published.
    Built {
        /// Which.
        generation: GenerationName,
    },
    /// Made the current one.
    Published {
        /// Which.
        generation: GenerationName,
        /// What was current; now retired.
        before: Option<GenerationName>,
        /// The gates that refused it and were overridden; the line says why.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        overrode: Vec<Gate>,
        /// How each gate judged it beside what was current; none in lines of versions that did not note it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        gates: Vec<GateFigures>,
    },
    /// Taken back: no longer current, and not to be published again by accident.
    RolledBack {
        /// Which.
        generation: GenerationName,
        /// What is current instead.
        to: GenerationName,
    },
    /// Removed from the disk.
    Pruned {
        /// Which.
        generation: GenerationName,
    },
    /// The line of that number was written, but a crash or the disk kept its step from happening.
    Abandoned {
        /// Its number.
        of: u64,
    },
}

/// What is wrong with a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Damaged {
    /// Counts from 1.
    pub(crate) line: u64,
}

/// The lines of a journal, as far as they are whole.
#[derive(Clone, Debug, Default)]
pub(crate) struct Journal {
    pub(crate) lines: Vec<JournalLine>,
    /// Bytes of the whole lines.
    pub(crate) len: usize,
    check: String,
}

impl Journal {
    /// Reads a journal. What follows the last whole line was never acknowledged, and is left out; a line that
    /// is not whole but has one after it is damage.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Journal, Damaged> {
        let mut journal = Journal::default();
        let mut rest = bytes;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (line, after) = rest.split_at(end + 1);
            match journal.checked(&line[..end]) {
                Some((line, check)) => {
                    journal.lines.push(line);
                    journal.check = check;
                }
                None if memchr::memchr(b'\n', after).is_none() => break,
                None => return Err(Damaged { line: journal.lines.len() as u64 + 1 }),
            }
            journal.len += end + 1;
            rest = after;
        }
        Ok(journal)
    }

    /// The line, if its check and number follow from those before.
    fn checked(&self, line: &[u8]) -> Option<(JournalLine, String)> {
        let text = std::str::from_utf8(line).ok()?;
        let (body, check) = text.strip_suffix("\"}")?.rsplit_once(CHECK_MEMBER)?;
        let body = format!("{body}}}");
        if self.check_of(&body) != check {
            return None;
        }
        let line: JournalLine = serde_json::from_str(&body).ok()?;
        (line.seq == self.next_seq()).then(|| (line, check.to_owned()))
    }

    fn check_of(&self, body: &str) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.check.as_bytes()).update(body.as_bytes());
        hasher.finalize().to_hex()[..CHECK_LEN].to_owned()
    }

    pub(crate) fn next_seq(&self) -> u64 {
        self.lines.len() as u64 + 1
    }

    /// The bytes of a line that follows, and the journal with it.
    pub(crate) fn append(&mut self, line: JournalLine) -> Vec<u8> {
        let body = serde_json::to_string(&line).expect("strings and numbers");
        let check = self.check_of(&body);
        let text = format!("{}{CHECK_MEMBER}{check}\"}}\n", &body[..body.len() - 1]);
        self.lines.push(line);
        self.check = check;
        self.len += text.len();
        text.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::{Damaged, Event, Journal, JournalLine};

    fn three_lines() -> (Journal, Vec<u8>) {
        let mut journal = Journal::default();
        let mut bytes = Vec::new();
        let names = ["2026-11-22-3fa9c1d2e4b5", "2026-11-23-3fa9c1d2e4b5", "2026-11-24-3fa9c1d2e4b5"];
        for (number, name) in names.into_iter().enumerate() {
            let event = Event::Built { generation: name.parse().unwrap() };
            let why = (number == 1).then(|| "because,\"check\":\"\"".to_owned());
            let at = jiff::Timestamp::UNIX_EPOCH;
            let line = JournalLine { seq: journal.next_seq(), at, by: "a \"b\"\n".to_owned(), event, why };
            bytes.extend(journal.append(line));
        }
        (journal, bytes)
    }

    #[test]
    fn what_is_written_is_read() {
        let (journal, bytes) = three_lines();
        let read = Journal::parse(&bytes).unwrap();
        assert_eq!((read.lines, read.len, read.check), (journal.lines, journal.len, journal.check));
        assert!(Journal::parse(b"").unwrap().lines.is_empty());
    }

    #[test]
    fn a_torn_end_is_left_out_and_any_other_damage_is_found() {
        let (_, bytes) = three_lines();
        let ends: Vec<_> = memchr::memchr_iter(b'\n', &bytes).collect();
        for cut in 0..bytes.len() {
            let whole = ends.iter().filter(|&&end| end < cut).count();
            assert_eq!(Journal::parse(&bytes[..cut]).unwrap().lines.len(), whole);
        }
        for place in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[place] ^= 1;
            let parsed = Journal::parse(&flipped);
            match ends.iter().filter(|&&end| end < place).count() {
                // With its line break the second line takes the third along: both look torn.
                1 if place == ends[1] => assert_eq!(parsed.unwrap().lines.len(), 1),
                2 => assert_eq!(parsed.unwrap().lines.len(), 2, "byte {place}"),
                whole => {
                    let line = whole as u64 + 1;
                    assert_eq!(parsed.unwrap_err(), Damaged { line }, "byte {place}");
                }
            }
        }
        let doubled = [bytes.as_slice(), &bytes].concat();
        assert_eq!(Journal::parse(&doubled).unwrap_err(), Damaged { line: 4 });
    }
}
