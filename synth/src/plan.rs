//! The archetypes: how the dates of a person's cover are drawn, so that what follows from them is known
//! beforehand. `answers` says what follows; the two are read side by side and neither asks `engine::decide`.

use super::calendar::Calendar;
use super::draw::Draw;

/// Days of the oldest start of cover before the as-of date.
const COVER_DAYS_MAX: i32 = 7300;
/// Nobody is younger than this, so that every archetype has room between birth and the as-of date.
pub(super) const AGE_DAYS_MIN: i32 = 61;
/// Sons of up to this age are minors by a margin, whatever the leap years.
pub(super) const MINOR_DAYS_MAX: i32 = 6_900;
/// Sons from this age on have turned 19 by a margin.
pub(super) const ADULT_DAYS_MIN: i32 = 6_960;
/// The oldest sons that are still among the dependants.
pub(super) const ADULT_DAYS_MAX: i32 = 9_300;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident => $code:literal,)*) => {
        /// An archetype: what is special about a person's cover on the as-of date.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(super) enum Kind { $($(#[$doc])* $name,)* }

        impl Kind {
            pub(super) const ALL: &[Kind] = &[$(Kind::$name),*];

            pub(super) fn code(self) -> &'static str {
                match self { $(Kind::$name => $code,)* }
            }
        }
    };
}

kinds! {
    /// Cover without an end.
    CoveredOpen => "covered_open",
    /// Cover that ends later.
    CoveredUntil => "covered_until",
    /// The as-of date is the last day.
    LastDay => "last_day",
    /// The as-of date is the first day.
    FirstDay => "first_day",
    /// Cover ended some time ago.
    Lapsed => "lapsed",
    /// Cover ended on the day before.
    LapsedYesterday => "lapsed_yesterday",
    /// Cover begins later.
    NotStarted => "not_started",
    /// Two entitlements, the second from the day after the first.
    Adjoining => "two_adjoining",
    /// Two entitlements with days in common.
    Overlapping => "two_overlapping",
    /// Two entitlements with a gap in the past.
    GapCovered => "two_gap_covered",
    /// Two entitlements with a gap around the as-of date.
    GapNow => "two_gap_now",
    /// Two entitlements, both over.
    BothLapsed => "two_lapsed",
    /// A son under 19 with open cover.
    SonMinor => "son_minor",
    /// A son over 19 with a valid certificate.
    StudentCovered => "student_covered",
    /// A son over 19 on the last day of his certificate.
    StudentLastDay => "student_last_day",
    /// A son over 19 with open cover who never brought a certificate.
    CertificateMissing => "student_certificate_missing",
    /// A son over 19 whose certificate is over.
    CertificateLapsed => "student_certificate_lapsed",
    /// A son without a certificate on his 19th birthday.
    Turns19Today => "son_turns_19_today",
    /// A son registered after 19 without a certificate: cover was never in force.
    SonNeverInForce => "son_never_in_force",
    /// A son over 19 without a certificate who has cover of his own.
    SonEmployed => "son_employed",
    /// A daughter whose document falls due later.
    DocumentDue => "daughter_document_due",
    /// A daughter whose document was due.
    DocumentMissing => "daughter_document_missing",
    /// A daughter whose document is due on the as-of date.
    DocumentDueToday => "daughter_document_due_today",
    /// A daughter whose document was due before cover began.
    DaughterNeverInForce => "daughter_never_in_force",
}

/// Archetypes of anybody, by weight.
pub(super) const OF_ANYBODY: [(u32, Kind); 12] = [
    (590, Kind::CoveredOpen),
    (215, Kind::CoveredUntil),
    (85, Kind::Lapsed),
    (20, Kind::Adjoining),
    (24, Kind::Overlapping),
    (15, Kind::NotStarted),
    (8, Kind::GapCovered),
    (7, Kind::GapNow),
    (7, Kind::BothLapsed),
    (9, Kind::LastDay),
    (9, Kind::FirstDay),
    (9, Kind::LapsedYesterday),
];

/// Archetypes of sons under 19, by weight.
pub(super) const OF_MINOR_SONS: [(u32, Kind); 4] =
    [(740, Kind::SonMinor), (200, Kind::CoveredUntil), (50, Kind::Lapsed), (10, Kind::LastDay)];

