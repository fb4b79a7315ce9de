//! What the ledger tells of an inquiry, and how it is packed into a slot and read back. Encode and decode are
//! neighbours; the person ID and the entitlement that decided are the only things encrypted.

use std::fmt;

use engine::{Care, Day, IdKind, Notices, PersonId, Reason, Terms};
use thiserror::Error;

use crate::format::{
    FLAG_ENGLISH, FLAG_FOREIGN, FLAG_INPATIENT, FLAG_OPEN_ENDED, KIND_INQUIRY, NO_DAY, RULES_VERSION, Slot,
    is_zero,
};
use crate::idempotency::Idempotency;
use crate::keys::LedgerKeys;
use crate::month::{MASKED_LEN, MonthKey};

/// Bytes of a provider ID at most.
pub const PROVIDER_ID_LEN_MAX: usize = 40;

/// An answered inquiry: all that explains the answer without the snapshot. Never the mobile number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When it was answered, in milliseconds since 1970-01-01 UTC.
    pub time_ms: u64,
    /// Who may ask so.
    pub channel: Channel,
    /// Who asked; [`ProviderId::NONE`] on the personal channel.
    pub provider: ProviderId,
    /// For whom.
    pub person: Subject,
    /// The kind of care asked for.
    pub care: Care,
    /// The day asked for.
    pub service_day: Day,
    /// The language of the answer.
    pub language: Language,
    /// What was answered.
    pub outcome: Outcome,
    /// Why.
    pub reason: Reason,
    /// The remarks that went with the answer.
    pub notices: Notices,
    /// The end date that the decision had, shown or not.
    pub end: Option<Day>,
    /// Whether the cover is open-ended.
    pub open_ended: bool,
    /// The snapshot generation's digest: the 12 hex digits of its name.
    pub generation: [u8; 6],
    /// The snapshot's date.
    pub as_of: Day,
    /// The entitlement that gave the reason; none when there was none, or when its month's key is gone.
    pub decided_by: Option<Terms>,
    /// Which version of the rules decided; of those answers that are made now, [`RULES_VERSION`].
    pub rules_version: u8,
    /// What tells a repeated request again, if it came with a key for that.
    pub idempotency: Option<Idempotency>,
}

/// For whom an inquiry was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// This person.
    Known(PersonId),
    /// Somebody with an ID of that kind, which nobody can read any more: the month's key was destroyed.
    Erased(IdKind),
}

impl Subject {
    /// Which space the ID belongs to.
    pub fn kind(self) -> IdKind {
        match self {
            Subject::Known(person) => person.kind(),
            Subject::Erased(kind) => kind,
        }
    }

    /// The person, if it can still be known.
    pub fn person(self) -> Option<PersonId> {
        match self {
            Subject::Known(person) => Some(person),
            Subject::Erased(_) => None,
        }
    }

    /// As a number to be masked; an ID that was erased stays so.
    pub(crate) fn to_u64(self) -> u64 {
        self.person().map_or(0, PersonId::to_u64)
    }
}

impl From<PersonId> for Subject {
    fn from(person: PersonId) -> Subject {
        Subject::Known(person)
    }
}

/// How an inquiry came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Channel {
    /// A provider with a key.
    General,
    /// The person, with their mobile number.
    Personal,
}

/// The language of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Language {
    /// The default.
    Persian,
    /// On request.
    English,
}

/// What was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Covered.
    Covered,
    /// Not covered.
    NotCovered,
    /// A personal inquiry under a number that is not the person's: no status was told, no code given out.
    MobileMismatch,
}

impl Channel {
    /// The stable code, for exports.
    pub fn code(self) -> &'static str {
        match self {
            Channel::General => "general",
            Channel::Personal => "personal",
        }
    }

    fn to_u8(self) -> u8 {
        match self {
            Channel::General => 1,
            Channel::Personal => 2,
        }
    }

    pub(crate) fn from_u8(number: u8) -> Option<Channel> {
        [Channel::General, Channel::Personal].into_iter().find(|channel| channel.to_u8() == number)
    }
}

impl Language {
    /// The language tag.
    pub fn code(self) -> &'static str {
        match self {
            Language::Persian => "fa",
            Language::English => "en",
        }
    }
}

impl Outcome {
    /// The stable code, for exports.
    pub fn code(self) -> &'static str {
        match self {
            Outcome::Covered => "covered",
            Outcome::NotCovered => "not_covered",
            Outcome::MobileMismatch => "mobile_mismatch",
        }
    }

    fn to_u8(self) -> u8 {
        match self {
            Outcome::Covered => 1,
            Outcome::NotCovered => 2,
            Outcome::MobileMismatch => 3,
        }
    }

    fn from_u8(number: u8) -> Option<Outcome> {
        let all = [Outcome::Covered, Outcome::NotCovered, Outcome::MobileMismatch];
        all.into_iter().find(|outcome| outcome.to_u8() == number)
    }
}

