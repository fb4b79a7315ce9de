//! The targets file: NDJSON, a request and, where known, the answers it must get.
//!
//! ```text
//! {"request": {"person_id": ..., "care": ..., "mobile": ..., "service_date": ...},
//!  "expected": {"general": {"status", "notices"},
//!               "personal": {"status", "reason", "end_date", "open_ended", "notices"}}}
//! ```
//!
//! A string in place of an answer is the problem code that must come (`"mobile_mismatch"`). One request
//! feeds both endpoints: `mobile` is dropped for the general one, `care` for the personal one. With an
//! `expected`, a line feeds the endpoints it names; without, the general one, and the personal one when it
//! has a `mobile`; such answers are counted as unchecked. `estehqaq extract synth` adds a `kind` to each line,
//! its name for the case, which helps to tell what class of request a line is.
//!
//! Everything is read and turned into bodies before the first request. Messages name the line only: the
//! line itself holds personal data.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::scenario::Class;
use crate::vocabulary::{Endpoint, IsoDate, MOBILE_MISMATCH, NoticeSet, Reason, Status};

const MALFORMED: &str = "is not a target: {\"request\": {..}, \"expected\": {\"general\": {..}, \"personal\": {..}}}, with the contract's codes";

/// Why a targets file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TargetsError {
    #[error("the targets file {} cannot be read: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("the targets file {}, line {line}, column {column}: {MALFORMED}", path.display())]
    Malformed { path: PathBuf, line: u32, column: usize },
    #[error("the targets file {} is too large: 4 GiB of bodies at most; split it", path.display())]
    TooLarge { path: PathBuf },
    #[error("the targets file {} has no line for this --endpoint; see its `expected`", path.display())]
    Nothing { path: PathBuf },
}

/// What must come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Nothing is known: any well-formed answer is taken and counted as unchecked.
    Unknown,
    Answer(ExpectedAnswer),
    /// An RFC 9457 problem with this code.
    Problem(Box<str>),
}

/// The decision that must come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ExpectedAnswer {
    pub(crate) status: Status,
    pub(crate) notices: NoticeSet,
    /// Present for the personal endpoint only.
    pub(crate) personal: Option<ExpectedPersonal>,
}

/// What only the person themself may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ExpectedPersonal {
    pub(crate) reason: Reason,
    pub(crate) end_date: Option<IsoDate>,
    pub(crate) open_ended: bool,
}

/// One request ready to be sent.
#[derive(Debug)]
pub(crate) struct Inquiry {
    pub(crate) endpoint: Endpoint,
    /// The line of the targets file, from 1.
    pub(crate) line: u32,
    pub(crate) class: Class,
    pub(crate) expected: Expected,
    body: Range<u32>,
}

/// Every inquiry of a file for the chosen endpoints.
#[derive(Debug)]
pub(crate) struct Targets {
    pub(crate) inquiries: Vec<Inquiry>,
    /// All bodies, end to end: a million small allocations would cost more than the bodies.
    bodies: Vec<u8>,
    pub(crate) path: PathBuf,
    /// Lines that are not empty.
    pub(crate) lines: u32,
    /// BLAKE3 of the file, in hex.
    pub(crate) digest: String,
}

/// What some editors put before a text in UTF-8.
const BOM: &[u8] = b"\xEF\xBB\xBF";

impl Targets {
    /// Reads and checks a whole file.
    pub(crate) fn read(path: &Path, endpoints: &[Endpoint]) -> Result<Targets, TargetsError> {
        let failed = |source| TargetsError::Read { path: path.to_owned(), source };
        let mut reader = BufReader::with_capacity(1 << 16, File::open(path).map_err(failed)?);
        let mut digest = blake3::Hasher::new();
        let mut targets = Targets {
            inquiries: Vec::new(),
            bodies: Vec::new(),
            path: path.to_owned(),
            lines: 0,
            digest: String::new(),
        };
        let (mut line, mut number) = (Vec::new(), 0);
        while reader.read_until(b'\n', &mut line).map_err(failed)? > 0 {
            digest.update(&line);
            number += 1;
            let text = line.strip_prefix(BOM).filter(|_| number == 1).unwrap_or(&line);
            if !text.trim_ascii().is_empty() {
                targets.add_line(text, number, endpoints)?;
            }
            line.clear();
        }
        if targets.inquiries.is_empty() {
            return Err(TargetsError::Nothing { path: path.to_owned() });
        }
        targets.digest = digest.finalize().to_hex().to_string();
        Ok(targets)
    }

