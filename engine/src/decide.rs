//! The rules: what follows from a person's entitlements on a service date. Pure functions of (entitlements,
//! service date, care); the source of each rule is PRODUCT.md section 3.

use crate::day::Day;
use crate::entitlement::{Entitlement, EntitlementRecord};
use crate::mobile::Fingerprint;

/// What is known of an ID in a snapshot.
#[derive(Clone, Copy, Debug)]
pub enum Person<'a> {
    /// Nobody by that ID.
    Unknown,
    /// Known, but without a usable row: not decidable.
    Incomplete,
    /// Known, with at least one entitlement.
    Entitled(&'a [EntitlementRecord]),
}

impl Person<'_> {
    /// Whether any entitlement of this person carries that mobile number.
    pub fn carries(&self, fingerprint: Fingerprint) -> bool {
        self.entitlements().any(|entitlement| entitlement.mobile == Some(fingerprint))
    }

    fn entitlements(&self) -> impl Iterator<Item = Entitlement> + Clone {
        let records: &[EntitlementRecord] = match self {
            Person::Entitled(records) => records,
            Person::Unknown | Person::Incomplete => &[],
        };
        records.iter().filter_map(EntitlementRecord::unpack)
    }
}

/// The kind of care asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Care {
    /// بستری‌نشده: visits, pharmacy, paraclinic.
    Outpatient,
    /// بستری.
    Inpatient,
}

impl Care {
    /// The code used over HTTP.
    pub fn code(self) -> &'static str {
        match self {
            Care::Outpatient => "outpatient",
            Care::Inpatient => "inpatient",
        }
    }

    /// Reads the code used over HTTP, in any case.
    pub fn from_code(code: &str) -> Option<Care> {
        [Care::Outpatient, Care::Inpatient].into_iter().find(|care| care.code().eq_ignore_ascii_case(code))
    }
}

/// One of the two statuses that a provider sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// حمایت درمانی دارد.
    Covered,
    /// حمایت درمانی ندارد.
    NotCovered,
}

impl Status {
    /// The code used over HTTP.
    pub fn code(self) -> &'static str {
        match self {
            Status::Covered => "covered",
            Status::NotCovered => "not_covered",
        }
    }
}

/// Why. The order of those that deny is the order in which the first one found becomes the person's reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Reason {
    /// Some entitlement is in force.
    Active = 0,
    /// A son who has turned 19, without a certificate valid on the day.
    StudentCertificateMissing = 1,
    /// A daughter whose identity document was due.
    IdentityDocumentMissing = 2,
    /// Cover begins later.
    NotStarted = 3,
    /// Cover has ended.
    Ended = 4,
    /// The person is known, their cover is not.
    RecordIncomplete = 5,
    /// Nobody by that ID.
    UnknownPerson = 6,
}

impl Reason {
    const ALL: [Reason; 7] = [
        Reason::Active,
        Reason::StudentCertificateMissing,
        Reason::IdentityDocumentMissing,
        Reason::NotStarted,
        Reason::Ended,
        Reason::RecordIncomplete,
        Reason::UnknownPerson,
    ];

    /// The code used over HTTP.
    pub fn code(self) -> &'static str {
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

    /// The number stored in a ledger entry.
    pub fn to_u8(self) -> u8 {
        self as u8
    }

    /// The inverse of [`Reason::to_u8`].
    pub fn from_u8(number: u8) -> Option<Reason> {
        Reason::ALL.get(usize::from(number)).copied()
    }

    /// Covered for [`Reason::Active`] only.
    pub fn status(self) -> Status {
        if self == Reason::Active { Status::Covered } else { Status::NotCovered }
    }
}

/// A remark beside the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Notice {
    /// Inpatient care: overlap with other base insurers is still to be checked.
    OverlapCheckRequired = 0,
    /// Inpatient care, and another base insurer is on record.
    OtherBaseInsurer = 1,
    /// A certificate or document is missing: existing rules apply meanwhile.
    ServeUnderExistingRules = 2,
    /// The person's record is incomplete.
    RecordIncomplete = 3,
    /// Not covered: where to object.
    ObjectionLine = 4,
}

impl Notice {
    const ALL: [Notice; 5] = [
        Notice::OverlapCheckRequired,
        Notice::OtherBaseInsurer,
        Notice::ServeUnderExistingRules,
        Notice::RecordIncomplete,
        Notice::ObjectionLine,
    ];

    /// The code used over HTTP.
    pub fn code(self) -> &'static str {
        match self {
            Notice::OverlapCheckRequired => "overlap_check_required",
            Notice::OtherBaseInsurer => "other_base_insurer",
            Notice::ServeUnderExistingRules => "serve_under_existing_rules",
            Notice::RecordIncomplete => "record_incomplete",
            Notice::ObjectionLine => "objection_line",
        }
    }
}

/// A set of notices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Notices(u8);

impl Notices {
    /// The set as bits, one for each notice; stored in a ledger entry.
    pub fn bits(self) -> u8 {
        self.0
    }

    /// The inverse of [`Notices::bits`]; none when a bit is not of this version.
    pub fn from_bits(bits: u8) -> Option<Notices> {
        (u32::from(bits) < 1 << Notice::ALL.len()).then_some(Notices(bits))
    }

    /// Whether the set holds this one.
    pub fn contains(self, notice: Notice) -> bool {
        self.0 & 1 << notice as u8 != 0
    }

