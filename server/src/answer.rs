//! An answer as JSON, made from a ledger entry alone: what the inquirer gets now and what a look-up gives
//! later are the same bytes because they have the same source. Members and their order are PRODUCT.md
//! section 4's.

use std::fmt::Display;

use engine::{Day, Notice, Notices, PersonId, Reason};
use ledger::{Entry, Language, Outcome, ProviderId, TrackingCode};
use serde::ser::{Error, SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use snapshots::GenerationName;

use crate::clock::Moment;
use crate::texts;

/// How much of an entry its reader may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum View {
    /// The provider that asked: one of two statuses, and nothing of the person.
    Provider,
    /// The person: also why, and until when.
    Person,
    /// The 1420 desk: also who asked, how and for whom.
    Desk,
}

/// One answer in one view.
pub(crate) struct Answer<'a> {
    pub(crate) entry: &'a Entry,
    /// None where it goes to nobody.
    pub(crate) tracking_code: Option<TrackingCode>,
    /// The entry's time.
    pub(crate) answered_at: Moment,
    pub(crate) view: View,
}

impl Answer<'_> {
    /// The JSON.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        let mut json = Vec::with_capacity(1024);
        serde_json::to_writer(&mut json, self).expect("texts, dates and codes are always JSON");
        json
    }

    fn put_answer<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let Entry { language, service_day, .. } = *self.entry;
        let (status, message) = status(self.entry);
        map.serialize_entry("tracking_code", &self.tracking_code.map(Shown))?;
        map.serialize_entry("status", status)?;
        map.serialize_entry("message", message.of(language))?;
        map.serialize_entry("notices", &NoticeList(self.entry.notices, language))?;
        map.serialize_entry("id_kind", self.entry.person.kind().code())?;
        map.serialize_entry("care", self.entry.care.code())?;
        map.serialize_entry("service_date", &Shown(service_day.iso()))?;
        map.serialize_entry("service_date_jalali", &Shown(service_day.jalali_text()))?;
        map.serialize_entry("answered_at", &Shown(self.answered_at))?;
        map.serialize_entry("as_of", &Shown(self.entry.as_of.iso()))?;
        let generation = GenerationName::from_parts(self.entry.as_of, self.entry.generation);
        map.serialize_entry("snapshot", &Shown(generation))
    }

    fn put_origin<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let provider = self.entry.provider;
        map.serialize_entry("channel", self.entry.channel.code())?;
        map.serialize_entry("provider", &(provider != ProviderId::NONE).then(|| provider.as_str()))?;
        // Null once the month's key was destroyed.
        map.serialize_entry("person_id", &self.entry.person.person().map(PersonId::reveal))
    }

    fn put_grounds<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let Entry { language, reason, end, open_ended, .. } = *self.entry;
        map.serialize_entry("reason", &Coded::reason(reason, language))?;
        map.serialize_entry("end_date", &end.map(Day::iso).map(Shown))?;
        map.serialize_entry("end_date_jalali", &end.map(Day::jalali_text).map(Shown))?;
        map.serialize_entry("open_ended", &open_ended)
    }
}

impl Serialize for Answer<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.put_answer(&mut map)?;
        if self.view == View::Desk {
            self.put_origin(&mut map)?;
        }
        if self.view != View::Provider {
            self.put_grounds(&mut map)?;
        }
        map.end()
    }
}

/// What a search of the desk gives: a page of inquiries about a person, the newest first.
pub(crate) struct DeskPage<'a> {
    pub(crate) first_day: Day,
    pub(crate) last_day: Day,
    pub(crate) inquiries: Vec<Answer<'a>>,
    pub(crate) next_cursor: Option<&'a str>,
    pub(crate) segments_not_searchable: u64,
}

impl DeskPage<'_> {
    /// The JSON.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts, dates and codes are always JSON")
    }
}

impl Serialize for DeskPage<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("from", &Shown(self.first_day.iso()))?;
        map.serialize_entry("from_jalali", &Shown(self.first_day.jalali_text()))?;
        map.serialize_entry("to", &Shown(self.last_day.iso()))?;
        map.serialize_entry("to_jalali", &Shown(self.last_day.jalali_text()))?;
        map.serialize_entry("inquiries", &self.inquiries)?;
        map.serialize_entry("next_cursor", &self.next_cursor)?;
        map.serialize_entry("segments_not_searchable", &self.segments_not_searchable)?;
        map.end()
    }
}

/// The status and its message. A mismatch told no status: the desk sees that it was one.
fn status(entry: &Entry) -> (&'static str, texts::Text) {
    let message = match entry.outcome {
        Outcome::Covered => texts::status(engine::Status::Covered),
        Outcome::NotCovered => texts::status(engine::Status::NotCovered),
        Outcome::MobileMismatch => texts::Code::MobileMismatch.title(),
    };
    (entry.outcome.code(), message)
}

