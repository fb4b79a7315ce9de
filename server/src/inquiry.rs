//! From wire to checked: the one place where a request's texts become IDs, days and codes. All faulty fields
//! are reported at once. Also what a provider's key may ask. Knows no clock: "today" is an argument.

use std::borrow::Cow;

use engine::{Care, DateError, Day, IdKind, Mobile, PersonId, PersonIdError};

use crate::providers::{Caller, ProviderKind, Scope};
use crate::texts::Code;
use crate::wire::{Object, Value};

/// Fields of `POST /v1/inquiries`, in the order in which faults in them are reported.
const GENERAL: &[&str] = &["person_id", "id_kind", "service_date", "care"];
/// Fields of `POST /v1/personal-inquiries`.
const PERSONAL: &[&str] = &["person_id", "id_kind", "mobile", "service_date"];
/// Days before today that a `claims` key may ask about (PRODUCT.md section 4).
const CLAIMS_DAYS: i32 = 365;
/// Longest name of an unknown field that is echoed.
const ECHOED_NAME_LEN_MAX: usize = 32;
/// Unknown names listed at most; a body of 4 KiB could hold a thousand.
const UNKNOWN_LISTED_MAX: usize = 50;

/// A fault in one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The field's name.
    pub(crate) field: Cow<'static, str>,
    /// What is wrong with it.
    pub(crate) code: Code,
}

/// Why a body is no inquiry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Not one well-formed JSON object.
    Malformed,
    /// Faulty fields: either all unknown names, or everything wrong with the known ones. Never empty.
    Fields(Vec<Fault>),
}

/// A provider's inquiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GeneralInquiry {
    pub(crate) person: PersonId,
    pub(crate) care: Care,
    /// None is today.
    pub(crate) service_day: Option<Day>,
}

/// A person's own inquiry; always outpatient.
#[derive(Debug)]
pub(crate) struct PersonalInquiry {
    pub(crate) person: PersonId,
    pub(crate) mobile: Mobile,
    /// None is today.
    pub(crate) service_day: Option<Day>,
}

/// Reads and checks the body of `POST /v1/inquiries`; a service date that `may_ask_day` refuses is a faulty
/// field like any other.
pub(crate) fn read_general(
    body: &[u8],
    may_ask_day: impl FnOnce(Day) -> bool,
) -> Result<GeneralInquiry, Refused> {
    let fields = known_fields(body, GENERAL)?;
    let mut faults = Vec::new();
    let person = noted(&mut faults, "person_id", check_person(&fields));
    noted(&mut faults, "id_kind", check_kind(&fields));
    let service_day = check_day(&fields, "service_date").and_then(|day| match day {
        Some(day) if !may_ask_day(day) => Err(Code::DateNotAllowed),
        day => Ok(day),
    });
    let service_day = noted(&mut faults, "service_date", service_day);
    let care = noted(&mut faults, "care", check_care(&fields));
    match (person.flatten(), care, service_day) {
        (Some(person), Some(care), Some(service_day)) if faults.is_empty() => {
            Ok(GeneralInquiry { person, care, service_day })
        }
        _ => Err(Refused::Fields(faults)),
    }
}

/// Reads and checks the body of `POST /v1/personal-inquiries`.
pub(crate) fn read_personal(body: &[u8]) -> Result<PersonalInquiry, Refused> {
    let fields = known_fields(body, PERSONAL)?;
    let mut faults = Vec::new();
    let person = noted(&mut faults, "person_id", check_person(&fields));
    noted(&mut faults, "id_kind", check_kind(&fields));
    let mobile = noted(&mut faults, "mobile", check_mobile(&fields));
    let service_day = noted(&mut faults, "service_date", check_day(&fields, "service_date"));
    match (person.flatten(), mobile, service_day) {
        (Some(person), Some(mobile), Some(service_day)) if faults.is_empty() => {
            Ok(PersonalInquiry { person, mobile, service_day })
        }
        _ => Err(Refused::Fields(faults)),
    }
}

impl Caller {
    /// Whether this key may ask about `day`.
    pub(crate) fn may_ask_day(&self, day: Day, today: Day) -> bool {
        let first = today.plus(-CLAIMS_DAYS).unwrap_or(Day::MIN);
        let claims = self.scopes.contains(Scope::Claims) && (first..=today).contains(&day);
        day == today || claims || self.scopes.contains(Scope::Desk)
    }

    /// Whether this key may ask about that kind of care.
    pub(crate) fn may_ask_care(&self, care: Care) -> bool {
        care == Care::Outpatient || self.kind == ProviderKind::Hospital || self.scopes.contains(Scope::Desk)
    }
}

pub(crate) fn known_fields<'a>(
    body: &'a [u8],
    names: &'static [&'static str],
) -> Result<Object<'a>, Refused> {
    let fields = Object::read(body, names).map_err(|_| Refused::Malformed)?;
    if fields.unknown().is_empty() {
        return Ok(fields);
    }
    let mut names: Vec<_> = fields.unknown().iter().map(|name| echoed(name)).collect();
    names.sort_unstable();
    names.dedup();
    names.truncate(UNKNOWN_LISTED_MAX);
    let faults = names.into_iter().map(|field| Fault { field, code: Code::UnknownField });
    Err(Refused::Fields(faults.collect()))
}

