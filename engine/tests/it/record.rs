//! Entitlement records: what goes in comes out.

use engine::{Branch, Category, Day, Entitlement, EntitlementRecord, Fingerprint, Insurer, Relation};
use proptest::prelude::*;

pub(crate) fn any_day() -> impl Strategy<Value = Day> {
    let near = 40_000_u16..40_060;
    prop_oneof![8 => near, 1 => Just(0), 1 => Just(65_534), 1 => 0..=65_534_u16]
        .prop_map(|number| Day::from_number(number).unwrap())
}

fn any_relation() -> impl Strategy<Value = Relation> {
    prop_oneof![
        2 => Just(Relation::Itself),
        3 => Just(Relation::Son),
        3 => Just(Relation::Daughter),
        1 => prop_oneof![
            Just(Relation::Spouse), Just(Relation::Father), Just(Relation::Mother), Just(Relation::Other)
        ],
    ]
}

fn any_insurer() -> impl Strategy<Value = Option<Insurer>> {
    prop_oneof![
        4 => Just(None),
        1 => prop_oneof![Just(Insurer::Ihio), Just(Insurer::Afmso), Just(Insurer::Ikrf), Just(Insurer::Other)]
            .prop_map(Some),
    ]
}

prop_compose! {
    /// An entitlement as the builder makes it: fields of other relations are none, the end is not before the
    /// start.
    pub(crate) fn any_entitlement()(
        (relation, category) in (
            any_relation(),
            prop_oneof![Just(Category::INSURED), Just(Category::PENSIONER), Just(Category::OTHER)],
        ),
        (start, end) in (any_day(), prop::option::weighted(0.8, any_day())),
        limit in prop::option::of(any_day()),
        student_until in prop::option::of(any_day()),
        (other_insurer, branch, mobile) in (any_insurer(), 0..=9999_u16, any::<u32>()),
    ) -> Entitlement {
        Entitlement {
            category,
            relation,
            start,
            end: end.map(|end| end.max(start)),
            turns_19: limit.filter(|_| relation == Relation::Son),
            student_until: student_until.filter(|_| relation == Relation::Son),
            document_due: limit.filter(|_| relation == Relation::Daughter),
            other_insurer,
            branch: Branch::new(branch),
            mobile: Fingerprint::from_u32(mobile),
        }
    }
}

proptest! {
    #[test]
    fn records_round_trip(entitlement in any_entitlement()) {
        prop_assert_eq!(EntitlementRecord::pack(&entitlement).unpack(), Some(entitlement));
    }

    #[test]
    fn equal_records_are_equal_entitlements(a in any_entitlement(), b in any_entitlement()) {
        let (packed_a, packed_b) = (EntitlementRecord::pack(&a), EntitlementRecord::pack(&b));
        prop_assert_eq!(packed_a == packed_b, a == b);
        prop_assert_eq!(packed_a.storage_order() == packed_b.storage_order(), a == b);
    }
}

#[test]
fn codes_are_read_in_any_case() {
    for code in ["self", "Spouse", "SON", "daughter", "father", "mother", "other"] {
        assert!(Relation::from_code(code).unwrap().code().eq_ignore_ascii_case(code));
    }
    for code in ["ihio", "AFMSO", "Ikrf", "OTHER"] {
        assert!(Insurer::from_code(code).unwrap().code().eq_ignore_ascii_case(code));
    }
    for code in ["insured", "PENSIONER"] {
        assert!(Category::from_code(code).unwrap().code().eq_ignore_ascii_case(code));
    }
    assert_eq!(Category::from_code("other"), None, "only the builder stores it");
    assert_eq!((Relation::from_code(""), Insurer::from_code("")), (None, None));
    assert_eq!((Branch::new(0), Branch::new(10_000)), (None, None));
}
