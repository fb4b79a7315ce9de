//! Requests that come again under an idempotency key: the first answer, one entry, and nobody else's answer.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::Reply;
use crate::disk::Syncs;
use crate::site::{AS_OF, Setup, Site, wait_until};

const KEY: &str = "\"8e03978e-40d5-43dd-bc93-6894a57f9324\"";

fn body() -> Value {
    json!({"person_id": "5742616694"})
}

/// Asserts that a reply is the first one's again.
#[track_caller]
pub(crate) fn check_replay(first: &Reply, again: &Reply) {
    assert_eq!(first.status, 201, "{first:?}");
    assert_eq!((again.status, &again.text), (200, &first.text), "{again:?}");
    assert_eq!((first.header("idempotent-replay"), again.header("idempotent-replay")), ("", "true"));
    for name in ["location", "content-type", "content-language", "cache-control"] {
        assert_eq!(again.header(name), first.header(name), "{name}");
    }
}

fn entries(site: &Site) -> u64 {
    site.running().ledger_stats().entries
}

#[test]
fn a_repeated_request_gets_the_first_code_and_answer() {
    let site = Site::usual();
    let (client, clinic) = (&site.client, &site.keys.clinic);
    let first = client.ask_as(clinic, KEY, &body());
    let before = entries(&site);
    check_replay(&first, &client.ask_as(clinic, KEY, &body()));
    check_replay(&first, &client.ask_as(clinic, KEY.trim_matches('"'), &body()));
    let spelled_out = json!({"person_id": " 5742616694", "care": "OUTPATIENT", "id_kind": "national"});
    let again = client.ask_as(clinic, KEY, &spelled_out);
    check_replay(&first, &again);
    assert_eq!(entries(&site), before);
    assert_eq!(client.look_up(clinic, again.json()["tracking_code"].as_str().unwrap()).text, first.text);
    let other = client.ask_as(&site.keys.hospital, KEY, &body());
    assert_eq!((other.status, other.header("idempotent-replay")), (201, ""), "another provider's key");
    assert_ne!(other.json()["tracking_code"], first.json()["tracking_code"]);
    assert_eq!(site.metric("estehqaq_idempotent_replays_total"), 3);
    assert_eq!(site.metric("estehqaq_idempotency_keys{channel=\"general\"}"), 2);
}

#[test]
fn a_replay_speaks_the_language_of_the_first_answer() {
    let site = Site::usual();
    let first = site.client.ask_as(&site.keys.clinic, "k", &body());
    let authorization = format!("Bearer {}", site.keys.clinic);
    let headers = [
        ("Authorization", authorization.as_str()),
        ("Content-Type", "application/json"),
        ("Idempotency-Key", "k"),
        ("Accept-Language", "en"),
    ];
    check_replay(&first, &site.client.post("/v1/inquiries", &headers, body().to_string().as_bytes()));
}

#[test]
fn another_request_under_the_key_is_a_conflict() {
    let site = Site::usual();
    let (client, hospital) = (&site.client, &site.keys.hospital);
    let today = client.ask_as(hospital, "k", &body());
    let before = entries(&site);
    for other in [
        json!({"person_id": "6930154164"}),
        json!({"person_id": "5742616694", "care": "inpatient"}),
        json!({"person_id": "5742616694", "service_date": today.json()["service_date"]}),
        json!({"person_id": "5742616694", "id_kind": "foreign"}),
    ] {
        let reply = client.ask_as(hospital, "k", &other);
        assert_eq!(
            reply.problem(422, "idempotency_conflict"),
            "Idempotency-Key:idempotency_conflict",
            "{other}"
        );
    }
    assert_eq!(entries(&site), before);
    check_replay(&today, &client.ask_as(hospital, "k", &body()));
    assert_eq!(site.metric("estehqaq_idempotency_conflicts_total"), 4);
}

