//! What can be appended to a ledger: inquiries, and acts of those who look into the ledger or change what is
//! kept of it, which are evidence as well.

use engine::{Day, IdKind};

use crate::entry::{Entry, ProviderId, Subject, decode, encode, flag, put_masked, take_masked};
use crate::format::{
    FLAG_FOREIGN, FLAG_REVEALED, KIND_DESK_READ, KIND_DESK_SEARCH, KIND_EXPORT, KIND_INQUIRY, KIND_PRUNE,
    NO_DAY, Slot, is_zero,
};
use crate::keys::LedgerKeys;
use crate::month::MonthKey;

/// An entry of any kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// An answered inquiry.
    Inquiry(Entry),
    /// Somebody looked, or took something out.
    Act(Act),
}

/// What somebody did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// When, in milliseconds since 1970-01-01 UTC.
    pub time_ms: u64,
    /// Who: the ID of a desk's key, or the name of an operator.
    pub actor: ProviderId,
    /// What.
    pub deed: Deed,
}

/// The kinds of acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Read an entry by its code.
    DeskRead {
        /// The entry's ledger.
        ledger: u16,
        /// Its sequence.
        sequence: u64,
        /// Whether the person and the reason were shown.
        revealed: bool,
    },
    /// Searched for the entries of a person.
    DeskSearch {
        /// Who was searched for.
        person: Subject,
        /// The first day of the span.
        first_day: Day,
        /// The last day of the span.
        last_day: Day,
        /// Entries shown.
        shown: u64,
        /// Entries passed over before them, on earlier pages.
        skipped: u64,
    },
    /// Exported entries.
    Export {
        /// The first day, if it was bounded.
        first_day: Option<Day>,
        /// The last day, if it was bounded.
        last_day: Option<Day>,
        /// How many entries.
        entries: u64,
        /// Whether the IDs were shown in full.
        revealed: bool,
    },
    /// Removed old segments.
    Prune {
        /// The last one removed.
        segment: u32,
        /// Entries that went with them.
        entries: u64,
    },
}

impl From<Entry> for Record {
    fn from(entry: Entry) -> Record {
        Record::Inquiry(entry)
    }
}

impl From<Act> for Record {
    fn from(act: Act) -> Record {
        Record::Act(act)
    }
}

impl Record {
    /// Packs it. Place in the batch, ledger key, tag and checksum are the committer's to set.
    pub(crate) fn encode(&self, ledger: u16, sequence: u64, key: &MonthKey) -> Slot {
        match self {
            Record::Inquiry(entry) => encode(entry, ledger, sequence, key),
            Record::Act(act) => act.encode(ledger, sequence, key),
        }
    }

    /// Unpacks it; none for a mark. The name of the field that this version cannot read otherwise.
    pub(crate) fn decode(
        slot: &Slot,
        ledger: u16,
        keys: &LedgerKeys,
    ) -> Result<Option<Record>, &'static str> {
        match slot.kind {
            KIND_INQUIRY => decode(slot, ledger, keys).map(|entry| Some(Record::Inquiry(entry))),
            KIND_DESK_READ | KIND_DESK_SEARCH | KIND_EXPORT | KIND_PRUNE => {
                Act::decode(slot, ledger, keys).map(|act| Some(Record::Act(act)))
            }
            _ => Ok(None),
        }
    }
}

/// Two numbers as `detail`.
fn detail(first: u64, second: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&first.to_le_bytes());
    bytes[8..].copy_from_slice(&second.to_le_bytes());
    bytes
}