/// A provider's ID: up to 40 bytes of UTF-8 without control characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProviderId([u8; PROVIDER_ID_LEN_MAX]);

/// Why a text is no provider ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a provider ID has 1 to 40 bytes and no control characters")]
pub struct ProviderIdError;

impl ProviderId {
    /// Nobody: the personal channel has no provider.
    pub const NONE: ProviderId = ProviderId([0; PROVIDER_ID_LEN_MAX]);

    /// Reads a provider ID as it stands.
    ///
    /// # Errors
    /// When it is empty, too long or has control characters.
    pub fn parse(text: &str) -> Result<ProviderId, ProviderIdError> {
        if text.is_empty() || text.len() > PROVIDER_ID_LEN_MAX || text.chars().any(char::is_control) {
            return Err(ProviderIdError);
        }
        let mut bytes = [0; PROVIDER_ID_LEN_MAX];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Ok(ProviderId(bytes))
    }

    /// The text; empty for [`ProviderId::NONE`].
    pub fn as_str(&self) -> &str {
        let len = self.0.iter().position(|&byte| byte == 0).unwrap_or(PROVIDER_ID_LEN_MAX);
        std::str::from_utf8(&self.0[..len]).expect("made from a text only")
    }

    pub(crate) fn to_bytes(self) -> [u8; PROVIDER_ID_LEN_MAX] {
        self.0
    }

    pub(crate) fn from_bytes(bytes: [u8; PROVIDER_ID_LEN_MAX]) -> Option<ProviderId> {
        let len = bytes.iter().position(|&byte| byte == 0).unwrap_or(PROVIDER_ID_LEN_MAX);
        match std::str::from_utf8(&bytes[..len]) {
            Ok("") => is_zero(&bytes).then_some(ProviderId::NONE),
            Ok(text) => ProviderId::parse(text).ok().filter(|id| id.0 == bytes),
            Err(_) => None,
        }
    }
}

impl fmt::Debug for ProviderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProviderId({:?})", self.as_str())
    }
}

/// The bit of a flag that is set.
pub(crate) fn flag(set: bool, flag: u8) -> u8 {
    if set { flag } else { 0 }
}

/// Packs an entry. Place in the batch, ledger key, tag and checksum are the committer's to set.
pub(crate) fn encode(entry: &Entry, ledger: u16, sequence: u64, key: &MonthKey) -> Slot {
    let mut slot = Slot {
        channel: entry.channel.to_u8(),
        flags: flag(entry.person.kind() == IdKind::Foreign, FLAG_FOREIGN)
            | flag(entry.care == Care::Inpatient, FLAG_INPATIENT)
            | flag(entry.language == Language::English, FLAG_ENGLISH)
            | flag(entry.open_ended, FLAG_OPEN_ENDED),
        rules_version: entry.rules_version,
        time_ms: entry.time_ms.into(),
        as_of: entry.as_of.number().into(),
        generation: entry.generation,
        service_day: entry.service_day.number().into(),
        end_day: entry.end.map_or(NO_DAY, Day::number).into(),
        outcome: entry.outcome.to_u8(),
        reason: entry.reason.to_u8(),
        notices: u16::from(entry.notices.bits()).into(),
        provider: entry.provider.0,
        detail: entry.idempotency.map_or([0; 16], Idempotency::to_bytes),
        ..Slot::new(KIND_INQUIRY, sequence)
    };
    put_masked(&mut slot, entry.person, entry.decided_by, ledger, key);
    slot
}

/// Puts person and entitlement into a slot, encrypted.
pub(crate) fn put_masked(
    slot: &mut Slot,
    person: Subject,
    terms: Option<Terms>,
    ledger: u16,
    key: &MonthKey,
) {
    let mut bytes = [0; MASKED_LEN];
    bytes[..8].copy_from_slice(&person.to_u64().to_le_bytes());
    bytes[8..].copy_from_slice(&terms.map_or([0; 12], Terms::to_bytes));
    key.mask(ledger, slot.sequence.get(), &mut bytes);
    slot.person = u64::from_le_bytes(*bytes.first_chunk().expect("20 bytes")).into();
    slot.entitlement = *bytes.last_chunk().expect("20 bytes");
    slot.month = key.month().number().into();
}