/// A value as its `Display` shows it, without a `String` in between.
struct Shown<T>(T);

impl<T: Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A code with its text.
#[derive(Serialize)]
struct Coded {
    code: &'static str,
    message: &'static str,
}

impl Coded {
    fn reason(reason: Reason, language: Language) -> Coded {
        Coded { code: reason.code(), message: texts::reason(reason).of(language) }
    }

    fn notice(notice: Notice, language: Language) -> Coded {
        Coded { code: notice.code(), message: texts::notice(notice).of(language) }
    }
}

struct NoticeList(Notices, Language);

impl Serialize for NoticeList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(None)?;
        for notice in self.0.iter() {
            seq.serialize_element(&Coded::notice(notice, self.1))?;
        }
        seq.end().map_err(S::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use engine::{Care, Day, IdKind, Person, PersonId, decide};
    use ledger::{Channel, Entry, Language, Outcome, ProviderId, TrackingCode};

    use super::{Answer, View};
    use crate::clock::Clock;

    fn entry(language: Language) -> Entry {
        let service_day = Day::from_gregorian(2026, 11, 22).unwrap();
        let decision = decide(Person::Incomplete, service_day, Care::Inpatient);
        Entry {
            time_ms: 1_795_379_399_999,
            channel: Channel::General,
            provider: ProviderId::parse("hospital-1").unwrap(),
            person: PersonId::parse(IdKind::National, "5742616694").unwrap().into(),
            care: Care::Inpatient,
            service_day,
            language,
            outcome: Outcome::NotCovered,
            reason: decision.reason,
            notices: decision.notices,
            end: None,
            open_ended: false,
            generation: [0x3f, 0xa9, 0xc1, 0xd2, 0xe4, 0xb5],
            as_of: service_day,
            decided_by: None,
            rules_version: ledger::RULES_VERSION,
            idempotency: None,
        }
    }

    fn json(entry: &Entry, view: View) -> String {
        let tracking_code = TrackingCode::parse("0000000000000000").ok();
        let answered_at = Clock::new().at(entry.time_ms).unwrap();
        String::from_utf8(Answer { entry, tracking_code, answered_at, view }.to_json()).unwrap()
    }

    const ENGLISH: &str = concat!(
        r#"{"tracking_code":"0000000000000000","status":"not_covered","message":"Not covered for treatment","#,
        r#""notices":[{"code":"overlap_check_required","message":"For inpatient care, the entitlement process "#,
        r#"and the removal of overlaps between base insurers remain in force"},{"code":"record_incomplete","#,
        r#""message":"This person's insurance record is incomplete"},{"code":"objection_line","message":"#,
        r#""To object to this entitlement status, call 1420"}],"id_kind":"national","care":"inpatient","#,
        r#""service_date":"2026-11-22","service_date_jalali":"1405/09/01","#,
        r#""answered_at":"2026-11-22T23:59:59.999+03:30","as_of":"2026-11-22","#,
        r#""snapshot":"2026-11-22-3fa9c1d2e4b5""#
    );

    #[test]
    fn a_provider_sees_exactly_the_contract_s_members() {
        assert_eq!(json(&entry(Language::English), View::Provider), format!("{ENGLISH}}}"));
    }

    #[test]
    fn a_person_also_sees_the_grounds() {
        let grounds = concat!(
            r#","reason":{"code":"record_incomplete","message":"This person's insurance record is incomplete"},"#,
            r#""end_date":null,"end_date_jalali":null,"open_ended":false}"#
        );
        assert_eq!(json(&entry(Language::English), View::Person), format!("{ENGLISH}{grounds}"));
        let ended = Entry { end: Day::from_jalali(1404, 12, 29), ..entry(Language::Persian) };
        let json = json(&ended, View::Person);
        assert!(
            json.contains(r#""end_date":"2026-03-20","end_date_jalali":"1404/12/29","open_ended":false}"#),
            "{json}"
        );
        assert!(json.contains(r#""message":"حمایت درمانی ندارد""#), "{json}");
    }

    #[test]
    fn the_desk_also_sees_who_asked_for_whom() {
        let origin = r#","channel":"general","provider":"hospital-1","person_id":"5742616694","reason":{"#;
        let general = json(&entry(Language::English), View::Desk);
        assert!(general.starts_with(&format!("{ENGLISH}{origin}")), "{general}");
        let personal = Entry {
            channel: Channel::Personal,
            provider: ProviderId::NONE,
            outcome: Outcome::MobileMismatch,
            ..entry(Language::Persian)
        };
        let personal = json(&personal, View::Desk);
        assert!(personal.contains(r#""channel":"personal","provider":null,"#), "{personal}");
        assert!(personal.contains(r#""status":"mobile_mismatch","message":"عدم تطابق"#), "{personal}");
    }
}
