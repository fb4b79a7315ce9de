//! The rules against a model that knows nothing of intervals: it asks each day by itself.

use engine::{
    Care, Day, Decision, Entitlement, EntitlementRecord, Notice, Person, Reason, Relation, Status, decide,
};
use proptest::prelude::*;

use crate::record::{any_day, any_entitlement};

/// Beyond the last day that can be stored; whoever is covered here is covered without end.
const BEYOND: i32 = 65_536;

fn number(day: Day) -> i32 {
    i32::from(day.number())
}

/// One entitlement on one day, as the contract's sentence has it.
fn reason_on(entitlement: &Entitlement, day: i32) -> Reason {
    if day < number(entitlement.start) {
        return Reason::NotStarted;
    }
    if matches!(entitlement.end, Some(end) if day > number(end)) {
        return Reason::Ended;
    }
    let daughter = entitlement.relation == Relation::Daughter;
    if daughter && matches!(entitlement.document_due, Some(due) if day >= number(due)) {
        return Reason::IdentityDocumentMissing;
    }
    let son = entitlement.relation == Relation::Son;
    let of_age = matches!(entitlement.turns_19, Some(birthday) if day >= number(birthday));
    let certified = matches!(entitlement.student_until, Some(until) if day <= number(until));
    if son && of_age && !certified {
        return Reason::StudentCertificateMissing;
    }
    Reason::Active
}

fn covered_on(entitlements: &[Entitlement], day: i32) -> bool {
    entitlements.iter().any(|entitlement| reason_on(entitlement, day) == Reason::Active)
}

fn model_reason(entitlements: &[Entitlement], day: i32) -> Reason {
    let reasons: Vec<_> = entitlements.iter().map(|entitlement| reason_on(entitlement, day)).collect();
    let order = [
        Reason::Active,
        Reason::StudentCertificateMissing,
        Reason::IdentityDocumentMissing,
        Reason::NotStarted,
        Reason::Ended,
    ];
    order.into_iter().find(|reason| reasons.contains(reason)).unwrap_or(Reason::RecordIncomplete)
}

/// End date and open-endedness.
fn model_end(entitlements: &[Entitlement], day: i32) -> (Option<Day>, bool) {
    let to_day = |number: i32| u16::try_from(number).ok().and_then(Day::from_number);
    if covered_on(entitlements, day) {
        let last = (day..BEYOND).take_while(|&day| covered_on(entitlements, day)).last().unwrap();
        return if last == BEYOND - 1 { (None, true) } else { (to_day(last), false) };
    }
    ((0..day).rev().find(|&before| covered_on(entitlements, before)).and_then(to_day), false)
}

fn pack(entitlements: &[Entitlement]) -> Vec<EntitlementRecord> {
    entitlements.iter().map(EntitlementRecord::pack).collect()
}

fn codes(decision: &Decision) -> Vec<&'static str> {
    decision.notices.iter().map(Notice::code).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn decide_agrees_with_the_day_by_day_model(
        entitlements in prop::collection::vec(any_entitlement(), 1..6),
        day in any_day(),
        inpatient: bool,
    ) {
        let care = if inpatient { Care::Inpatient } else { Care::Outpatient };
        let records = pack(&entitlements);
        let decision = decide(Person::Entitled(&records), day, care);
        let reason = model_reason(&entitlements, number(day));
        prop_assert_eq!(decision.reason, reason);
        prop_assert_eq!((decision.end, decision.open_ended), model_end(&entitlements, number(day)));
        prop_assert_eq!(decision.status() == Status::Covered, covered_on(&entitlements, number(day)));
        let decider = &entitlements[decision.decided_by.unwrap()];
        prop_assert_eq!(reason_on(decider, number(day)), reason);

        let mut expected = Vec::new();
        if inpatient { expected.push("overlap_check_required"); }
        if inpatient && entitlements.iter().any(|e| e.other_insurer.is_some()) { expected.push("other_base_insurer"); }
        if reason.code().ends_with("_missing") { expected.push("serve_under_existing_rules"); }
        if reason != Reason::Active { expected.push("objection_line"); }
        prop_assert_eq!(codes(&decision), expected);
    }
}

#[test]
fn people_without_entitlements() {
    let day = Day::from_jalali(1405, 9, 1).unwrap();
    let unknown = decide(Person::Unknown, day, Care::Outpatient);
    assert_eq!((unknown.reason, unknown.end, unknown.open_ended), (Reason::UnknownPerson, None, false));
    assert_eq!(codes(&unknown), ["objection_line"]);
    let incomplete = decide(Person::Incomplete, day, Care::Inpatient);
    assert_eq!((incomplete.reason, incomplete.decided_by), (Reason::RecordIncomplete, None));
    assert_eq!(codes(&incomplete), ["overlap_check_required", "record_incomplete", "objection_line"]);
}

/// One son, born so that he turns 19 on 1405/09/02, with cover from 1400/01/01.
fn son(student_until: Option<&str>) -> Entitlement {
    let day = |cell: &str| Day::parse(cell).unwrap();
    Entitlement {
        category: engine::Category::INSURED,
        relation: Relation::Son,
        start: day("1400/01/01"),
        end: None,
        turns_19: engine::nineteenth_birthday(day("1386/09/02")),
        student_until: student_until.map(day),
        document_due: None,
        other_insurer: None,
        branch: None,
        mobile: None,
    }
}

#[track_caller]
fn check(entitlement: &Entitlement, day: &str, reason: Reason, end: Option<&str>) {
    let records = pack(std::slice::from_ref(entitlement));
    let decision = decide(Person::Entitled(&records), Day::parse(day).unwrap(), Care::Outpatient);
    assert_eq!(decision.reason, reason, "{day}");
    assert_eq!(decision.end, end.map(|end| Day::parse(end).unwrap()), "{day}");
}

#[test]
fn borders_of_a_sons_cover() {
    let without = son(None);
    check(&without, "1399/12/30", Reason::NotStarted, None);
    check(&without, "1400/01/01", Reason::Active, Some("1405/09/01"));
    check(&without, "1405/09/01", Reason::Active, Some("1405/09/01"));
    check(&without, "1405/09/02", Reason::StudentCertificateMissing, Some("1405/09/01"));
    let with = son(Some("1406/06/31"));
    check(&with, "1406/06/31", Reason::Active, Some("1406/06/31"));
    check(&with, "1406/07/01", Reason::StudentCertificateMissing, Some("1406/06/31"));
    let lapsed = son(Some("1404/06/31"));
    check(&lapsed, "1405/09/01", Reason::Active, Some("1405/09/01"));
}

#[test]
fn borders_of_a_daughters_cover() {
    let due = Day::parse("1405/09/02").ok();
    let daughter =
        Entitlement { relation: Relation::Daughter, turns_19: None, document_due: due, ..son(None) };
    check(&daughter, "1405/09/01", Reason::Active, Some("1405/09/01"));
    check(&daughter, "1405/09/02", Reason::IdentityDocumentMissing, Some("1405/09/01"));
    let never_in_force = Entitlement { start: Day::parse("1405/09/02").unwrap(), ..daughter };
    check(&never_in_force, "1405/09/03", Reason::IdentityDocumentMissing, None);
}