/// Takes person and entitlement out of a slot, as far as the keys that are here go.
pub(crate) fn take_masked(
    slot: &Slot,
    ledger: u16,
    keys: &LedgerKeys,
) -> Result<(Subject, Option<Terms>), &'static str> {
    let kind = if slot.flags & FLAG_FOREIGN != 0 { IdKind::Foreign } else { IdKind::National };
    let known = |number| PersonId::from_u64(kind, number).map(Subject::Known).ok_or("person");
    if slot.month.get() == 0 {
        let key = keys.ledger(slot.key_id.get()).ok_or("ledger key")?;
        let person = key.mask_person_1(ledger, slot.sequence.get(), slot.person.get());
        return if is_zero(&slot.entitlement) { Ok((known(person)?, None)) } else { Err("entitlement") };
    }
    let Some(key) = keys.month(slot.month.get()) else { return Ok((Subject::Erased(kind), None)) };
    let mut bytes = [0; MASKED_LEN];
    bytes[..8].copy_from_slice(&slot.person.get().to_le_bytes());
    bytes[8..].copy_from_slice(&slot.entitlement);
    key.mask(ledger, slot.sequence.get(), &mut bytes);
    let terms: [u8; 12] = *bytes.last_chunk().expect("20 bytes");
    let terms = if is_zero(&terms) { None } else { Some(Terms::from_bytes(terms).ok_or("entitlement")?) };
    let person = match u64::from_le_bytes(*bytes.first_chunk().expect("20 bytes")) {
        0 => Subject::Erased(kind),
        number => known(number)?,
    };
    Ok((person, terms))
}