#[test]
fn what_was_refused_leaves_the_key_free() {
    let site = Site::usual();
    let (client, clinic) = (&site.client, &site.keys.clinic);
    client.ask_as(clinic, "k", &json!({"person_id": "1234567890"})).problem(422, "bad_check_digit");
    let inpatient = json!({"person_id": "5742616694", "care": "inpatient"});
    client.ask_as(clinic, "k", &inpatient).problem(403, "care_not_allowed");
    client.ask_as("clinic-1.x", "k", &body()).problem(401, "unauthorized");
    let first = client.ask_as(clinic, "k", &body());
    check_replay(&first, &client.ask_as(clinic, "k", &body()));
}

#[test]
fn a_faulty_key_is_reported_with_the_other_faults() {
    let site = Site::usual();
    let ask = |key: &str, body: &Value| site.client.ask_as(&site.keys.clinic, key, body);
    let before = entries(&site);
    let faulty = "Idempotency-Key:bad_idempotency_key";
    assert_eq!(ask("a b", &body()).problem(422, "bad_idempotency_key"), faulty);
    assert_eq!(ask(&"k".repeat(256), &body()).problem(422, "bad_idempotency_key"), faulty);
    let both = ask("\"", &json!({"person_id": "1234567890"})).problem(422, "bad_check_digit");
    assert_eq!(both, format!("person_id:bad_check_digit {faulty}"));
    assert_eq!(ask("\"", &json!({"x": 1})).problem(400, "unknown_field"), "x:unknown_field");
    let personal = json!({"person_id": "5742616694", "mobile": "09121234567"});
    assert_eq!(site.client.ask_personally_as("", &personal).problem(422, "bad_idempotency_key"), faulty);
    assert_eq!(entries(&site), before);
}

#[test]
fn of_twins_one_writes_and_all_get_its_answer() {
    let site = Site::usual();
    let before = entries(&site);
    site.disk.set(Syncs::Wait);
    let replies: Vec<_> = thread::scope(|scope| {
        let ask = || site.client.ask_as(&site.keys.clinic, KEY, &body());
        let asking: Vec<_> = (0..16).map(|_| scope.spawn(ask)).collect();
        thread::sleep(Duration::from_millis(300));
        let waited = asking.iter().all(|asking| !asking.is_finished());
        site.disk.set(Syncs::Work);
        assert!(waited, "an answer left before its entry was stored");
        asking.into_iter().map(|asking| asking.join().unwrap()).collect()
    });
    let first: Vec<_> = replies.iter().filter(|reply| reply.status == 201).collect();
    assert_eq!((first.len(), entries(&site)), (1, before + 1));
    replies.iter().filter(|reply| reply.status != 201).for_each(|again| check_replay(first[0], again));
}

#[test]
fn many_keys_at_once_each_get_one_entry() {
    let site = Site::usual();
    let before = entries(&site);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for n in 0..40 {
                    let reply = site.client.ask_as(&site.keys.clinic, &format!("key-{n}"), &body());
                    assert!(matches!(reply.status, 200 | 201), "{reply:?}");
                }
            });
        }
    });
    assert_eq!(entries(&site), before + 40);
}

#[test]
fn an_inquiry_that_found_the_queue_full_leaves_the_key_free() {
    let site = Setup { queue_len_max: 1, ..Setup::usual() }.start();
    site.disk.set(Syncs::Wait);
    thread::scope(|scope| {
        let stats = || site.running().ledger_stats();
        scope.spawn(|| site.client.ask(&site.keys.clinic, &body()));
        wait_until("one is being synced", || (stats().waiting, stats().queue_len) == (1, 0));
        scope.spawn(|| site.client.ask(&site.keys.clinic, &body()));
        wait_until("the queue is full", || stats().queue_len == 1);
        site.client.ask_as(&site.keys.clinic, KEY, &body()).problem(503, "unavailable");
        site.disk.set(Syncs::Work);
    });
    let first = site.client.ask_as(&site.keys.clinic, KEY, &body());
    check_replay(&first, &site.client.ask_as(&site.keys.clinic, KEY, &body()));
}

