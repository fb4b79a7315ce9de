//! The two digests by which an inquiry that came with an idempotency key is known again. They are under the key of
//! a month, so that destroying that key leaves nothing by which a guess at a person could be tried; FORMAT.md has
//! what goes into them. Nothing here decides what a repeated request gets.

use engine::{Care, Day, IdKind, PersonId};

use crate::entry::ProviderId;
use crate::format::{NO_DAY, is_zero};
use crate::month::MonthKey;

/// Digests under a month's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Idempotency {
    /// Of who asked, and the key that they sent.
    pub key: [u8; 10],
    /// Of these and of what they asked.
    pub request: [u8; 6],
}

/// Whose idempotency key it is. The same text of another asker is another key.
#[derive(Clone, Copy)]
pub enum Asker {
    /// A provider.
    Provider(ProviderId),
    /// Whoever asks for this person with this mobile number.
    Holder {
        /// For whom.
        person: PersonId,
        /// What stands for the number: not the number itself, which the ledger never has.
        mobile_digest: [u8; 32],
    },
}

/// What was asked, as the client sent it: the language is not part of it.
#[derive(Clone, Copy)]
pub struct Question {
    /// For whom.
    pub person: PersonId,
    /// The kind of care.
    pub care: Care,
    /// The day that was named. One that was left out stays none, so that midnight makes no other request of it.
    pub service_day: Option<Day>,
}

const KEY: u8 = 0;
const REQUEST: u8 = 1;

impl Idempotency {
    /// The digests; `text` is the idempotency key, 255 bytes at most.
    pub(crate) fn new(month: &MonthKey, asker: &Asker, text: &str, question: &Question) -> Idempotency {
        let mut key = hasher(month, KEY, asker);
        key.update(text.as_bytes());
        // With the text in it, two requests for one person cannot be matched by whoever has the ledger alone.
        let mut request = hasher(month, REQUEST, asker);
        request.update(&[u8::try_from(text.len()).unwrap_or(u8::MAX)]).update(text.as_bytes());
        request.update(&[kind_byte(question.person)]).update(&question.person.to_u64().to_le_bytes());
        request.update(&[u8::from(question.care == Care::Inpatient)]);
        request.update(&question.service_day.map_or(NO_DAY, Day::number).to_le_bytes());
        Idempotency { key: first_bytes(&key), request: first_bytes(&request) }
    }

    pub(crate) fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..10].copy_from_slice(&self.key);
        bytes[10..].copy_from_slice(&self.request);
        bytes
    }

    pub(crate) fn from_bytes(bytes: [u8; 16]) -> Option<Idempotency> {
        let (key, request) = bytes.split_first_chunk()?;
        let idempotency = Idempotency { key: *key, request: *request.first_chunk()? };
        (!is_zero(&bytes)).then_some(idempotency)
    }
}

/// A hasher that has taken in which digest it is for, and the asker: as many bytes for each kind of asker.
fn hasher(month: &MonthKey, what: u8, asker: &Asker) -> blake3::Hasher {
    let mut hasher = blake3::Hasher::new_keyed(month.idempotency_key());
    match asker {
        Asker::Provider(provider) => hasher.update(&[what, 1]).update(&provider.to_bytes()),
        Asker::Holder { person, mobile_digest } => {
            hasher.update(&[what, 2, kind_byte(*person)]).update(&person.to_u64().to_le_bytes());
            hasher.update(mobile_digest)
        }
    };
    hasher
}

fn kind_byte(person: PersonId) -> u8 {
    match person.kind() {
        IdKind::National => b'N',
        IdKind::Foreign => b'F',
    }
}

fn first_bytes<const N: usize>(hasher: &blake3::Hasher) -> [u8; N] {
    *hasher.finalize().as_bytes().first_chunk().expect("a hash has 32 bytes")
}

#[cfg(test)]
mod tests {
    use engine::{Care, Day, IdKind, PersonId};

    use super::{Asker, Idempotency, Question};
    use crate::entry::ProviderId;
    use crate::entry::tests::some_keys;
    use crate::month::Month;

    fn person(kind: IdKind, id: &str) -> PersonId {
        PersonId::parse(kind, id).unwrap()
    }

    fn question() -> Question {
        Question { person: person(IdKind::National, "0499370899"), care: Care::Outpatient, service_day: None }
    }

    fn digests(month: &str, asker: &Asker, text: &str, question: &Question) -> Idempotency {
        let month = some_keys().months.get(Month::parse(month).unwrap()).unwrap();
        Idempotency::new(&month, asker, text, question)
    }

    fn provider(id: &str) -> Asker {
        Asker::Provider(ProviderId::parse(id).unwrap())
    }

    fn holder(id: &str, mobile: u8) -> Asker {
        Asker::Holder { person: person(IdKind::National, id), mobile_digest: [mobile; 32] }
    }

    #[test]
    fn a_key_s_digest_depends_on_the_month_the_asker_and_the_text() {
        let askers = [
            provider("a"),
            provider("b"),
            holder("0499370899", 1),
            holder("0499370899", 2),
            holder("4400276201", 1),
        ];
        let mut all: Vec<_> =
            askers.iter().map(|asker| digests("2026-11", asker, "k", &question()).key).collect();
        all.push(digests("2026-11", &provider("a"), "l", &question()).key);
        all.push(digests("2026-12", &provider("a"), "k", &question()).key);
        for (at, key) in all.iter().enumerate() {
            assert!(!all[..at].contains(key), "{at}");
        }
        let other = Question { care: Care::Inpatient, ..question() };
        assert_eq!(digests("2026-11", &provider("a"), "k", &other).key, all[0], "not on what was asked");
    }

    #[test]
    fn a_request_s_digest_depends_on_all_that_was_asked_and_on_the_key() {
        let digest = |text, question| digests("2026-11", &provider("a"), text, &question).request;
        let first = question();
        let day = Day::from_number(46_000);
        let mut all = vec![
            digest("k", first),
            digest("l", first),
            digest("k", Question { care: Care::Inpatient, ..first }),
            digest("k", Question { service_day: day, ..first }),
            digest("k", Question { service_day: day.and_then(|day| day.plus(1)), ..first }),
            digest("k", Question { person: person(IdKind::National, "4400276201"), ..first }),
            digest("k", Question { person: person(IdKind::Foreign, "0499370899"), ..first }),
        ];
        assert_eq!(digest("k", first), all[0]);
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 7);
    }

    #[test]
    fn the_digests_of_format_version_2() {
        // FORMAT.md defines them, and another implementation of it made these.
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let general = digests("2026-11", &provider("clinic-1"), "8e03978e", &question());
        let personal = digests("2026-11", &holder("0499370899", 9), "8e03978e", &question());
        assert_eq!(hex(&general.to_bytes()), "43df7e8d5759ea0abcf271de3f782611");
        assert_eq!(hex(&personal.to_bytes()), "68f45bafaeb4ab38cfa73956cc24cb09");
    }
}
