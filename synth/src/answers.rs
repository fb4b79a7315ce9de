//! What is known about a person of each archetype without asking the decider: on the as-of date and on the
//! days around the boundaries, by how the dates were drawn in `plan`. The words are those of PRODUCT.md
//! section 3; a mistake in `engine::decide` cannot hide here, because none of its code is used.

use super::plan::{Kind, Plan};

/// Why somebody is covered or not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reason {
    Active,
    CertificateMissing,
    DocumentMissing,
    NotStarted,
    Ended,
}

impl Reason {
    pub(super) fn code(self) -> &'static str {
        match self {
            Reason::Active => "active",
            Reason::CertificateMissing => "student_certificate_missing",
            Reason::DocumentMissing => "identity_document_missing",
            Reason::NotStarted => "not_started",
            Reason::Ended => "ended",
        }
    }
}

/// How far the cover reaches, or reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Until {
    Open,
    Day(i32),
    /// Not covered, and never was before.
    Never,
}

/// The answer for one service date.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Answer {
    pub(super) day: i32,
    pub(super) reason: Reason,
    pub(super) until: Until,
}

impl Answer {
    fn new(day: i32, reason: Reason, until: Until) -> Self {
        Answer { day, reason, until }
    }
}

fn active(day: i32, until: Until) -> Answer {
    Answer::new(day, Reason::Active, until)
}

/// Covered until an end that may be none.
fn reach(end: Option<i32>) -> Until {
    end.map_or(Until::Open, Until::Day)
}

/// The answers for a person of this plan; the first one is for the as-of date.
pub(super) fn answers(plan: &Plan, as_of: i32) -> Vec<Answer> {
    match plan.kind {
        Kind::Adjoining | Kind::Overlapping | Kind::GapCovered | Kind::GapNow | Kind::BothLapsed => {
            two_covers(plan, as_of)
        }
        Kind::SonMinor
        | Kind::StudentCovered
        | Kind::StudentLastDay
        | Kind::CertificateMissing
        | Kind::CertificateLapsed
        | Kind::Turns19Today
        | Kind::SonNeverInForce
        | Kind::SonEmployed => son(plan, as_of),
        Kind::DocumentDue | Kind::DocumentMissing | Kind::DocumentDueToday | Kind::DaughterNeverInForce => {
            daughter(plan, as_of)
        }
        _ => one_cover(plan, as_of),
    }
}

fn one_cover(plan: &Plan, as_of: i32) -> Vec<Answer> {
    let (start, end) = (plan.first.start, plan.first.end);
    let today = match plan.kind {
        Kind::Lapsed | Kind::LapsedYesterday => Answer::new(as_of, Reason::Ended, reach(end)),
        Kind::NotStarted => Answer::new(as_of, Reason::NotStarted, Until::Never),
        _ => active(as_of, reach(end)),
    };
    let mut known =
        vec![today, active(start, reach(end)), Answer::new(start - 1, Reason::NotStarted, Until::Never)];
    if let Some(end) = end {
        known.push(active(end, Until::Day(end)));
        known.push(Answer::new(end + 1, Reason::Ended, Until::Day(end)));
    }
    known
}

fn two_covers(plan: &Plan, as_of: i32) -> Vec<Answer> {
    let second = plan.second.unwrap_or(plan.first);
    let first_end = plan.first.end.unwrap_or(as_of);
    let joined = matches!(plan.kind, Kind::Adjoining | Kind::Overlapping);
    let today = match plan.kind {
        Kind::GapNow => Answer::new(as_of, Reason::NotStarted, Until::Day(first_end)),
        Kind::BothLapsed => Answer::new(as_of, Reason::Ended, reach(second.end)),
        _ => active(as_of, reach(second.end)),
    };
    let from_first = if joined { reach(second.end) } else { Until::Day(first_end) };
    let mut known = vec![
        today,
        Answer::new(plan.first.start - 1, Reason::NotStarted, Until::Never),
        active(plan.first.start, from_first),
        active(first_end, from_first),
        active(second.start, reach(second.end)),
    ];
    known.push(match joined {
        true => active(first_end + 1, reach(second.end)),
        // One is over and the other one to come: what is to come is the reason, what was is the end.
        false => Answer::new(first_end + 1, Reason::NotStarted, Until::Day(first_end)),
    });
    if let Some(end) = second.end {
        known.push(active(end, Until::Day(end)));
        known.push(Answer::new(end + 1, Reason::Ended, Until::Day(end)));
    }
    known
}

fn son(plan: &Plan, as_of: i32) -> Vec<Answer> {
    let missing = |day, until| Answer::new(day, Reason::CertificateMissing, until);
    let (start, birthday) = (plan.first.start, plan.nineteenth);
    let minor_until = Until::Day(birthday - 1);
    let never = Answer::new(start - 1, Reason::NotStarted, Until::Never);
    match (plan.kind, plan.student_until, plan.second) {
        (Kind::SonMinor, ..) => vec![
            active(as_of, minor_until),
            active(birthday - 1, minor_until),
            missing(birthday, minor_until),
            never,
        ],
        (Kind::SonNeverInForce, ..) => {
            vec![missing(as_of, Until::Never), missing(start, Until::Never), never]
        }
        (_, Some(until), _) => {
            let reach = Until::Day(until);
            let today = if until >= as_of { active(as_of, reach) } else { missing(as_of, reach) };
            vec![
                today,
                active(until, reach),
                missing(until + 1, reach),
                active(birthday - 1, reach),
                active(birthday, reach),
                active(start, reach),
                never,
            ]
        }
        (_, None, Some(own)) => {
            let mut known = vec![
                active(as_of, reach(own.end)),
                active(own.start, reach(own.end)),
                missing(own.start - 1, minor_until),
                missing(birthday, minor_until),
                active(birthday - 1, minor_until),
            ];
            // When his own cover is over, the open one as a son is still there and still lacks a certificate.
            known.extend(own.end.map(|end| missing(end + 1, Until::Day(end))));
            known
        }
        (_, None, None) => vec![
            missing(as_of, minor_until),
            missing(birthday, minor_until),
            active(birthday - 1, minor_until),
            active(start, minor_until),
            never,
        ],
    }
}

fn daughter(plan: &Plan, as_of: i32) -> Vec<Answer> {
    let missing = |day, until| Answer::new(day, Reason::DocumentMissing, until);
    let start = plan.first.start;
    let due = plan.document_due.unwrap_or(start);
    let never = Answer::new(start - 1, Reason::NotStarted, Until::Never);
    if plan.kind == Kind::DaughterNeverInForce {
        return vec![missing(as_of, Until::Never), missing(start, Until::Never), never];
    }
    let until = Until::Day(due - 1);
    let today = if plan.kind == Kind::DocumentDue { active(as_of, until) } else { missing(as_of, until) };
    vec![today, active(start, until), active(due - 1, until), missing(due, until), never]
}