    /// One made-up general inquiry of which nothing is expected, for a server that looks nothing up.
    pub(crate) fn made_up() -> Targets {
        let body = br#"{"person_id":"0499370899","id_kind":"national","care":"outpatient"}"#.to_vec();
        let range = 0..u32::try_from(body.len()).unwrap_or(0);
        let (endpoint, class, expected) = (Endpoint::General, Class::Ordinary, Expected::Unknown);
        Targets {
            inquiries: vec![Inquiry { endpoint, line: 1, class, expected, body: range }],
            digest: blake3::hash(&body).to_hex().to_string(),
            bodies: body,
            path: PathBuf::from("made up"),
            lines: 1,
        }
    }

    pub(crate) fn body(&self, inquiry: &Inquiry) -> &[u8] {
        &self.bodies[inquiry.body.start as usize..inquiry.body.end as usize]
    }

    fn add_line(&mut self, text: &[u8], line: u32, endpoints: &[Endpoint]) -> Result<(), TargetsError> {
        // serde's own text would quote the value at fault, which may be an ID.
        let malformed = |column| TargetsError::Malformed { path: self.path.clone(), line, column };
        let raw: RawTarget = serde_json::from_slice(text).map_err(|error| malformed(error.column()))?;
        let mut expectations = Vec::with_capacity(endpoints.len());
        for &endpoint in endpoints {
            if let Some(expected) = raw.expected_from(endpoint).map_err(|()| malformed(0))? {
                expectations.push((endpoint, expected));
            }
        }
        self.lines += 1;
        for (endpoint, expected) in expectations {
            let body = self.add_body(&raw.request, endpoint)?;
            let class = raw.class(endpoint, &expected);
            self.inquiries.push(Inquiry { endpoint, line, class, expected, body });
        }
        Ok(())
    }

    /// Adds inquiries with one mistyped digit, made of those whose ID is ten digits, `max` at most. A wrong
    /// check digit is the one mistake whose answer needs no knowledge of the data.
    pub(crate) fn add_mistyped(&mut self, max: usize) -> Result<(), TargetsError> {
        let sources = self.inquiries.iter().filter(|inquiry| inquiry.class == Class::Ordinary);
        let sources: Vec<(Endpoint, u32, Range<u32>)> =
            sources.map(|inquiry| (inquiry.endpoint, inquiry.line, inquiry.body.clone())).collect();
        let mut added = 0;
        for (endpoint, line, range) in sources {
            let body = &self.bodies[range.start as usize..range.end as usize];
            let mut request: Map<String, Value> =
                serde_json::from_slice(body).expect("written by `add_body`");
            let national = request.get("id_kind").is_none_or(|kind| kind == "national");
            let Some(id) = request.get("person_id").and_then(Value::as_str).filter(|_| national) else {
                continue;
            };
            let Some(id) = with_wrong_check_digit(id) else { continue };
            request.insert("person_id".to_owned(), Value::String(id));
            let body = self.add_body(&request, endpoint)?;
            let expected = Expected::Problem(BAD_CHECK_DIGIT.into());
            self.inquiries.push(Inquiry { endpoint, line, class: Class::Mistyped, expected, body });
            added += 1;
            if added == max {
                break;
            }
        }
        Ok(())
    }

    fn add_body(
        &mut self,
        request: &Map<String, Value>,
        endpoint: Endpoint,
    ) -> Result<Range<u32>, TargetsError> {
        let mut request = request.clone();
        request.remove(endpoint.dropped_field());
        let too_large = |_| TargetsError::TooLarge { path: self.path.clone() };
        let start = u32::try_from(self.bodies.len()).map_err(too_large)?;
        serde_json::to_writer(&mut self.bodies, &request).expect("a JSON map is written to memory");
        let end = u32::try_from(self.bodies.len()).map_err(too_large)?;
        Ok(start..end)
    }
}

/// The code of a request whose ID has a wrong check digit.
const BAD_CHECK_DIGIT: &str = "bad_check_digit";

