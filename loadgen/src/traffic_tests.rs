//! Who is asked for what by whom, and how often: drawn from files as a run draws them.

use std::collections::{BTreeMap, HashMap};

use crate::keys::{self, ApiKey};
use crate::scenario::{Class, Scenario};
use crate::targets::Targets;
use crate::traffic::{Cursor, Picker};
use crate::vocabulary::Endpoint;

const EACH: usize = 20;
const DRAWS: u64 = 200_000;

/// So many lines of each class, each for both endpoints but those of inpatient care.
fn targets(each: usize) -> Targets {
    let mut lines = String::new();
    for n in 0..each {
        let request =
            |more: &str| format!(r#"{{"request":{{"person_id":"{:010}","mobile":"0912"{more}}}"#, n + 7);
        let expected = r#","expected":{"general":"bad_check_digit","personal":"bad_check_digit"}"#;
        for (more, rest) in [
            ("", ""),
            ("", r#","kind":"unknown""#),
            ("", r#","kind":"lapsed_today""#),
            ("", expected),
            (r#","care":"inpatient""#, r#","expected":{"general":{"status":"covered","notices":[]}}"#),
        ] {
            lines += &format!("{}{rest}}}\n", request(more));
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("targets");
    std::fs::write(&path, lines).unwrap();
    Targets::read(&path, &[Endpoint::General, Endpoint::Personal]).unwrap()
}

fn keys(ids: &[&str]) -> Vec<ApiKey> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    std::fs::write(&path, ids.iter().map(|id| format!("{id}.x\n")).collect::<String>()).unwrap();
    keys::read(&path).unwrap()
}

fn scenario(traffic: &str) -> Scenario {
    let stage = "[[stage]]\nkind = \"constant\"\nrate_per_s = 1\nduration_s = 1\n";
    Scenario::parse("traffic", &format!("{stage}{traffic}")).unwrap()
}

fn picker(traffic: &str, targets: &Targets, keys: &[ApiKey]) -> (Picker, Cursor) {
    let picker = Picker::new(&scenario(traffic), 11, targets, keys).unwrap();
    let cursor = picker.cursor();
    (picker, cursor)
}

/// So many of `draws` are about a share of them: within five standard deviations.
#[track_caller]
fn check_share(what: &str, count: u64, draws: u64, share: f64) {
    let due = draws as f64 * share;
    let spread = (due * (1.0 - share)).sqrt();
    assert!((count as f64 - due).abs() < 5.0 * spread + 1e-9, "{what}: {count} of {draws}, due {due:.0}");
}

#[test]
fn each_class_has_its_weight_on_each_endpoint() {
    let targets = targets(EACH);
    let mix = "[traffic]\npersonal_share = 0.25\n[traffic.mix]\nordinary = 50\nunknown = 10\nmistyped = 5\n\
               lapsed = 15\ninpatient = 20\n";
    let (picker, mut cursor) = picker(mix, &targets, &[]);
    let mut counts: BTreeMap<(&str, Class), u64> = BTreeMap::new();
    for index in 0..DRAWS {
        let inquiry = &targets.inquiries[picker.pick(&mut cursor, index).inquiry as usize];
        *counts.entry((inquiry.endpoint.code(), inquiry.class)).or_default() += 1;
    }
    let weights = [
        (Class::Ordinary, 0.50),
        (Class::Unknown, 0.10),
        (Class::Mistyped, 0.05),
        (Class::Lapsed, 0.15),
        (Class::Inpatient, 0.20),
    ];
    for (class, weight) in weights {
        let count = |endpoint| counts.get(&(endpoint, class)).copied().unwrap_or(0);
        check_share(class.name(), count("general"), DRAWS, 0.75 * weight);
        // The personal endpoint takes no care: the other classes share its part.
        let weight = if class == Class::Inpatient { 0.0 } else { weight / 0.8 };
        check_share(class.name(), count("personal"), DRAWS, 0.25 * weight);
    }
}

#[test]
fn kinds_of_providers_have_their_part_of_the_rate_and_only_some_ask_for_inpatient_care() {
    let (targets, keys) = (targets(EACH), keys(&["hospital-1", "clinic-1", "hospital-2", "other-1"]));
    let traffic = "[traffic.mix]\nordinary = 1\ninpatient = 1\n\
                   [[provider]]\nkind = \"hospital\"\nkey_prefix = \"hospital-\"\nweight = 3\ninpatient = true\n\
                   [[provider]]\nkind = \"clinic\"\nkey_prefix = \"clinic-\"\nweight = 7\n";
    let (picker, mut cursor) = picker(traffic, &targets, &keys);
    let mut counts: BTreeMap<(bool, u32), u64> = BTreeMap::new();
    for index in 0..DRAWS {
        let pick = picker.pick(&mut cursor, index);
        let inpatient = targets.inquiries[pick.inquiry as usize].class == Class::Inpatient;
        *counts.entry((inpatient, pick.key.unwrap())).or_default() += 1;
    }
    let of = |inpatient: bool| [0, 1, 2, 3].map(|key| counts.get(&(inpatient, key)).copied().unwrap_or(0));
    let (ordinary, inpatient) = (of(false), of(true));
    let total: u64 = ordinary.iter().sum();
    for (key, share) in [(0, 0.15), (1, 0.7), (2, 0.15), (3, 0.0)] {
        check_share(&format!("key {key}, ordinary"), ordinary[key], total, share);
    }
    let total: u64 = inpatient.iter().sum();
    for (key, share) in [(0, 0.5), (1, 0.0), (2, 0.5), (3, 0.0)] {
        check_share(&format!("key {key}, inpatient"), inpatient[key], total, share);
    }
}

/// The chi-squared distance of how often each person was asked about, the most frequent first, from Zipf's law. With 19
/// degrees of freedom 54 is the 0.9999 quantile; to order what was counted makes the distance smaller, if anything.
fn distance_from_zipf(drawn_with: f64, exponent: f64) -> f64 {
    let targets = targets(EACH);
    let traffic = format!("[traffic]\nzipf = {drawn_with}\n[traffic.mix]\nordinary = 1\n");
    let (picker, mut cursor) = picker(&traffic, &targets, &[]);
    let mut counts: HashMap<u32, u64> = HashMap::new();
    (0..DRAWS).for_each(|index| *counts.entry(picker.pick(&mut cursor, index).inquiry).or_default() += 1);
    let mut counts: Vec<u64> = counts.into_values().collect();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    let weights: Vec<f64> = (1..=EACH).map(|rank| (rank as f64).powf(-exponent)).collect();
    let sum: f64 = weights.iter().sum();
    let part = |(&count, weight): (&u64, &f64)| {
        let due = weight / sum * DRAWS as f64;
        (count as f64 - due).powi(2) / due
    };
    assert_eq!(counts.len(), EACH, "everybody is asked about at some time");
    counts.iter().zip(&weights).map(part).sum()
}

#[test]
fn few_people_are_asked_about_often_as_the_skew_says() {
    for exponent in [0.0, 0.8, 1.2] {
        let distance = distance_from_zipf(exponent, exponent);
        assert!(distance < 54.0, "{exponent}: {distance}");
    }
    for other in [0.0, 0.7, 0.9] {
        let distance = distance_from_zipf(other, 0.8);
        assert!(distance > 200.0, "{other} is not taken for 0.8: {distance}");
    }
}

/// The share of inquiries about somebody who was asked about within the last 2,000.
fn asked_again(reinquiry_share: f64, targets: &Targets) -> f64 {
    let traffic = format!("[traffic]\nreinquiry_share = {reinquiry_share}\n[traffic.mix]\nordinary = 1\n");
    let (picker, mut cursor) = picker(&traffic, targets, &[]);
    let (mut last, mut again, draws) = (HashMap::new(), 0, 40_000);
    for index in 0..draws {
        let person = picker.pick(&mut cursor, index).inquiry;
        again += u64::from(last.insert(person, index).is_some_and(|before| index - before <= 2_000));
    }
    again as f64 / draws as f64
}

#[test]
fn re_inquiries_are_about_people_of_recent_requests() {
    let targets = targets(40_000);
    // By chance one in twenty is: 2,000 of 40,000.
    let (never, often) = (asked_again(0.0, &targets), asked_again(0.3, &targets));
    assert!((0.03..0.07).contains(&never), "{never}");
    assert!((0.30..0.37).contains(&often), "{often}");
}

/// What a retry asks again is what its slot asked.
#[test]
fn a_slot_asks_the_same_each_time() {
    let targets = targets(EACH);
    let (picker, mut cursor) = picker(
        "[traffic]\nzipf = 0.8\nreinquiry_share = 0.2\n[traffic.mix]\nordinary = 1\nlapsed = 1\n",
        &targets,
        &[],
    );
    let first: Vec<_> = (0..1_000).map(|index| picker.pick(&mut cursor, index)).collect();
    assert!((0..1_000).rev().all(|index| picker.pick(&mut cursor, index) == first[index as usize]));
}