/// Archetypes of sons over 19, by weight.
pub(super) const OF_ADULT_SONS: [(u32, Kind); 7] = [
    (340, Kind::StudentCovered),
    (240, Kind::CertificateMissing),
    (120, Kind::CertificateLapsed),
    (80, Kind::StudentLastDay),
    (60, Kind::Turns19Today),
    (70, Kind::SonNeverInForce),
    (90, Kind::SonEmployed),
];

/// Archetypes of daughters whose document is or was due, by weight.
pub(super) const OF_DAUGHTERS_WITH_DUE_DATE: [(u32, Kind); 4] = [
    (620, Kind::DocumentDue),
    (240, Kind::DocumentMissing),
    (60, Kind::DocumentDueToday),
    (80, Kind::DaughterNeverInForce),
];

/// The dates of one entitlement.
#[derive(Clone, Copy)]
pub(super) struct Cover {
    pub(super) start: i32,
    pub(super) end: Option<i32>,
}

/// The dates of one person.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    pub(super) kind: Kind,
    pub(super) birth: i32,
    /// For sons the 19th birthday.
    pub(super) nineteenth: i32,
    /// For sons over 19 the last day of a certificate.
    pub(super) student_until: Option<i32>,
    /// For daughters the first day without cover.
    pub(super) document_due: Option<i32>,
    /// The entitlement that starts first.
    pub(super) first: Cover,
    /// The one that starts later, when there are two.
    pub(super) second: Option<Cover>,
    /// Which of two is the person's own one: the first, or the second.
    pub(super) own_is_first: bool,
}

impl Plan {
    /// The dates of the entitlement by which the person stands in their family.
    pub(super) fn in_family(&self) -> Cover {
        self.second.filter(|_| self.own_is_first).unwrap_or(self.first)
    }

    /// The dates of the one that they have of their own beside it.
    pub(super) fn own(&self) -> Option<Cover> {
        self.second.map(|second| if self.own_is_first { self.first } else { second })
    }
}

/// Draws plans for one as-of date.
pub(super) struct Planner<'a> {
    pub(super) calendar: &'a Calendar,
    pub(super) as_of: i32,
}

