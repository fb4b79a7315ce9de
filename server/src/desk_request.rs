//! From wire to checked for a search of the desk: whom, on which days, how many, and where the page before ended. All
//! faulty fields are reported at once.

use engine::{Day, PersonId};
use ledger::{Cursor, LIMIT_DEFAULT, LIMIT_MAX, Search, Span};

use crate::inquiry::{Refused, check_day, check_kind, check_person, known_fields, noted, optional};
use crate::texts::Code;
use crate::wire::{Object, Value};

/// Fields of `POST /v1/desk/search`, in the order in which faults in them are reported.
const SEARCH: &[&str] = &["person_id", "id_kind", "from", "to", "limit", "cursor"];
/// Days of a span at most, and if none are given.
const SPAN_DAYS_MAX: i32 = 400;

/// A search of the desk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeskSearch {
    pub(crate) person: PersonId,
    pub(crate) first_day: Day,
    pub(crate) last_day: Day,
    pub(crate) limit: usize,
    pub(crate) after: Option<Cursor>,
}

impl DeskSearch {
    /// As the ledger does it.
    pub(crate) fn search(&self) -> Search {
        let DeskSearch { person, first_day, last_day, limit, after } = *self;
        Search { person, span: Span { first: Some(first_day), last: Some(last_day) }, limit, after }
    }
}

/// Reads and checks the body of `POST /v1/desk/search`; `cursor` knows the cursors of a person's searches.
pub(crate) fn read_desk_search(
    body: &[u8],
    today: Day,
    cursor: impl FnOnce(&str, PersonId) -> Option<Cursor>,
) -> Result<DeskSearch, Refused> {
    let fields = known_fields(body, SEARCH)?;
    let mut faults = Vec::new();
    let person = noted(&mut faults, "person_id", check_person(&fields)).flatten();
    noted(&mut faults, "id_kind", check_kind(&fields));
    let from = noted(&mut faults, "from", check_day(&fields, "from"));
    let to = noted(&mut faults, "to", check_day(&fields, "to"));
    let span = match (from, to) {
        (Some(from), Some(to)) => {
            let blamed = if from.is_some() { "from" } else { "to" };
            noted(&mut faults, blamed, check_span(from, to, today))
        }
        _ => None,
    };
    let limit = noted(&mut faults, "limit", check_limit(&fields));
    let after = noted(&mut faults, "cursor", check_cursor(&fields, person, cursor));
    match (person, span, limit, after) {
        (Some(person), Some((first_day, last_day)), Some(limit), Some(after)) if faults.is_empty() => {
            Ok(DeskSearch { person, first_day, last_day, limit, after })
        }
        _ => Err(Refused::Fields(faults)),
    }
}

/// The first and the last day. Up to today if no end is given; as long as may be if no beginning is.
fn check_span(from: Option<Day>, to: Option<Day>, today: Day) -> Result<(Day, Day), Code> {
    let last = to.unwrap_or(today);
    let earliest = last.plus(1 - SPAN_DAYS_MAX).unwrap_or(Day::MIN);
    let first = from.unwrap_or(earliest);
    if (earliest..=last).contains(&first) { Ok((first, last)) } else { Err(Code::BadSpan) }
}

fn check_limit(fields: &Object<'_>) -> Result<usize, Code> {
    match fields.value("limit") {
        Value::Absent => Ok(LIMIT_DEFAULT),
        Value::Number(number) => {
            let limit = usize::try_from(*number).ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
            limit.ok_or(Code::BadLimit)
        }
        Value::Text(_) | Value::Wrong => Err(Code::BadLimit),
    }
}

/// Where the page before ended. Whose search a cursor is from cannot be told when the person is faulty.
fn check_cursor(
    fields: &Object<'_>,
    person: Option<PersonId>,
    cursor: impl FnOnce(&str, PersonId) -> Option<Cursor>,
) -> Result<Option<Cursor>, Code> {
    match (optional(fields, "cursor")?, person) {
        (Some(text), Some(person)) => cursor(text, person).map(Some).ok_or(Code::BadCursor),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use engine::{Day, IdKind};

    use super::{DeskSearch, read_desk_search};
    use crate::inquiry::Refused;

    fn read(body: &str) -> Result<DeskSearch, Refused> {
        let today = Day::from_gregorian(2026, 11, 22).unwrap();
        read_desk_search(body.as_bytes(), today, |_, _| None)
    }

    #[track_caller]
    fn check_faults(body: &str, expected: &str) {
        let Refused::Fields(faults) = read(body).unwrap_err() else { panic!("malformed: {body}") };
        let each = faults.iter().map(|fault| format!("{}:{}", fault.field, fault.code.code()));
        assert_eq!(each.collect::<Vec<_>>().join(" "), expected);
    }

    #[track_caller]
    fn check_span(days: &str, first: &str, last: &str) {
        let search = read(&format!(r#"{{"person_id":"5742616694"{days}}}"#)).unwrap();
        let day = |text| Day::parse(text).unwrap();
        assert_eq!((search.first_day, search.last_day), (day(first), day(last)));
    }

    #[test]
    fn a_plain_search_has_the_defaults() {
        check_span("", "2025-10-19", "2026-11-22");
        let search = read(r#"{"person_id":"12345678","id_kind":"foreign","limit":100}"#).unwrap();
        assert_eq!((search.person.kind(), search.limit, search.after), (IdKind::Foreign, 100, None));
        assert_eq!(read(r#"{"person_id":"5742616694"}"#).unwrap().limit, 20);
    }

    #[test]
    fn spans_of_either_calendar_up_to_400_days() {
        check_span(r#","from":"1405/09/01""#, "2026-11-22", "2026-11-22");
        check_span(r#","from":"2026-01-01","to":"1404/10/11""#, "2026-01-01", "2026-01-01");
        check_span(r#","to":"2024-01-01""#, "2022-11-28", "2024-01-01");
        check_span(r#","from":"2025-10-19""#, "2025-10-19", "2026-11-22");
        check_span(r#","to":"1900-01-05""#, "1900-01-01", "1900-01-05");
        let person = r#""person_id":"5742616694""#;
        check_faults(&format!(r#"{{{person},"from":"2025-10-18"}}"#), "from:bad_span");
        check_faults(&format!(r#"{{{person},"from":"2026-11-23"}}"#), "from:bad_span");
        check_faults(&format!(r#"{{{person},"from":"2026-02-02","to":"2026-02-01"}}"#), "from:bad_span");
    }

    #[test]
    fn all_faulty_fields_at_once() {
        let body = r#"{"cursor":"x","limit":0,"to":"1404/12/30","from":5,"id_kind":"x","person_id":"1"}"#;
        let all = "person_id:bad_person_id id_kind:bad_enum from:bad_type to:bad_date limit:bad_limit";
        check_faults(body, all);
        for limit in ["0", "101", "-1", "1.5", "\"20\"", "99999999999999999999"] {
            let body = format!(r#"{{"person_id":"5742616694","limit":{limit},"cursor":"x"}}"#);
            check_faults(&body, "limit:bad_limit cursor:bad_cursor");
        }
        check_faults(r#"{"person_id":"5742616694","cursor":1}"#, "cursor:bad_type");
        check_faults(r#"{"person_id":1,"care":"x","mobile":"1"}"#, "care:unknown_field mobile:unknown_field");
    }
}