#[test]
fn a_client_that_went_away_finds_its_answer_when_it_comes_again() {
    use std::io::Write;
    let site = Site::usual();
    let before = entries(&site);
    site.disk.set(Syncs::Wait);
    let mut stream = std::net::TcpStream::connect(site.address()).unwrap();
    let text = body().to_string();
    let request = format!(
        "POST /v1/inquiries HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Idempotency-Key: {KEY}\r\nContent-Length: {}\r\n\r\n{text}",
        site.keys.clinic,
        text.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    wait_until("the request waits for its sync", || site.running().ledger_stats().waiting == 1);
    drop(stream);
    thread::sleep(Duration::from_millis(100));
    site.disk.set(Syncs::Work);
    let again = site.client.ask_as(&site.keys.clinic, KEY, &body());
    assert_eq!((again.status, again.header("idempotent-replay")), (200, "true"), "{again:?}");
    assert_eq!(entries(&site), before + 1);
}

#[test]
fn on_a_failed_disk_twins_get_no_answer_and_old_answers_are_still_given() {
    let mut site = Site::usual();
    let first = site.client.ask_as(&site.keys.clinic, "old", &body());
    site.disk.set(Syncs::Wait);
    thread::scope(|scope| {
        let ask = || site.client.ask_as(&site.keys.clinic, KEY, &body());
        let asking: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
        wait_until("one waits for its sync", || site.running().ledger_stats().waiting == 1);
        thread::sleep(Duration::from_millis(100));
        site.disk.set(Syncs::Fail);
        for asking in asking {
            asking.join().unwrap().problem(503, "unavailable");
        }
    });
    check_replay(&first, &site.client.ask_as(&site.keys.clinic, "old", &body()));
    site.client.ask_as(&site.keys.clinic, KEY, &body()).problem(503, "unavailable");
    site.client.ask_as(&site.keys.clinic, "new", &body()).problem(503, "unavailable");
    site.take().stop().unwrap_err();
}

#[test]
fn a_person_gets_the_first_answer_again_and_a_stranger_nothing() {
    let site = Site::usual();
    let own = json!({"person_id": "1043525882", "mobile": "0912 123 4567", "service_date": AS_OF});
    let strange = json!({"person_id": "1043525882", "mobile": "09306007282", "service_date": AS_OF});
    let ask = |body: &Value| site.client.ask_personally_as("k", body);
    let first = ask(&own);
    assert_eq!(first.json()["reason"]["code"], "student_certificate_missing");
    assert_eq!(first.json()["end_date"], "2025-03-20");
    let before = entries(&site);
    check_replay(&first, &ask(&own));
    let stranger = ask(&strange);
    stranger.problem(403, "mobile_mismatch");
    assert_eq!((stranger.header("idempotent-replay"), entries(&site)), ("", before + 1), "a key of its own");
    let again = ask(&strange);
    again.problem(403, "mobile_mismatch");
    assert_eq!((&again.text, again.header("idempotent-replay")), (&stranger.text, "true"));
    assert_eq!(entries(&site), before + 1, "a mismatch that is repeated has one entry");
    check_replay(&first, &ask(&own));
    let other_day = json!({"person_id": "1043525882", "mobile": "09121234567", "service_date": "2026-11-21"});
    assert_eq!(ask(&other_day).problem(422, "idempotency_conflict"), "Idempotency-Key:idempotency_conflict");
    let other_person = json!({"person_id": "5742616694", "mobile": "09121234567", "service_date": AS_OF});
    assert_eq!(ask(&other_person).status, 201, "the same text for another person is another key");
    assert_eq!(
        site.client.ask_as(&site.keys.clinic, "k", &body()).status,
        201,
        "and so it is on the other channel"
    );
}

#[test]
fn unknown_people_s_mismatches_are_repeated_like_those_of_known_ones() {
    let site = Site::usual();
    let known = json!({"person_id": "5742616694", "mobile": "09306007282"});
    let unknown = json!({"person_id": "1532386427", "mobile": "09121234567"});
    let replies = [&known, &known, &unknown, &unknown].map(|body| site.client.ask_personally_as("k", body));
    for (place, reply) in replies.iter().enumerate() {
        reply.problem(403, "mobile_mismatch");
        assert_eq!((&reply.text, reply.header("location")), (&replies[0].text, ""));
        assert_eq!(reply.header("idempotent-replay"), ["", "true"][place % 2]);
    }
}
