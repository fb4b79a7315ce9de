//! A ledger that is slow, full or broken: 503, never an answer without its entry.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use server::ServeSettings;

use crate::disk::Syncs;
use crate::site::{Setup, Site, publish, wait_until};

fn body() -> Value {
    json!({"person_id": "5742616694"})
}

#[test]
fn an_answer_waits_for_the_sync_of_its_entry() {
    let site = Site::usual();
    site.disk.set(Syncs::Wait);
    let answered = AtomicBool::new(false);
    thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let reply = site.client.ask(&site.keys.clinic, &body());
            answered.store(true, Ordering::SeqCst);
            reply.status
        });
        thread::sleep(Duration::from_millis(300));
        assert!(!answered.load(Ordering::SeqCst), "an answer left before its entry was stored");
        site.disk.set(Syncs::Work);
        assert_eq!(asking.join().unwrap(), 201);
    });
}

#[test]
fn beyond_the_queue_there_is_503_at_once_and_the_service_stays_ready() {
    let site = Setup { queue_len_max: 2, ..Setup::usual() }.start();
    site.disk.set(Syncs::Wait);
    thread::scope(|scope| {
        let asking: Vec<_> =
            (0..6).map(|_| scope.spawn(|| site.client.ask(&site.keys.clinic, &body()))).collect();
        let refused = || asking.iter().filter(|asking| asking.is_finished()).count();
        // Up to two are in the batch under way, two more in the queue.
        wait_until("the queue is full", || refused() >= 2);
        assert_eq!(site.client.get("/readyz", &[]).status, 200, "a full queue passes");
        site.disk.set(Syncs::Work);
        let replies: Vec<_> = asking.into_iter().map(|asking| asking.join().unwrap()).collect();
        let answered = replies.iter().filter(|reply| reply.status == 201).count();
        assert!((2..=4).contains(&answered), "{answered}");
        for reply in replies.iter().filter(|reply| reply.status != 201) {
            reply.problem(503, "unavailable");
            assert_eq!(reply.header("retry-after"), "1");
        }
    });
    assert_eq!(site.client.ask(&site.keys.clinic, &body()).status, 201);
}

#[test]
fn after_a_failed_sync_the_service_is_not_ready_for_good() {
    let mut site = Site::usual();
    assert_eq!(site.client.ask(&site.keys.clinic, &body()).status, 201);
    site.disk.set(Syncs::Fail);
    let reply = site.client.ask(&site.keys.clinic, &body());
    reply.problem(503, "unavailable");
    assert!(reply.header("retry-after").parse::<u32>().unwrap() > 0);
    site.disk.set(Syncs::Work);
    for _ in 0..3 {
        site.client.ask(&site.keys.clinic, &body()).problem(503, "unavailable");
        let personal = json!({"person_id": "5742616694", "mobile": "09121234567"});
        site.client.ask_personally(&personal).problem(503, "unavailable");
    }
    let ready = site.client.get("/readyz", &[]);
    assert_eq!((ready.status, &ready.json()["ledger_writable"]), (503, &json!(false)));
    assert_eq!(site.client.get("/livez", &[]).status, 200);
    let error = site.take().stop().unwrap_err().to_string();
    assert!(error.contains("the ledger did not close cleanly"), "{error}");
}

