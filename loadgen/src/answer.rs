//! Judges one answer: is it what the target says it must be?
//!
//! Pure. Each answer gets one verdict, the first thing found wrong, so that the counts by kind add up. What
//! was expected and what came is described in codes and dates alone; whatever else a server may send, IDs
//! among it, is not repeated.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize};

use crate::sender::Answer;
use crate::targets::{Expected, ExpectedAnswer, ExpectedPersonal};
use crate::tracking::TrackingCode;
use crate::vocabulary::{Endpoint, IsoDate, MOBILE_MISMATCH, NoticeSet};

/// What is wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WrongKind {
    /// A 2xx other than 201, or `mobile_mismatch` without 403.
    HttpStatus,
    /// Not the JSON of the contract.
    Unreadable,
    /// An answer where a refusal was due, or the other way round, or another refusal.
    Outcome,
    /// Something this caller must not be told, such as a reason in a general answer.
    ForbiddenField,
    TrackingCodeMalformed,
    Status,
    Reason,
    EndDate,
    OpenEnded,
    Notices,
    /// A tracking code that an earlier answer of this run had.
    TrackingCodeRepeated,
}

/// A wrong answer, described without personal data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) kind: WrongKind,
    pub(crate) expected: String,
    pub(crate) got: String,
}

/// What an answer comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// With the tracking code, unless it is the refusal that was due.
    Right(Option<TrackingCode>),
    /// Well-formed, but the target does not say what it should be.
    Unchecked(Option<TrackingCode>),
    /// With the tracking code where there was one, for it has been given out all the same.
    Wrong(Wrong, Option<TrackingCode>),
    /// No answer to the inquiry but an HTTP error with this status.
    HttpError(u16),
}

/// The snapshot generation that an answer names, `2026-11-22-3fa9c1d2e4b5`; anything of another shape could be
/// personal data and is nobody's generation. Looks for the field without reading the JSON.
pub(crate) fn generation(body: &[u8]) -> Option<&str> {
    const FIELD: &[u8] = b"\"snapshot\":\"";
    let start = body.windows(FIELD.len()).position(|window| window == FIELD)? + FIELD.len();
    let name = body.get(start..start + 23)?;
    let shape = |(at, byte): (usize, &u8)| match at {
        4 | 7 | 10 => *byte == b'-',
        0..10 => byte.is_ascii_digit(),
        _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
    };
    let right = body.get(start + 23) == Some(&b'"') && name.iter().enumerate().all(shape);
    if right { std::str::from_utf8(name).ok() } else { None }
}

/// Compares an answer with what its target expects.
pub(crate) fn judge(endpoint: Endpoint, expected: &Expected, answer: Answer<'_>) -> Verdict {
    match answer.status {
        201 => judge_created(endpoint, expected, answer.body),
        200..=299 => wrong(WrongKind::HttpStatus, "201", answer.status.to_string(), None),
        400 | 403 | 404 | 421 | 422 => judge_problem(endpoint, expected, answer),
        status => Verdict::HttpError(status),
    }
}

fn wrong(
    kind: WrongKind,
    expected: impl Into<String>,
    got: impl Into<String>,
    code: Option<TrackingCode>,
) -> Verdict {
    Verdict::Wrong(Wrong { kind, expected: expected.into(), got: got.into() }, code)
}

fn judge_problem(endpoint: Endpoint, expected: &Expected, answer: Answer<'_>) -> Verdict {
    let Ok(problem) = serde_json::from_slice::<WireProblem<'_>>(answer.body) else {
        return Verdict::HttpError(answer.status);
    };
    let mismatch = endpoint == Endpoint::Personal && problem.code == MOBILE_MISMATCH;
    let got = printable(&problem.code);
    let due = match expected {
        Expected::Problem(code) => &**code,
        Expected::Answer(_) if mismatch => return wrong(WrongKind::Outcome, "an answer", got, None),
        Expected::Unknown if mismatch => MOBILE_MISMATCH,
        Expected::Answer(_) | Expected::Unknown => return Verdict::HttpError(answer.status),
    };
    if problem.code != due {
        return wrong(WrongKind::Outcome, due, got, None);
    }
    if mismatch && answer.status != 403 {
        return wrong(WrongKind::HttpStatus, "403", answer.status.to_string(), None);
    }
    if problem.tracking_code.is_some() {
        return wrong(WrongKind::ForbiddenField, "no tracking_code", "tracking_code", None);
    }
    match expected {
        Expected::Unknown => Verdict::Unchecked(None),
        Expected::Problem(_) | Expected::Answer(_) => Verdict::Right(None),
    }
}

