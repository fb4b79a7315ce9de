//! What time, restarts and the bound make of idempotency keys: midnight, the end of a key's day, a ledger that is
//! read again, and no room left. Never a second entry under a key without a word.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ledger::{LedgerKeys, Month, derived_month_key};
use serde_json::{Value, json};

use crate::repeating::check_replay;
use crate::site::{Setup, Site};

const DAY_MS: u64 = 86_400_000;
/// 2026-12-01 00:00 in Tehran: a day and a month begin.
const MIDNIGHT_MS: u64 = 1_796_070_600_000;

fn body() -> Value {
    json!({"person_id": "5742616694"})
}

#[test]
fn midnight_and_the_month_s_end_make_no_other_request_of_it() {
    static NOW: AtomicU64 = AtomicU64::new(MIDNIGHT_MS - 1000);
    let site = Setup { clock_ms: || NOW.load(Ordering::SeqCst), ..Setup::usual() }.start();
    let ask = |key: &str, body: &Value| site.client.ask_as(&site.keys.clinic, key, body);
    let named = json!({"person_id": "5742616694", "service_date": "2026-11-30"});
    let (today, on_a_date) = (ask("k", &body()), ask("d", &named));
    assert_eq!(today.json()["service_date"], "2026-11-30");
    let personal = json!({"person_id": "5742616694", "mobile": "09121234567"});
    let own = site.client.ask_personally_as("k", &personal);
    NOW.store(MIDNIGHT_MS + 1, Ordering::SeqCst);
    check_replay(&today, &ask("k", &body()));
    check_replay(&on_a_date, &ask("d", &named));
    check_replay(&own, &site.client.ask_personally_as("k", &personal));
    ask("new", &named).problem(422, "date_not_allowed");
    ask("k", &named).problem(422, "idempotency_conflict");
    assert_eq!(ask("new", &body()).json()["service_date"], "2026-12-01");
    NOW.store(MIDNIGHT_MS - 500, Ordering::SeqCst);
    assert_eq!(ask("new", &body()).status, 200, "the clock was put back over the month's end");
}

#[test]
fn after_24_hours_the_key_is_free_also_after_a_restart() {
    /// Not the beginning of a minute.
    const FIRST_MS: u64 = MIDNIGHT_MS + 5;
    static NOW: AtomicU64 = AtomicU64::new(FIRST_MS);
    let setup = || Setup { clock_ms: || NOW.load(Ordering::SeqCst), ..Setup::usual() };
    let mut site = setup().start();
    let ask = |site: &Site| site.client.ask_as(&site.keys.clinic, "k", &body());
    let first = ask(&site);
    NOW.store(FIRST_MS + DAY_MS - 1, Ordering::SeqCst);
    check_replay(&first, &ask(&site));
    site.restart(&setup());
    check_replay(&first, &ask(&site));
    NOW.store(FIRST_MS + DAY_MS, Ordering::SeqCst);
    let second = ask(&site);
    check_replay(&second, &ask(&site));
    assert_ne!(second.json()["tracking_code"], first.json()["tracking_code"]);
    site.restart(&setup());
    check_replay(&second, &ask(&site));
    NOW.store(FIRST_MS + 2 * DAY_MS, Ordering::SeqCst);
    site.restart(&setup());
    assert_eq!(site.metric("estehqaq_idempotency_keys{channel=\"general\"}"), 0);
    assert_eq!(ask(&site).status, 201);
}

#[test]
fn a_restart_keeps_the_keys_and_a_new_tracking_key_the_codes() {
    let setup = Setup::usual();
    let mut site = Setup::usual().start();
    let personal = json!({"person_id": "1043525882", "mobile": "09121234567"});
    let strange = json!({"person_id": "1043525882", "mobile": "09306007282"});
    let first = site.client.ask_as(&site.keys.clinic, "k", &body());
    let own = site.client.ask_personally_as("k", &personal);
    let stranger = site.client.ask_personally_as("k", &strange);
    let rotated = LedgerKeys::new(1, &[9; 32], 2, &[8; 32])
        .with_tracking(0, &[1; 32])
        .with_ledger(1, &[2; 32])
        .with_month(Month::parse("2026-11").unwrap(), &[3; 32]);
    for keys in [setup.ledger_keys.clone(), Arc::new(rotated)] {
        site.restart(&Setup { ledger_keys: keys, ..Setup::usual() });
        let before = site.running().ledger_stats().entries;
        check_replay(&first, &site.client.ask_as(&site.keys.clinic, "k", &body()));
        check_replay(&own, &site.client.ask_personally_as("k", &personal));
        let again = site.client.ask_personally_as("k", &strange);
        assert_eq!((again.status, &again.text), (403, &stranger.text));
        let other = json!({"person_id": "6930154164"});
        site.client.ask_as(&site.keys.clinic, "k", &other).problem(422, "idempotency_conflict");
        assert_eq!(site.running().ledger_stats().entries, before);
    }
}

