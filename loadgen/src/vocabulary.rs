//! The words of the contract (PRODUCT.md sections 3 and 4), written down a second time on purpose: this
//! crate shares no code with the server whose answers it checks.

use serde::{Deserialize, Serialize};

/// The two ways to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Endpoint {
    General,
    Personal,
}

impl Endpoint {
    pub(crate) fn code(self) -> &'static str {
        match self {
            Endpoint::General => "general",
            Endpoint::Personal => "personal",
        }
    }

    pub(crate) fn path(self) -> &'static str {
        match self {
            Endpoint::General => "/v1/inquiries",
            Endpoint::Personal => "/v1/personal-inquiries",
        }
    }

    /// The field of a target's request that this endpoint does not take.
    pub(crate) fn dropped_field(self) -> &'static str {
        match self {
            Endpoint::General => "mobile",
            Endpoint::Personal => "care",
        }
    }
}

/// The problem code of a personal inquiry whose mobile number is not the person's; comes with 403.
pub(crate) const MOBILE_MISMATCH: &str = "mobile_mismatch";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    Covered,
    NotCovered,
}

impl Status {
    pub(crate) fn code(self) -> &'static str {
        match self {
            Status::Covered => "covered",
            Status::NotCovered => "not_covered",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reason {
    Active,
    StudentCertificateMissing,
    IdentityDocumentMissing,
    NotStarted,
    Ended,
    RecordIncomplete,
    UnknownPerson,
}

impl Reason {
    pub(crate) fn code(self) -> &'static str {
        match self {
            Reason::Active => "active",
            Reason::StudentCertificateMissing => "student_certificate_missing",
            Reason::IdentityDocumentMissing => "identity_document_missing",
            Reason::NotStarted => "not_started",
            Reason::Ended => "ended",
            Reason::RecordIncomplete => "record_incomplete",
            Reason::UnknownPerson => "unknown_person",
        }
    }
}

const NOTICES: [&str; 5] = [
    "overlap_check_required",
    "other_base_insurer",
    "serve_under_existing_rules",
    "record_incomplete",
    "objection_line",
];

/// A set of notices: a bit for each known code, and one for "some other code".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct NoticeSet(u8);

impl NoticeSet {
    const OTHER: u8 = 1 << NOTICES.len();

    pub(crate) fn insert(&mut self, code: &str) {
        self.0 |= match NOTICES.iter().position(|known| *known == code) {
            Some(bit) => 1 << bit,
            None => NoticeSet::OTHER,
        };
    }

    /// Whether a code came that the contract does not know.
    pub(crate) fn has_other(self) -> bool {
        self.0 & NoticeSet::OTHER != 0
    }

    /// The codes, comma-separated in the contract's order; `none` for the empty set.
    pub(crate) fn describe(self) -> String {
        let mut codes: Vec<&str> =
            (0..NOTICES.len()).filter(|bit| self.0 & (1 << bit) != 0).map(|bit| NOTICES[bit]).collect();
        if self.has_other() {
            codes.push("an unknown code");
        }
        if codes.is_empty() { "none".to_owned() } else { codes.join(",") }
    }
}

/// A date as answers carry it, `YYYY-MM-DD`, packed as the number YYYYMMDD. Only the shape is checked:
/// it is compared, never calculated with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IsoDate(u32);

impl IsoDate {
    pub(crate) fn parse(text: &str) -> Option<IsoDate> {
        let bytes = text.as_bytes();
        if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
            return None;
        }
        let mut number = 0;
        for (_, byte) in bytes.iter().enumerate().filter(|(at, _)| *at != 4 && *at != 7) {
            if !byte.is_ascii_digit() {
                return None;
            }
            number = number * 10 + u32::from(byte - b'0');
        }
        Some(IsoDate(number))
    }

    /// `2026-11-22`, or `none` where there is no date.
    pub(crate) fn describe(date: Option<IsoDate>) -> String {
        match date {
            Some(IsoDate(n)) => format!("{:04}-{:02}-{:02}", n / 10_000, n / 100 % 100, n % 100),
            None => "none".to_owned(),
        }
    }
}