/// An unknown name as it may stand in an error text. It could itself be an ID or a person's name, put where
/// a field's name belongs: only what looks like a field's name is told back.
fn echoed(name: &str) -> Cow<'static, str> {
    let plain = |byte: u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'-');
    if (1..=ECHOED_NAME_LEN_MAX).contains(&name.len()) && name.bytes().all(plain) {
        Cow::Owned(name.to_owned())
    } else {
        Cow::Borrowed("?")
    }
}

pub(crate) fn noted<T>(faults: &mut Vec<Fault>, field: &'static str, checked: Result<T, Code>) -> Option<T> {
    checked.map_err(|code| faults.push(Fault { field: Cow::Borrowed(field), code })).ok()
}

/// The text of a field, if it is there.
pub(crate) fn optional<'a>(fields: &'a Object<'_>, field: &'static str) -> Result<Option<&'a str>, Code> {
    match fields.value(field) {
        Value::Absent => Ok(None),
        Value::Text(text) => Ok(Some(text)),
        Value::Number(_) | Value::Wrong => Err(Code::BadType),
    }
}

fn required<'a>(fields: &'a Object<'_>, field: &'static str) -> Result<&'a str, Code> {
    optional(fields, field)?.ok_or(Code::Required)
}

pub(crate) fn check_kind(fields: &Object<'_>) -> Result<IdKind, Code> {
    match optional(fields, "id_kind")? {
        None => Ok(IdKind::National),
        Some(code) => IdKind::from_code(code).ok_or(Code::BadEnum),
    }
}

/// The ID. When its kind is faulty there is none, but what no kind allows is a fault all the same: the
/// numbers of foreign nationals have the wider shape.
pub(crate) fn check_person(fields: &Object<'_>) -> Result<Option<PersonId>, Code> {
    let cell = required(fields, "person_id")?;
    let kind = check_kind(fields).ok();
    match PersonId::parse(kind.unwrap_or(IdKind::Foreign), cell) {
        Ok(person) => Ok(kind.map(|_| person)),
        Err(PersonIdError::Malformed) => Err(Code::BadPersonId),
        Err(PersonIdError::CheckDigit) => Err(Code::BadCheckDigit),
    }
}

pub(crate) fn check_day(fields: &Object<'_>, field: &'static str) -> Result<Option<Day>, Code> {
    let parsed = optional(fields, field)?.map(Day::parse).transpose();
    parsed.map_err(|error| match error {
        DateError::BadDate => Code::BadDate,
        DateError::OutOfRange => Code::DateOutOfRange,
    })
}

fn check_care(fields: &Object<'_>) -> Result<Care, Code> {
    match optional(fields, "care")? {
        None => Ok(Care::Outpatient),
        Some(code) => Care::from_code(code).ok_or(Code::BadEnum),
    }
}

fn check_mobile(fields: &Object<'_>) -> Result<Mobile, Code> {
    let cell = required(fields, "mobile")?;
    Mobile::parse(cell).map_err(|_| Code::BadMobile)?.ok_or(Code::Required)
}

#[cfg(test)]
mod tests {
    use engine::{Care, Day, IdKind, PersonId};
    use ledger::ProviderId;

    use super::{GeneralInquiry, Refused, read_personal};
    use crate::providers::{Caller, ProviderKind, Scope, Scopes};
    use crate::texts::Code;

    fn read_general(body: &[u8]) -> Result<GeneralInquiry, Refused> {
        super::read_general(body, |_| true)
    }

    fn faults<T: std::fmt::Debug>(result: Result<T, Refused>) -> String {
        match result.unwrap_err() {
            Refused::Malformed => "malformed".to_owned(),
            Refused::Fields(faults) => {
                let each = faults.iter().map(|fault| format!("{}:{}", fault.field, fault.code.code()));
                each.collect::<Vec<_>>().join(" ")
            }
        }
    }