/// Unpacks an inquiry; the name of the field that this version cannot read otherwise.
pub(crate) fn decode(slot: &Slot, ledger: u16, keys: &LedgerKeys) -> Result<Entry, &'static str> {
    let flag = |flag: u8| slot.flags & flag != 0;
    if slot.flags & !(FLAG_FOREIGN | FLAG_INPATIENT | FLAG_ENGLISH | FLAG_OPEN_ENDED) != 0 {
        return Err("flags");
    }
    if !is_zero(&slot.reserved_a) || !(1..=RULES_VERSION).contains(&slot.rules_version) {
        return Err("rules version or reserved bytes");
    }
    let (person, decided_by) = take_masked(slot, ledger, keys)?;
    let notices = u8::try_from(slot.notices.get()).ok().and_then(Notices::from_bits);
    Ok(Entry {
        time_ms: slot.time_ms.get(),
        channel: Channel::from_u8(slot.channel).ok_or("channel")?,
        provider: ProviderId::from_bytes(slot.provider).ok_or("provider")?,
        person,
        care: if flag(FLAG_INPATIENT) { Care::Inpatient } else { Care::Outpatient },
        service_day: Day::from_number(slot.service_day.get()).ok_or("service day")?,
        language: if flag(FLAG_ENGLISH) { Language::English } else { Language::Persian },
        outcome: Outcome::from_u8(slot.outcome).ok_or("outcome")?,
        reason: Reason::from_u8(slot.reason).ok_or("reason")?,
        notices: notices.ok_or("notices")?,
        end: Day::from_number(slot.end_day.get()),
        open_ended: flag(FLAG_OPEN_ENDED),
        generation: slot.generation,
        as_of: Day::from_number(slot.as_of.get()).ok_or("as-of day")?,
        decided_by,
        rules_version: slot.rules_version,
        idempotency: Idempotency::from_bytes(slot.detail),
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use engine::{Care, Day, EntitlementRecord, IdKind, Notices, PersonId, Reason};
    use proptest::prelude::{Strategy, any, prop, prop_assert, prop_assert_eq, proptest};

    use super::{Channel, Entry, Language, Outcome, ProviderId, Subject, decode, encode};
    use crate::format::RULES_VERSION;
    use crate::idempotency::Idempotency;
    use crate::keys::LedgerKeys;
    use crate::month::Month;

    /// Keys of a small ledger, from 2026-11 on.
    pub(crate) fn some_keys() -> LedgerKeys {
        let month = Month::parse("2026-11").unwrap();
        LedgerKeys::new(0, &[1; 32], 5, &[2; 32]).with_month(month, &[3; 32])
    }

    /// An entry, for tests that do not look at it.
    pub(crate) fn some_entry() -> Entry {
        let day = Day::from_number(46_000).unwrap();
        Entry {
            time_ms: 1_790_000_000_000,
            channel: Channel::Personal,
            provider: ProviderId::NONE,
            person: PersonId::parse(IdKind::National, "0499370899").unwrap().into(),
            care: Care::Outpatient,
            service_day: day,
            language: Language::Persian,
            outcome: Outcome::Covered,
            reason: Reason::Active,
            notices: Notices::default(),
            end: None,
            open_ended: true,
            generation: [0; 6],
            as_of: day,
            decided_by: None,
            rules_version: RULES_VERSION,
            idempotency: None,
        }
    }

    fn any_person() -> impl Strategy<Value = PersonId> {
        let national =
            (1_u64..1_000_000_000).prop_filter_map("an ID", |n| PersonId::from_u64(IdKind::National, n));
        let foreign = "[0-9]{8,16}".prop_map(|digits| PersonId::parse(IdKind::Foreign, &digits).unwrap());
        prop::strategy::Union::new([national.boxed(), foreign.boxed()])
    }

    fn any_day() -> impl Strategy<Value = Day> {
        (0_u16..=65_534).prop_map(|number| Day::from_number(number).unwrap())
    }

    fn a_son(start: Day, end: Option<Day>, branch: u16) -> EntitlementRecord {
        EntitlementRecord::pack(&engine::Entitlement {
            category: engine::Category::PENSIONER,
            relation: engine::Relation::Son,
            start,
            end,
            turns_19: Some(start),
            student_until: end,
            document_due: None,
            other_insurer: Some(engine::Insurer::Ikrf),
            branch: engine::Branch::new(branch),
            mobile: None,
        })
    }

    fn any_entry() -> impl Strategy<Value = Entry> {
        let reason = prop::sample::select((0..=255).filter_map(Reason::from_u8).collect::<Vec<_>>());
        let notices = (0_u8..32).prop_map(|bits| Notices::from_bits(bits).unwrap());
        let provider = prop::option::of("[a-z۰-۹]{1,20}")
            .prop_map(|text| text.map_or(ProviderId::NONE, |text| ProviderId::parse(&text).unwrap()));
        let outcome =
            prop::sample::select(vec![Outcome::Covered, Outcome::NotCovered, Outcome::MobileMismatch]);
        let days = (any_day(), prop::option::of(any_day()), any_day());
        let bits = any::<[bool; 4]>();
        let terms = prop::option::of((any_day(), prop::option::of(any_day()), 0_u16..9999));
        let idempotency = prop::option::of((any::<[u8; 10]>(), any::<[u8; 6]>()))
            .prop_map(|digests| digests.map(|(key, request)| Idempotency { key, request }))
            .prop_filter("zeros are none", |digests| digests.is_none_or(|digests| digests.key != [0; 10]));
        let rest = (any::<u64>(), any::<[u8; 6]>(), terms, idempotency);
        (any_person(), provider, outcome, reason, notices, days, bits, rest).prop_map(
            |(
                person,
                provider,
                outcome,
                reason,
                notices,
                (service_day, end, as_of),
                bits,
                (time_ms, generation, terms, idempotency),
            )| Entry {
                time_ms,
                channel: if bits[0] { Channel::General } else { Channel::Personal },
                provider,
                person: Subject::Known(person),
                care: if bits[1] { Care::Inpatient } else { Care::Outpatient },
                service_day,
                language: if bits[2] { Language::English } else { Language::Persian },
                outcome,
                reason,
                notices,
                end,
                open_ended: bits[3],
                generation,
                as_of,
                decided_by: terms.map(|(start, end, branch)| a_son(start, end, branch).terms().unwrap()),
                rules_version: RULES_VERSION,
                idempotency,
            },
        )
    }

    proptest! {
        #[test]
        fn entries_come_back(entry in any_entry(), ledger in 1_u16..10_000, sequence in 0_u64..10_000_000_000) {
            let keys = some_keys();
            let key = keys.months.for_writing(Month::parse("2027-02").unwrap()).unwrap();
            let slot = encode(&entry, ledger, sequence, &key);
            prop_assert_eq!(slot.month.get(), 202_702);
            prop_assert_eq!(decode(&slot, ledger, &keys), Ok(entry.clone()));
            prop_assert!(slot.person.get() != entry.person.to_u64(), "the person ID stands there in clear");
            let terms = entry.decided_by.map(|terms| terms.to_bytes());
            prop_assert!(terms != Some(slot.entitlement), "the entitlement stands there in clear");
            // Without the month's key all else can be read.
            let without = LedgerKeys::new(0, &[1; 32], 5, &[2; 32]);
            let erased = Entry { person: Subject::Erased(entry.person.kind()), decided_by: None, ..entry };
            prop_assert_eq!(decode(&slot, ledger, &without), Ok(erased));
        }
    }
}