/// Another last digit: of ten digits, one alone is right.
fn with_wrong_check_digit(id: &str) -> Option<String> {
    if id.len() != 10 || !id.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let last = id.as_bytes()[9] - b'0';
    Some(format!("{}{}", &id[..9], (last + 1) % 10))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTarget {
    request: Map<String, Value>,
    expected: Option<RawExpected>,
    kind: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawExpected {
    general: Option<RawAnswerOr<RawGeneral>>,
    personal: Option<RawAnswerOr<RawPersonal>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawAnswerOr<T> {
    Problem(Box<str>),
    Answer(T),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGeneral {
    status: Status,
    notices: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPersonal {
    status: Status,
    reason: Reason,
    #[serde(deserialize_with = "Option::deserialize")] // null is a value here, leaving it out is a mistake
    end_date: Option<String>,
    open_ended: bool,
    notices: Vec<String>,
}

impl RawTarget {
    /// What this line is an example of. Without a `kind`, somebody not covered under no mobile number is
    /// taken for unknown: the contract answers both alike.
    fn class(&self, endpoint: Endpoint, expected: &Expected) -> Class {
        let personal = self.expected.as_ref().and_then(|expected| expected.personal.as_ref());
        let nobody = matches!(personal, Some(RawAnswerOr::Problem(code)) if &**code == MOBILE_MISMATCH);
        let general = self.expected.as_ref().and_then(|expected| expected.general.as_ref());
        let covered =
            matches!(general, Some(RawAnswerOr::Answer(answer)) if answer.status == Status::Covered);
        let reason = match personal {
            Some(RawAnswerOr::Answer(answer)) => Some(answer.reason),
            _ => None,
        };
        let kind = self.kind.as_deref();
        if matches!(expected, Expected::Problem(code) if code.starts_with("bad_")) {
            Class::Mistyped
        } else if endpoint == Endpoint::General
            && self.request.get("care").is_some_and(|care| care == "inpatient")
        {
            Class::Inpatient
        } else if kind == Some("unknown")
            || reason == Some(Reason::UnknownPerson)
            || (kind.is_none() && general.is_some() && !covered && nobody)
        {
            Class::Unknown
        } else if reason == Some(Reason::Ended) || kind.is_some_and(|kind| kind.starts_with("lapsed")) {
            Class::Lapsed
        } else {
            Class::Ordinary
        }
    }

    /// The expectation for an endpoint; `None` when this line does not feed it.
    fn expected_from(&self, endpoint: Endpoint) -> Result<Option<Expected>, ()> {
        let Some(expected) = &self.expected else {
            let feeds = endpoint == Endpoint::General || self.request.contains_key("mobile");
            return Ok(feeds.then_some(Expected::Unknown));
        };
        match endpoint {
            Endpoint::General => expected.general.as_ref().map(RawAnswerOr::check).transpose(),
            Endpoint::Personal => expected.personal.as_ref().map(RawAnswerOr::check).transpose(),
        }
    }
}

impl<T: CheckAnswer> RawAnswerOr<T> {
    fn check(&self) -> Result<Expected, ()> {
        match self {
            RawAnswerOr::Problem(code) => Ok(Expected::Problem(code.clone())),
            RawAnswerOr::Answer(answer) => answer.check().map(Expected::Answer),
        }
    }
}

trait CheckAnswer {
    fn check(&self) -> Result<ExpectedAnswer, ()>;
}

impl CheckAnswer for RawGeneral {
    fn check(&self) -> Result<ExpectedAnswer, ()> {
        Ok(ExpectedAnswer { status: self.status, notices: notice_set(&self.notices)?, personal: None })
    }
}

impl CheckAnswer for RawPersonal {
    fn check(&self) -> Result<ExpectedAnswer, ()> {
        let end_date = match &self.end_date {
            Some(text) => Some(IsoDate::parse(text).ok_or(())?),
            None => None,
        };
        let personal = Some(ExpectedPersonal { reason: self.reason, end_date, open_ended: self.open_ended });
        Ok(ExpectedAnswer { status: self.status, notices: notice_set(&self.notices)?, personal })
    }
}

fn notice_set(codes: &[String]) -> Result<NoticeSet, ()> {
    let mut set = NoticeSet::default();
    codes.iter().for_each(|code| set.insert(code));
    if set.has_other() { Err(()) } else { Ok(set) }
}