    #[test]
    fn a_plain_inquiry_has_the_defaults() {
        let inquiry = read_general(r#"{"person_id":" ۵۷۴۲۶۱۶۶۹۴ "}"#.as_bytes()).unwrap();
        let person = PersonId::parse(IdKind::National, "5742616694").unwrap();
        assert_eq!(inquiry, GeneralInquiry { person, care: Care::Outpatient, service_day: None });
    }

    #[test]
    fn codes_are_read_in_any_case() {
        let body =
            br#"{"person_id":"12345678","id_kind":"FOREIGN","care":"InPatient","service_date":"14050901"}"#;
        let inquiry = read_general(body).unwrap();
        assert_eq!((inquiry.person.kind(), inquiry.care), (IdKind::Foreign, Care::Inpatient));
        assert_eq!(inquiry.service_day, Day::from_gregorian(2026, 11, 22));
    }

    #[test]
    fn all_faulty_fields_at_once_in_a_fixed_order() {
        let body = br#"{"care":"none","service_date":"1404/12/30","id_kind":1,"person_id":"x"}"#;
        let all = "person_id:bad_person_id id_kind:bad_type service_date:bad_date care:bad_enum";
        assert_eq!(faults(read_general(body)), all);
        let body = br#"{"id_kind":"both","mobile":"","service_date":"1200/01/01"}"#;
        let all = "person_id:required id_kind:bad_enum mobile:required service_date:date_out_of_range";
        assert_eq!(faults(read_personal(body)), all);
    }

    #[test]
    fn one_field_one_code() {
        let general = |body: &str| faults(read_general(body.as_bytes()));
        assert_eq!(general("{}"), "person_id:required");
        assert_eq!(general(r#"{"person_id":null}"#), "person_id:required");
        assert_eq!(general(r#"{"person_id":5742616694}"#), "person_id:bad_type");
        assert_eq!(general(r#"{"person_id":""}"#), "person_id:bad_person_id");
        assert_eq!(general(r#"{"person_id":"0684159415"}"#), "person_id:bad_check_digit");
        assert_eq!(general(r#"{"person_id":"0684159415","id_kind":"x"}"#), "id_kind:bad_enum");
        assert_eq!(general("[]"), "malformed");
        let personal = |mobile: &str| {
            faults(read_personal(format!(r#"{{"person_id":"5742616694","mobile":{mobile}}}"#).as_bytes()))
        };
        assert_eq!(personal("null"), "mobile:required");
        assert_eq!(personal(r#"" ""#), "mobile:required");
        assert_eq!(personal("9121234567"), "mobile:bad_type");
        assert_eq!(personal(r#""912""#), "mobile:bad_mobile");
    }

    #[test]
    fn unknown_names_are_told_back_unless_they_could_be_personal() {
        let body = r#"{"person_id":1,"nam":1,"5742616694":1,"نام":1,"a b":1,"x-y_Z":1}"#.as_bytes();
        assert_eq!(faults(read_general(body)), "?:unknown_field nam:unknown_field x-y_Z:unknown_field");
    }

    #[track_caller]
    fn check_allowed(
        scopes: &[Scope],
        kind: ProviderKind,
        days: Option<i32>,
        care: Care,
        expected: Option<Code>,
    ) {
        let today = Day::from_gregorian(2026, 11, 22).unwrap();
        let day = days.map_or(today, |days| today.plus(days).unwrap());
        let scopes = scopes.iter().copied().collect::<Scopes>();
        let caller = Caller { id: ProviderId::parse("p").unwrap(), kind, scopes };
        assert_eq!(caller.may_ask_day(day, today), expected != Some(Code::DateNotAllowed));
        assert_eq!(caller.may_ask_care(care), expected != Some(Code::CareNotAllowed));
    }

    #[test]
    fn a_date_that_is_not_allowed_is_reported_beside_the_other_faults() {
        let body = br#"{"person_id":"1234567890","service_date":"2026-11-21","care":"x"}"#;
        let all = "person_id:bad_check_digit service_date:date_not_allowed care:bad_enum";
        assert_eq!(faults(super::read_general(body, |_| false)), all);
        assert!(
            super::read_general(br#"{"person_id":"5742616694"}"#, |_| false).is_ok(),
            "today needs no leave"
        );
    }

    #[test]
    fn dates_by_scope() {
        let pharmacy = ProviderKind::Pharmacy;
        let refused = Some(Code::DateNotAllowed);
        for (scope, days, expected) in [
            (Scope::Inquire, None, None),
            (Scope::Inquire, Some(0), None),
            (Scope::Inquire, Some(-1), refused),
            (Scope::Inquire, Some(1), refused),
            (Scope::Claims, None, None),
            (Scope::Claims, Some(-365), None),
            (Scope::Claims, Some(-366), refused),
            (Scope::Claims, Some(1), refused),
            (Scope::Desk, Some(-4000), None),
            (Scope::Desk, Some(4000), None),
        ] {
            check_allowed(&[scope], pharmacy, days, Care::Outpatient, expected);
        }
        check_allowed(&[Scope::Inquire, Scope::Claims], pharmacy, Some(-365), Care::Outpatient, None);
    }

    #[test]
    fn inpatient_care_is_for_hospitals_and_the_desk() {
        let refused = Some(Code::CareNotAllowed);
        let inpatient = Care::Inpatient;
        check_allowed(&[Scope::Inquire], ProviderKind::Hospital, None, inpatient, None);
        check_allowed(&[Scope::Inquire], ProviderKind::Clinic, None, inpatient, refused);
        check_allowed(&[Scope::Claims], ProviderKind::Physician, Some(-3), inpatient, refused);
        check_allowed(&[Scope::Desk], ProviderKind::Clinic, None, inpatient, None);
    }
}
