//! Person IDs: the check digit against a plain second formulation, and round trips.

use engine::{IdKind, PersonId, PersonIdError};
use proptest::prelude::*;

/// The rule as it is written down, on the ten digits: weights 10 down to 2, and the tenth digit is the
/// remainder when that is below 2, else 11 minus it.
fn check_digit_fits(ten: &str) -> bool {
    let digits: Vec<u32> = ten.chars().map(|digit| digit.to_digit(10).unwrap()).collect();
    let sum: u32 = (0..9).map(|place| digits[place] * (10 - place as u32)).sum();
    let remainder = sum % 11;
    if remainder < 2 { digits[9] == remainder } else { digits[9] + remainder == 11 }
}

fn expected(ten: &str) -> Result<(), PersonIdError> {
    let first = ten.chars().next().unwrap();
    if ten.chars().all(|digit| digit == first) || ten[3..9] == *"000000" {
        return Err(PersonIdError::Malformed);
    }
    if check_digit_fits(ten) { Ok(()) } else { Err(PersonIdError::CheckDigit) }
}

proptest! {
    #[test]
    fn national_ids_follow_the_second_formulation(ten in "[0-9]{10}|[0-9]{3}000000[0-9]|00[0-9]{8}|1{9}[0-9]|7{9}[0-9]") {
        let parsed = PersonId::parse(IdKind::National, &ten);
        prop_assert_eq!(parsed.map(drop), expected(&ten));
        let unpadded = ten.trim_start_matches('0');
        if unpadded.len() >= 8 {
            prop_assert_eq!(PersonId::parse(IdKind::National, unpadded), parsed);
        }
    }

    #[test]
    fn exactly_one_last_digit_fits(nine in "[0-9]{3}[1-9][0-9]{5}") {
        let fitting = (0..10).filter(|digit| PersonId::parse(IdKind::National, &format!("{nine}{digit}")).is_ok());
        let all_equal = (0..10).filter(|digit| nine.chars().all(|c| c.to_digit(10) == Some(*digit))).count();
        prop_assert_eq!(fitting.count() + all_equal, 1);
    }

    #[test]
    fn ids_round_trip(ten in "[0-9]{10}", foreign in "[0-9]{8,16}") {
        for (kind, digits) in [(IdKind::National, &ten), (IdKind::Foreign, &foreign)] {
            let Ok(id) = PersonId::parse(kind, digits) else { continue };
            prop_assert_eq!(&id.reveal(), digits);
            prop_assert_eq!(PersonId::from_u64(kind, id.to_u64()), Some(id));
            prop_assert!(id.to_u64() < 1 << 55);
        }
    }

    #[test]
    fn foreign_ids_sort_by_length_then_digits(a in "[0-9]{8,16}", b in "[0-9]{8,16}") {
        let id = |digits: &str| PersonId::parse(IdKind::Foreign, digits).unwrap();
        prop_assert_eq!(id(&a).cmp(&id(&b)), (a.len(), &a).cmp(&(b.len(), &b)));
    }

    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = PersonId::parse(IdKind::National, &text);
        let _ = PersonId::parse(IdKind::Foreign, &text);
        let _ = engine::Day::parse(&text);
        let _ = engine::Mobile::parse(&text);
    }

    #[test]
    fn only_numbers_of_ids_come_back_from_storage(number in prop_oneof![any::<u64>(), 0..2_000_000_000_u64]) {
        for kind in [IdKind::National, IdKind::Foreign] {
            if let Some(id) = PersonId::from_u64(kind, number) {
                prop_assert_eq!(PersonId::parse(kind, &id.reveal()), Ok(id));
            }
        }
    }
}