fn judge_created(endpoint: Endpoint, expected: &Expected, body: &[u8]) -> Verdict {
    let Ok(wire) = serde_json::from_slice::<WireAnswer<'_>>(body) else {
        return wrong(WrongKind::Unreadable, "the JSON of the contract", "something else", None);
    };
    let Some(code) = TrackingCode::parse(&wire.tracking_code) else {
        return wrong(WrongKind::TrackingCodeMalformed, "16 digits", "something else", None);
    };
    let difference = match expected {
        Expected::Problem(due) => Some((WrongKind::Outcome, due.to_string(), "an answer".to_owned())),
        _ if endpoint == Endpoint::General && wire.tells_personal() => {
            let allowed = "status and notices alone".to_owned();
            Some((WrongKind::ForbiddenField, allowed, "a reason or end date".to_owned()))
        }
        Expected::Unknown => return Verdict::Unchecked(Some(code)),
        Expected::Answer(answer) => difference(answer, &wire),
    };
    match difference {
        Some((kind, expected, got)) => wrong(kind, expected, got, Some(code)),
        None => Verdict::Right(Some(code)),
    }
}

/// The first difference: its kind, what was expected, what came.
fn difference(expected: &ExpectedAnswer, wire: &WireAnswer<'_>) -> Option<(WrongKind, String, String)> {
    if wire.status != expected.status.code() {
        return Some((WrongKind::Status, expected.status.code().to_owned(), printable(&wire.status)));
    }
    if let Some(personal) = &expected.personal
        && let Some(found) = personal_difference(personal, wire)
    {
        return Some(found);
    }
    let mut notices = NoticeSet::default();
    wire.notices.iter().for_each(|notice| notices.insert(&notice.code));
    if notices != expected.notices {
        return Some((WrongKind::Notices, expected.notices.describe(), notices.describe()));
    }
    None
}

fn personal_difference(
    expected: &ExpectedPersonal,
    wire: &WireAnswer<'_>,
) -> Option<(WrongKind, String, String)> {
    let reason = wire.reason.as_ref().map_or("", |reason| &reason.code);
    if reason != expected.reason.code() {
        return Some((WrongKind::Reason, expected.reason.code().to_owned(), printable(reason)));
    }
    let due = IsoDate::describe(expected.end_date);
    let same = match &wire.end_date {
        Present::No => false,
        Present::Yes(None) => expected.end_date.is_none(),
        Present::Yes(Some(text)) => expected.end_date.is_some() && IsoDate::parse(text) == expected.end_date,
    };
    if !same {
        let got = match &wire.end_date {
            Present::No => "no such field".to_owned(),
            Present::Yes(None) => "none".to_owned(),
            Present::Yes(Some(text)) => match IsoDate::parse(text) {
                Some(date) => IsoDate::describe(Some(date)),
                None => "not a date".to_owned(),
            },
        };
        return Some((WrongKind::EndDate, due, got));
    }
    if wire.open_ended != Present::Yes(expected.open_ended) {
        let got = match wire.open_ended {
            Present::Yes(value) => value.to_string(),
            Present::No => "no such field".to_owned(),
        };
        return Some((WrongKind::OpenEnded, expected.open_ended.to_string(), got));
    }
    None
}

/// A code as it stands when it looks like one; digits, and so IDs, never do.
fn printable(code: &str) -> String {
    let plain = code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    match code {
        "" => "nothing".to_owned(),
        _ if plain && code.len() <= 40 => code.to_owned(),
        _ => "something that is no code".to_owned(),
    }
}

#[derive(Deserialize)]
struct WireProblem<'a> {
    #[serde(borrow)]
    code: Cow<'a, str>,
    #[serde(default)]
    tracking_code: Option<serde::de::IgnoredAny>,
}

/// The fields of an answer that are judged; the others are for people.
#[derive(Deserialize)]
struct WireAnswer<'a> {
    #[serde(borrow)]
    tracking_code: Cow<'a, str>,
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(borrow)]
    notices: Vec<WireCode<'a>>,
    #[serde(borrow, default)]
    reason: Option<WireCode<'a>>,
    #[serde(borrow, default)]
    end_date: Present<Option<Cow<'a, str>>>,
    #[serde(default)]
    end_date_jalali: Present<serde::de::IgnoredAny>,
    #[serde(default)]
    open_ended: Present<bool>,
}

#[derive(Deserialize)]
struct WireCode<'a> {
    #[serde(borrow)]
    code: Cow<'a, str>,
}

impl WireAnswer<'_> {
    fn tells_personal(&self) -> bool {
        self.reason.is_some()
            || !matches!(self.end_date, Present::No)
            || !matches!(self.end_date_jalali, Present::No)
            || !matches!(self.open_ended, Present::No)
    }
}

/// Whether a field was there at all: for an end date null and absent are not the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Present<T> {
    #[default]
    No,
    Yes(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Present<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Present::Yes)
    }
}