impl Act {
    fn encode(&self, ledger: u16, sequence: u64, key: &MonthKey) -> Slot {
        let mut slot = Slot::new(0, sequence);
        slot.time_ms = self.time_ms.into();
        slot.provider = self.actor.to_bytes();
        slot.month = key.month().number().into();
        (slot.service_day, slot.end_day) = (NO_DAY.into(), NO_DAY.into());
        match self.deed {
            Deed::DeskRead { ledger, sequence, revealed } => {
                slot.kind = KIND_DESK_READ;
                slot.flags = flag(revealed, FLAG_REVEALED);
                slot.detail = detail(sequence, ledger.into());
            }
            Deed::DeskSearch { person, first_day, last_day, shown, skipped } => {
                slot.kind = KIND_DESK_SEARCH;
                slot.flags = flag(person.kind() == IdKind::Foreign, FLAG_FOREIGN);
                (slot.service_day, slot.end_day) = (first_day.number().into(), last_day.number().into());
                slot.detail = detail(shown, skipped);
                put_masked(&mut slot, person, None, ledger, key);
            }
            Deed::Export { first_day, last_day, entries, revealed } => {
                slot.kind = KIND_EXPORT;
                slot.flags = flag(revealed, FLAG_REVEALED);
                slot.service_day = first_day.map_or(NO_DAY, Day::number).into();
                slot.end_day = last_day.map_or(NO_DAY, Day::number).into();
                slot.detail = detail(entries, 0);
            }
            Deed::Prune { segment, entries } => {
                slot.kind = KIND_PRUNE;
                slot.detail = detail(segment.into(), entries);
            }
        }
        slot
    }

    fn decode(slot: &Slot, ledger: u16, keys: &LedgerKeys) -> Result<Act, &'static str> {
        let [first, second] = [0, 8]
            .map(|at| u64::from_le_bytes(*slot.detail[at..].first_chunk().expect("a detail has 16 bytes")));
        let revealed = slot.flags & FLAG_REVEALED != 0;
        let (first_day, last_day) =
            (Day::from_number(slot.service_day.get()), Day::from_number(slot.end_day.get()));
        let deed = match slot.kind {
            KIND_DESK_READ => Deed::DeskRead {
                ledger: u16::try_from(second).map_err(|_| "detail")?,
                sequence: first,
                revealed,
            },
            KIND_DESK_SEARCH => Deed::DeskSearch {
                person: take_masked(slot, ledger, keys)?.0,
                first_day: first_day.ok_or("first day")?,
                last_day: last_day.ok_or("last day")?,
                shown: first,
                skipped: second,
            },
            KIND_EXPORT => Deed::Export { first_day, last_day, entries: first, revealed },
            _ => Deed::Prune { segment: u32::try_from(first).map_err(|_| "detail")?, entries: second },
        };
        if slot.flags & !(FLAG_FOREIGN | FLAG_REVEALED) != 0 || !is_zero(&slot.reserved_a) {
            return Err("flags or reserved bytes");
        }
        let actor = ProviderId::from_bytes(slot.provider).ok_or("provider")?;
        Ok(Act { time_ms: slot.time_ms.get(), actor, deed })
    }
}

#[cfg(test)]
mod tests {
    use engine::{Day, IdKind, PersonId};

    use super::{Act, Deed, Record};
    use crate::entry::tests::{some_entry, some_keys};
    use crate::entry::{ProviderId, Subject};
    use crate::month::Month;

    #[test]
    fn records_come_back() {
        let keys = some_keys();
        let key = keys.months.for_writing(Month::parse("2026-11").unwrap()).unwrap();
        let person = Subject::Known(PersonId::parse(IdKind::Foreign, "0012345678").unwrap());
        let (first_day, last_day) = (Day::from_number(40_000).unwrap(), Day::from_number(40_020).unwrap());
        let deeds = [
            Deed::DeskRead { ledger: 9999, sequence: 9_999_999_999, revealed: true },
            Deed::DeskRead { ledger: 1, sequence: 2, revealed: false },
            Deed::DeskSearch { person, first_day, last_day, shown: 20, skipped: 40 },
            Deed::Export { first_day: Some(first_day), last_day: None, entries: u64::MAX, revealed: true },
            Deed::Prune { segment: u32::MAX, entries: 12 },
        ];
        let actor = ProviderId::parse("desk-1420").unwrap();
        let acts = deeds.map(|deed| Record::Act(Act { time_ms: 1_790_000_000_000, actor, deed }));
        for (record, sequence) in acts.into_iter().chain([Record::Inquiry(some_entry())]).zip(77..) {
            let slot = record.encode(42, sequence, &key);
            assert_eq!(Record::decode(&slot, 42, &keys), Ok(Some(record)));
        }
    }
}
