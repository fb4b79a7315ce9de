//! What holds for any number of people is shown on counters and quotas, without making the people.

use std::collections::HashSet;

use super::{
    FOREIGN_LENGTHS, FOREIGN_UNISSUED, PLACE_QUOTA, PLACES, Registry, check_digit, place_shares, place_slots,
};
use crate::draw::{Draw, Purpose};

/// National IDs of 90 million people, 4 % of them foreign.
const NATIONAL_MAX: f64 = 90e6 * 0.96;

fn registry() -> (Registry, Draw) {
    let mut draw = Draw::new(7, Purpose::Identifiers);
    (Registry::new(&mut draw), draw)
}

#[test]
fn check_digits_of_known_ids() {
    for (nine, digit) in [(49_937_089, 9), (6_841_594, 1), (440_027_620, 1), (111_111_111, 1), (0, 0)] {
        assert_eq!(check_digit(nine), digit, "{nine}");
    }
}

#[test]
fn places_are_skewed_and_none_overflows_at_90_million() {
    let shares = place_shares();
    assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9);
    assert!(shares[0] / shares[PLACES - 1] > 10.0, "skewed");
    let mut slots = vec![0u32; PLACES];
    let table = place_slots();
    table.iter().for_each(|&rank| slots[usize::from(rank)] += 1);
    for (rank, &count) in slots.iter().enumerate() {
        assert!(count > 0, "rank {rank} is never drawn");
        let people = NATIONAL_MAX * f64::from(count) / table.len() as f64;
        // Families come from one place together: at most a dozen people a draw, six standard deviations.
        let spread = 6.0 * (12.0 * people).sqrt();
        assert!(people + spread < f64::from(PLACE_QUOTA), "rank {rank} would give {people:.0} IDs");
    }
}

#[test]
fn a_full_place_gives_distinct_valid_ids_and_then_passes_on() {
    let (mut registry, mut draw) = registry();
    for code in [111, 999, registry.codes[0]] {
        registry.codes[0] = code;
        registry.issued[0] = 0;
        registry.serials[0] =
            super::Permutation::new(super::serial_count(code), std::array::from_fn(|_| draw.word()));
        let ids: HashSet<Vec<u8>> =
            (0..PLACE_QUOTA).map(|_| registry.issue_national(0).as_bytes().to_vec()).collect();
        assert_eq!(ids.len(), PLACE_QUOTA as usize);
        assert!(ids.iter().all(|id| id.starts_with(format!("{code:03}").as_bytes())));
        assert!(ids.iter().all(|id| id.iter().any(|&digit| digit != id[0]) && &id[3..9] != b"000000"));
        let next = registry.issue_national(0);
        assert!(!ids.contains(next.as_bytes()), "the next place takes over");
    }
}

#[test]
fn unknown_people_are_beyond_every_counter() {
    let (registry, mut draw) = registry();
    let rank = 3;
    let spare = registry.serials[rank].size() as u32 - PLACE_QUOTA;
    assert!(spare > 49_000);
    let last = registry.national(rank, u64::from(PLACE_QUOTA - 1));
    let beyond = registry.national(rank, u64::from(PLACE_QUOTA));
    assert!(last != beyond);
    let ids: HashSet<_> = (0..1000).map(|_| registry.never_issued_national(&mut draw)).collect();
    assert!(ids.len() > 990);
}

#[test]
fn foreign_ids_have_room_for_every_length() {
    let total: u32 = FOREIGN_LENGTHS.iter().map(|length| length.0).sum();
    for (weight, len) in FOREIGN_LENGTHS {
        // Even if all 90 million people were foreign.
        let people = 90_000_000 * u64::from(weight) / u64::from(total) * 11 / 10;
        assert!(people + u64::from(FOREIGN_UNISSUED) < 10u64.pow(u32::from(len)), "{len} digits");
    }
    let (mut registry, mut draw) = registry();
    let issued: HashSet<_> = (0..50_000).map(|_| registry.issue_foreign(&mut draw)).collect();
    assert_eq!(issued.len(), 50_000);
    assert!(issued.iter().any(|id| id.as_bytes().starts_with(b"0")), "leading zeros occur");
    let unknown = (0..5_000).map(|_| registry.never_issued_foreign(&mut draw));
    assert_eq!(unknown.filter(|id| issued.contains(id)).count(), 0);
}