impl Planner<'_> {
    /// The dates of a person of this archetype, `age` days old (sons on their 19th birthday excepted).
    pub(super) fn plan(&self, draw: &mut Draw, kind: Kind, age: i32) -> Plan {
        let room = age.min(COVER_DAYS_MAX) - 1;
        let (first, second) = match kind {
            Kind::Adjoining | Kind::Overlapping | Kind::GapCovered | Kind::GapNow | Kind::BothLapsed => {
                let (first, second) = self.two_covers(draw, kind, room);
                (first, Some(second))
            }
            _ => (self.one_cover(draw, kind, room), None),
        };
        let birth = self.as_of - age;
        let plan = Plan {
            kind,
            birth,
            nineteenth: i32::MAX,
            student_until: None,
            document_due: None,
            first,
            second,
            own_is_first: second.is_some() && draw.permille(400),
        };
        match kind {
            Kind::DocumentDue
            | Kind::DocumentMissing
            | Kind::DocumentDueToday
            | Kind::DaughterNeverInForce => {
                Plan { document_due: Some(self.document_due(draw, kind, first.start)), ..plan }
            }
            _ => plan,
        }
    }

    fn one_cover(&self, draw: &mut Draw, kind: Kind, room: i32) -> Cover {
        let as_of = self.as_of;
        let start = as_of - draw.between(30, room);
        match kind {
            Kind::CoveredUntil => Cover { start, end: Some(as_of + draw.between(1, 1800)) },
            Kind::LastDay => Cover { start, end: Some(as_of) },
            Kind::Lapsed => Cover { start, end: Some(as_of - draw.between(2, as_of - start - 1)) },
            Kind::LapsedYesterday => Cover { start, end: Some(as_of - 1) },
            Kind::FirstDay => Cover { start: as_of, end: None },
            Kind::NotStarted => {
                let start = as_of + draw.between(1, 180);
                Cover { start, end: self.open_or(draw, start + 30) }
            }
            _ => Cover { start, end: None },
        }
    }

    /// Two entitlements within the days that there is room for: four stretches of a fifth each at most.
    fn two_covers(&self, draw: &mut Draw, kind: Kind, room: i32) -> (Cover, Cover) {
        let (as_of, fifth) = (self.as_of, room / 5);
        let start = as_of - draw.between(30, room);
        match kind {
            Kind::Adjoining => {
                let end = as_of + draw.between(-20, 300);
                let second = Cover { start: end + 1, end: self.open_or(draw, end.max(as_of) + 31) };
                (Cover { start, end: Some(end) }, second)
            }
            Kind::Overlapping => {
                let end = as_of + draw.between(0, 300);
                let second = Cover { start: draw.between(start + 1, end), end: self.open_or(draw, end + 1) };
                (Cover { start, end: Some(end) }, second)
            }
            Kind::GapCovered => {
                let second = as_of - draw.between(0, fifth);
                let first = self.cover_before(draw, second, fifth);
                (first, Cover { start: second, end: self.open_or(draw, as_of + 1) })
            }
            Kind::GapNow => {
                let first = self.cover_before(draw, as_of + 1, fifth);
                let second = as_of + draw.between(1, 180);
                (first, Cover { start: second, end: self.open_or(draw, second + 30) })
            }
            _ => {
                let end = as_of - draw.between(1, fifth);
                let second = end - draw.between(1, fifth);
                (self.cover_before(draw, second, fifth), Cover { start: second, end: Some(end) })
            }
        }
    }

    /// Cover that ends at least two days before `day`, so that a day between the two has none.
    fn cover_before(&self, draw: &mut Draw, day: i32, fifth: i32) -> Cover {
        let end = day - draw.between(2, fifth);
        Cover { start: end - draw.between(1, fifth), end: Some(end) }
    }

    /// Open-ended or, as often, an end within five years from `earliest`.
    fn open_or(&self, draw: &mut Draw, earliest: i32) -> Option<i32> {
        let end = earliest + draw.between(0, 1800);
        draw.permille(500).then_some(end)
    }

    fn document_due(&self, draw: &mut Draw, kind: Kind, start: i32) -> i32 {
        match kind {
            Kind::DocumentDue => self.as_of + draw.between(1, 900),
            Kind::DocumentMissing => draw.between(start + 1, self.as_of - 1),
            Kind::DocumentDueToday => self.as_of,
            _ => start - draw.between(0, 300),
        }
    }

    /// The dates of a son under 19: whatever the archetype, cover ends two days before his birthday at most,
    /// or is open.
    pub(super) fn plan_minor_son(&self, draw: &mut Draw, kind: Kind, age: i32) -> Plan {
        let mut plan = self.plan(draw, kind, age);
        plan.nineteenth = self.calendar.turns_19(plan.birth).unwrap_or(i32::MAX);
        plan.first.end = plan.first.end.map(|end| end.min(plan.nineteenth - 2));
        plan
    }

    /// The dates of a son who has turned 19: cover is open, and a certificate or his own cover decides.
    pub(super) fn plan_adult_son(&self, draw: &mut Draw, kind: Kind, age: i32) -> Plan {
        let as_of = self.as_of;
        let (kind, birth) = match (kind, self.calendar.born_19_years_before(as_of)) {
            (Kind::Turns19Today, Some(birth)) => (kind, birth),
            (Kind::Turns19Today, None) => (Kind::CertificateMissing, as_of - age),
            _ => (kind, as_of - age),
        };
        let nineteenth = self.calendar.turns_19(birth).unwrap_or(as_of);
        let start = match kind {
            Kind::SonNeverInForce => draw.between(nineteenth, as_of - 1),
            _ => nineteenth - draw.between(1, MINOR_DAYS_MAX),
        };
        let student_until = match kind {
            Kind::StudentCovered => Some(as_of + draw.between(1, 700)),
            Kind::StudentLastDay => Some(as_of),
            Kind::CertificateLapsed => Some(draw.between(nineteenth, as_of - 1)),
            _ => None,
        };
        let own = (kind == Kind::SonEmployed).then(|| Cover {
            start: draw.between(nineteenth + 2, as_of),
            end: self.open_or(draw, as_of + 1),
        });
        Plan {
            kind,
            birth,
            nineteenth,
            student_until,
            document_due: None,
            first: Cover { start, end: None },
            second: own,
            own_is_first: false,
        }
    }
}