/// A machine that boots before its clock is set must not tell an insured person that cover has not begun, or is over.
#[test]
fn a_clock_that_cannot_be_right_gets_503_until_it_is_set() {
    const DAY_MS: u64 = 86_400_000;
    /// 2026-11-22 at noon in Tehran, the day of the extract.
    const NOON: u64 = 1_795_336_200_000;
    static NOW: AtomicU64 = AtomicU64::new(NOON);
    let usual = Setup::usual();
    let settings = ServeSettings { as_of_age_days_max: 90, ..usual.settings.clone() };
    let site = Setup { settings, clock_ms: || NOW.load(Ordering::SeqCst), ..usual }.start();
    let personal = json!({"person_id": "5742616694", "mobile": "09121234567"});
    for (now_ms, cause) in [
        (0, "not_set"),
        (NOON - 400 * DAY_MS, "not_set"),
        (NOON - 2 * DAY_MS, "before_snapshot"),
        (NOON + 91 * DAY_MS, "after_snapshot"),
        (NOON + 400 * DAY_MS, "after_snapshot"),
    ] {
        NOW.store(now_ms, Ordering::SeqCst);
        site.client.ask(&site.keys.clinic, &body()).problem(503, "unavailable");
        site.client.ask_personally(&personal).problem(503, "unavailable");
        let keyed = site.client.ask_as(&site.keys.clinic, "\"a-key\"", &body());
        keyed.problem(503, "unavailable");
        let ready = site.client.get("/readyz", &[]);
        assert_eq!((ready.status, &ready.json()["clock"]), (503, &json!(cause)));
        assert_eq!(site.metric("estehqaq_clock_believed"), 0);
    }
    for now_ms in [NOON - DAY_MS, NOON, NOON + 90 * DAY_MS] {
        NOW.store(now_ms, Ordering::SeqCst);
        assert_eq!(site.client.ask(&site.keys.clinic, &body()).status, 201, "{now_ms}");
        assert_eq!(site.client.get("/readyz", &[]).json()["clock"], json!(null));
        assert_eq!(site.metric("estehqaq_clock_believed"), 1);
    }
}

/// Somebody builds with a wrong --as-of. The good generation before goes on; a wrong clock is not mistaken for that.
#[test]
fn a_generation_of_a_day_that_cannot_be_is_not_taken_up() {
    let usual = Setup::usual();
    let settings = ServeSettings { as_of_age_days_max: 90, ..usual.settings.clone() };
    /// 2026-11-22 at noon in Tehran, the day of the extract.
    const NOON: u64 = 1_795_336_200_000;
    let site = Setup { settings, clock_ms: || NOON, ..usual }.start();
    let good = site.client.get("/readyz", &[]).json()["snapshot"].clone();
    publish(&site.path("snapshots"), "2027-11-22");
    let refused = || site.client.get("/readyz", &[]).json()["refused"].clone();
    wait_until("it is refused", || !refused().is_null());
    assert_eq!(refused()["cause"], "as_of");
    assert_eq!(site.client.get("/readyz", &[]).json()["snapshot"], good);
    assert_eq!(site.client.ask(&site.keys.clinic, &body()).status, 201);
    publish(&site.path("snapshots"), "2026-11-23");
    wait_until("the next night is taken up", || site.client.get("/readyz", &[]).json()["snapshot"] != good);
    assert_eq!(site.client.ask(&site.keys.clinic, &body()).status, 201);
}

/// The clock runs ahead at the start, and is set later: keys of before are held, and new ones taken at once.
#[test]
fn idempotency_keys_wait_for_a_clock_that_is_believed() {
    /// 2026-11-22 at noon in Tehran, the day of the extract.
    const NOON: u64 = 1_795_336_200_000;
    static NOW: AtomicU64 = AtomicU64::new(NOON);
    let setup = || {
        let usual = Setup::usual();
        let settings = ServeSettings { as_of_age_days_max: 90, ..usual.settings.clone() };
        Setup { settings, clock_ms: || NOW.load(Ordering::SeqCst), ..usual }
    };
    let mut site = setup().start();
    let first = site.client.ask_as(&site.keys.clinic, "\"a-key\"", &body());
    assert_eq!(first.status, 201, "{first:?}");
    NOW.store(NOON + 400 * 86_400_000, Ordering::SeqCst);
    site.restart_unready(&setup());
    wait_until("the generation is in", || !site.client.get("/readyz", &[]).json()["snapshot"].is_null());
    assert_eq!(site.metric("estehqaq_idempotency_keys_known"), 0);
    NOW.store(NOON + 60_000, Ordering::SeqCst);
    wait_until("the keys are known", || site.metric("estehqaq_idempotency_keys_known") == 1);
    let again = site.client.ask_as(&site.keys.clinic, "\"a-key\"", &body());
    assert_eq!((again.status, again.text), (200, first.text));
    assert_eq!(site.client.ask_as(&site.keys.clinic, "\"another\"", &body()).status, 201);
}