/// A service that may hold six keys of providers, and two of personal inquiries.
fn narrow() -> Setup {
    let mut setup = Setup::usual();
    setup.settings.idempotency_keys_max = 8;
    setup
}

#[test]
fn beyond_the_bound_new_keys_are_refused_and_no_key_gets_two_entries() {
    let mut site = narrow().start();
    let ask = |site: &Site, n: usize| site.client.ask_as(&site.keys.clinic, &format!("key-{n}"), &body());
    let firsts: Vec<_> = (0..6).map(|n| ask(&site, n)).collect();
    let before = site.running().ledger_stats().entries;
    for new in [6, 7, 8] {
        let reply = ask(&site, new);
        reply.problem(503, "unavailable");
        assert_eq!(reply.header("retry-after"), "60", "{new}");
    }
    assert_eq!(site.running().ledger_stats().entries, before);
    (0..6).for_each(|n| check_replay(&firsts[n], &ask(&site, n)));
    assert_eq!(site.client.ask(&site.keys.clinic, &body()).status, 201, "without a key all goes on");
    let personal = json!({"person_id": "5742616694", "mobile": "09121234567"});
    assert_eq!(site.client.ask_personally_as("k", &personal).status, 201, "and on the other channel");
    assert_eq!(site.metric("estehqaq_idempotency_refused_total"), 3);
    site.restart(&narrow());
    ask(&site, 6).problem(503, "unavailable");
    (0..6).for_each(|n| check_replay(&firsts[n], &ask(&site, n)));
    site.restart(&Setup::usual());
    (0..6).for_each(|n| check_replay(&firsts[n], &ask(&site, n)));
    assert_eq!(ask(&site, 6).status, 201);
    // A bound lower than the keys of the day: those that are not held are not taken for new ones.
    site.restart(&narrow());
    let replies: Vec<_> = (0..8).map(|n| ask(&site, n)).collect();
    assert_eq!(replies.iter().filter(|reply| reply.status == 201).count(), 0);
    assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 6);
    assert_eq!(ask(&site, 7).header("retry-after"), "3600");
}

#[test]
fn where_the_ledger_cannot_be_read_no_key_is_taken_for_a_new_one() {
    let mut site = Site::usual();
    let first = site.client.ask_as(&site.keys.clinic, "k", &body());
    site.restart(&Setup::usual());
    let second = site.client.ask_as(&site.keys.clinic, "l", &body());
    let path = site.path("ledger/segment-00000001.led");
    let mut bytes = fs::read(&path).unwrap();
    // In the person of the entry behind the mark of the opening.
    bytes[4096 + 144 + 33] ^= 1;
    fs::write(&path, bytes).unwrap();
    site.restart(&Setup::usual());
    site.client.ask_as(&site.keys.clinic, "k", &body()).problem(503, "unavailable");
    site.client.ask_as(&site.keys.clinic, "m", &body()).problem(503, "unavailable");
    check_replay(&second, &site.client.ask_as(&site.keys.clinic, "l", &body()));
    assert_eq!(site.client.ask(&site.keys.clinic, &body()).status, 201);
    assert_eq!(first.status, 201);
}

#[test]
fn the_desk_finds_the_code_that_was_given_out() {
    let mut site = Setup::usual().start();
    let given = site.client.ask(&site.keys.clinic, &body()).json()["tracking_code"].clone();
    let rotated = LedgerKeys::new(1, &[9; 32], 2, &[8; 32])
        .with_tracking(0, &[1; 32])
        .with_ledger(1, &[2; 32])
        .with_month(Month::parse("2026-11").unwrap(), &[3; 32]);
    site.restart(&Setup { ledger_keys: Arc::new(rotated), ..Setup::usual() });
    let found = site.client.search(&site.keys.desk, &json!({"person_id": "5742616694"})).json();
    assert_eq!(found["inquiries"][0]["tracking_code"], given);
}

#[test]
fn a_key_of_a_month_that_was_forgotten_since_is_not_taken_for_a_new_one() {
    static NOW: AtomicU64 = AtomicU64::new(MIDNIGHT_MS - 600_000);
    let setup = |ledger_keys: Arc<LedgerKeys>| Setup {
        clock_ms: || NOW.load(Ordering::SeqCst),
        ledger_keys,
        ..Setup::usual()
    };
    let mut site = setup(Setup::usual().ledger_keys).start();
    assert_eq!(site.client.ask_as(&site.keys.clinic, "k", &body()).status, 201);
    NOW.store(MIDNIGHT_MS + 600_000, Ordering::SeqCst);
    let (november, december) = (Month::parse("2026-11").unwrap(), Month::parse("2026-12").unwrap());
    let key = derived_month_key(november, &[3; 32], december).unwrap();
    let forgot = LedgerKeys::new(0, &[1; 32], 1, &[2; 32]).with_month(december, &key);
    site.restart(&setup(Arc::new(forgot)));
    assert_eq!(site.client.ask_as(&site.keys.clinic, "k", &body()).status, 503);
}