    /// The notices in a fixed order.
    pub fn iter(self) -> impl Iterator<Item = Notice> {
        Notice::ALL.into_iter().filter(move |&notice| self.contains(notice))
    }

    fn add_if(&mut self, condition: bool, notice: Notice) {
        self.0 |= u8::from(condition) << notice as u8;
    }
}

/// The answer to one inquiry, before it is put into words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Why; the status follows from it.
    pub reason: Reason,
    /// Remarks.
    pub notices: Notices,
    /// Covered: the last day reached without a gap, none when open-ended. Not covered: the latest last day
    /// before the service date, if any.
    pub end: Option<Day>,
    /// Covered, and no end is in sight.
    pub open_ended: bool,
    /// Which of the person's entitlements gave the reason.
    pub decided_by: Option<usize>,
}

impl Decision {
    /// The status that a provider sees.
    pub fn status(&self) -> Status {
        self.reason.status()
    }
}

/// Decides an inquiry.
pub fn decide(person: Person<'_>, service_day: Day, care: Care) -> Decision {
    let judged = person.entitlements().map(|entitlement| judge(&entitlement, service_day));
    let first = judged.enumerate().min_by_key(|&(place, reason)| (reason, place));
    let (reason, decided_by) = match (first, person) {
        (Some((place, reason)), _) => (reason, Some(place)),
        (None, Person::Unknown) => (Reason::UnknownPerson, None),
        (None, _) => (Reason::RecordIncomplete, None),
    };
    let (end, open_ended) = match reason.status() {
        Status::Covered => match last_day_without_gap(&person, service_day) {
            LastDay::Open => (None, true),
            LastDay::On(day) => (Some(day), false),
        },
        Status::NotCovered => (latest_end_before(&person, service_day), false),
    };
    Decision { reason, notices: notices(&person, reason, care), end, open_ended, decided_by }
}

/// One entitlement on one day; the first rule that matches wins.
fn judge(entitlement: &Entitlement, day: Day) -> Reason {
    let certificate_valid = entitlement.student_until.is_some_and(|until| day <= until);
    if day < entitlement.start {
        Reason::NotStarted
    } else if entitlement.end.is_some_and(|end| day > end) {
        Reason::Ended
    } else if entitlement.document_due.is_some_and(|due| day >= due) {
        Reason::IdentityDocumentMissing
    } else if entitlement.turns_19.is_some_and(|birthday| day >= birthday) && !certificate_valid {
        Reason::StudentCertificateMissing
    } else {
        Reason::Active
    }
}

fn notices(person: &Person<'_>, reason: Reason, care: Care) -> Notices {
    let inpatient = care == Care::Inpatient;
    let elsewhere = inpatient && person.entitlements().any(|entitlement| entitlement.other_insurer.is_some());
    let document = matches!(reason, Reason::StudentCertificateMissing | Reason::IdentityDocumentMissing);
    let mut notices = Notices::default();
    notices.add_if(inpatient, Notice::OverlapCheckRequired);
    notices.add_if(elsewhere, Notice::OtherBaseInsurer);
    notices.add_if(document, Notice::ServeUnderExistingRules);
    notices.add_if(reason == Reason::RecordIncomplete, Notice::RecordIncomplete);
    notices.add_if(reason.status() == Status::NotCovered, Notice::ObjectionLine);
    notices
}

/// The last day of an entitlement or of a chain of them. `Open` is later than any day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum LastDay {
    On(Day),
    Open,
}

impl LastDay {
    fn from_end(end: Option<Day>) -> LastDay {
        end.map_or(LastDay::Open, LastDay::On)
    }

    /// Whether cover that begins on `start` overlaps or adjoins cover that lasts until here.
    fn reaches(self, start: Day) -> bool {
        match self {
            LastDay::Open => true,
            LastDay::On(day) => u32::from(start.number()) <= u32::from(day.number()) + 1,
        }
    }
}

/// The last day on which an entitlement is in force, or none if it never is.
fn last_day_in_force(entitlement: &Entitlement) -> Option<LastDay> {
    let mut last = LastDay::from_end(entitlement.end);
    if let Some(birthday) = entitlement.turns_19 {
        let under_19 = birthday.plus(-1);
        last = last.min(LastDay::On(under_19.max(entitlement.student_until)?));
    }
    if let Some(due) = entitlement.document_due {
        last = last.min(LastDay::On(due.plus(-1)?));
    }
    (LastDay::On(entitlement.start) <= last).then_some(last)
}

/// The last day reached from the service date without a gap, over all entitlements that overlap or adjoin.
/// They are stored by start, so that the second pass finds nothing more; any other order is right too.
fn last_day_without_gap(person: &Person<'_>, service_day: Day) -> LastDay {
    let mut reached = LastDay::On(service_day);
    loop {
        let before = reached;
        for entitlement in person.entitlements() {
            if let Some(last) = last_day_in_force(&entitlement)
                && reached.reaches(entitlement.start)
            {
                reached = reached.max(last);
            }
        }
        if reached == before {
            return reached;
        }
    }
}

fn latest_end_before(person: &Person<'_>, service_day: Day) -> Option<Day> {
    let last_days = person.entitlements().filter_map(|entitlement| last_day_in_force(&entitlement));
    let ended = last_days.filter_map(|last| match last {
        LastDay::On(day) if day < service_day => Some(day),
        _ => None,
    });
    ended.max()
}
