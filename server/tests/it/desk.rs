//! The 1420 desk: searching by person, and that each of its reads and searches is an entry before its answer leaves.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use engine::{Day, IdKind, PersonId};
use ledger::{Act, Deed, LedgerReader, RealDisk, Record, TrackingCode};
use serde_json::{Value, json};
use server::ServeSettings;

use crate::disk::Syncs;
use crate::site::{Setup, Site, ledger_keys};

const PERSON: &str = "5742616694";
const OTHER: &str = "6930154164";

/// Asks about a person; the tracking code.
fn asked(site: &Site, key: &str, person: &str) -> String {
    let reply = site.client.ask(key, &json!({ "person_id": person }));
    assert_eq!(reply.status, 201, "{reply:?}");
    reply.json()["tracking_code"].as_str().unwrap().to_owned()
}

/// The acts that are in the ledger.
fn acts(site: &Site) -> Vec<Act> {
    let disk = RealDisk::new(site.path("ledger"));
    let reader = LedgerReader::open(&disk, ledger_keys()).unwrap();
    assert!(reader.verify().fault.is_none());
    let records = reader.records().map(|placed| placed.unwrap().record);
    records.filter_map(|record| if let Record::Act(act) = record { Some(act) } else { None }).collect()
}

fn deeds(site: &Site) -> Vec<Deed> {
    acts(site).into_iter().map(|act| act.deed).collect()
}

fn codes(found: &Value) -> Vec<&str> {
    let inquiries = found["inquiries"].as_array().unwrap().iter();
    inquiries.map(|inquiry| inquiry["tracking_code"].as_str().unwrap()).collect()
}

#[test]
fn the_desk_finds_what_was_answered_about_a_person_the_newest_first() {
    let site = Site::usual();
    let mut given: Vec<String> = Vec::new();
    for key in [&site.keys.clinic, &site.keys.hospital, &site.keys.claims] {
        given.insert(0, asked(&site, key, PERSON));
        asked(&site, key, OTHER);
    }
    let reply = site.client.search(&site.keys.desk, &json!({ "person_id": PERSON }));
    assert_eq!((reply.status, reply.header("content-type")), (200, "application/json"), "{reply:?}");
    assert_eq!((reply.header("cache-control"), reply.header("content-language")), ("no-store", ""));
    let found = reply.json();
    let members =
        ["from", "from_jalali", "to", "to_jalali", "inquiries", "next_cursor", "segments_not_searchable"];
    crate::asking::check_members(&reply.text, &members);
    assert_eq!((&found["next_cursor"], &found["segments_not_searchable"]), (&Value::Null, &json!(0)));
    assert_eq!(codes(&found), given);
    for (inquiry, code) in found["inquiries"].as_array().unwrap().iter().zip(&given) {
        assert_eq!(*inquiry, site.client.look_up(&site.keys.desk, code).json(), "as under its code");
    }
    let day = |member: &str| Day::parse(found[member].as_str().unwrap()).unwrap();
    assert_eq!(day("from").plus(399), Some(day("to")), "the last 400 days");
    assert_eq!((day("from"), day("to")), (day("from_jalali"), day("to_jalali")));
}

#[test]
fn days_bound_a_search() {
    let site = Site::usual();
    asked(&site, &site.keys.clinic, PERSON);
    let today = server::today_in_tehran().unwrap();
    let shown = |days: i32| today.plus(days).unwrap().jalali_text().to_string();
    let found = |from: String, to: String| {
        let body = json!({ "person_id": PERSON, "from": from, "to": to });
        codes(&site.client.search(&site.keys.desk, &body).json()).len()
    };
    assert_eq!(found(shown(0), shown(1)), 1);
    assert_eq!(found(shown(-1), shown(0)), 1);
    assert_eq!((found(shown(1), shown(2)), found(shown(-9), shown(-1))), (0, 0));
}

#[test]
fn pages_stay_while_inquiries_arrive() {
    let site = Site::usual();
    let mut given: Vec<String> = (0..7).map(|_| asked(&site, &site.keys.clinic, PERSON)).collect();
    given.reverse();
    let (mut seen, mut cursor) = (Vec::new(), Value::Null);
    for page in 0..4 {
        let body = json!({ "person_id": PERSON, "limit": 2, "cursor": cursor });
        let found = site.client.search(&site.keys.desk, &body).json();
        seen.extend(codes(&found).into_iter().map(str::to_owned));
        asked(&site, &site.keys.hospital, PERSON);
        cursor = found["next_cursor"].clone();
        assert_eq!(cursor.is_null(), page == 3);
        if !cursor.is_null() {
            let other = json!({ "person_id": OTHER, "cursor": cursor });
            let refused = site.client.search(&site.keys.desk, &other).problem(422, "bad_cursor");
            assert_eq!(refused, "cursor:bad_cursor");
        }
    }
    assert_eq!(seen, given);
    let counts = deeds(&site).into_iter().map(|deed| match deed {
        Deed::DeskSearch { shown, skipped, .. } => (shown, skipped),
        other => panic!("{other:?}"),
    });
    assert_eq!(counts.collect::<Vec<_>>(), [(2, 0), (2, 2), (2, 4), (1, 6)], "a refused search is none");
}

#[test]
fn the_scope_of_the_desk_is_needed_and_no_other_implies_it() {
    let site = Site::usual();
    asked(&site, &site.keys.clinic, PERSON);
    let body = json!({ "person_id": PERSON });
    for key in [&site.keys.clinic, &site.keys.hospital, &site.keys.claims, &site.keys.ops] {
        site.client.search(key, &body).problem(403, "missing_scope");
    }
    site.client.search("desk-1420.x", &body).problem(401, "unauthorized");
    let json = [("Content-Type", "application/json")];
    site.client.post("/v1/desk/search", &json, body.to_string().as_bytes()).problem(401, "unauthorized");
    let get = site.client.get("/v1/desk/search", &[]);
    get.problem(405, "method_not_allowed");
    assert_eq!(get.header("allow"), "POST");
    assert_eq!(acts(&site), []);
}

#[test]
fn all_faulty_fields_are_told_at_once_and_nothing_is_written() {
    let site = Site::usual();
    let search = |body: &str| {
        let authorization = format!("Bearer {}", site.keys.desk);
        let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
        site.client.post("/v1/desk/search", &headers, body.as_bytes())
    };
    search("{").problem(400, "malformed_json");
    assert_eq!(
        search(r#"{"care":1,"x":2}"#).problem(400, "unknown_field"),
        "care:unknown_field x:unknown_field"
    );
    assert_eq!(search("{}").problem(422, "required"), "person_id:required");
    let body = r#"{"person_id":"1234567890","from":"1405/13/01","to":7,"limit":101,"cursor":[]}"#;
    let all = "person_id:bad_check_digit from:bad_date to:bad_type limit:bad_limit cursor:bad_type";
    assert_eq!(search(body).problem(422, "bad_check_digit"), all);
    let long = format!(r#"{{"person_id":"{PERSON}","from":"2020-01-01","cursor":"x"}}"#);
    assert_eq!(search(&long).problem(422, "bad_span"), "from:bad_span cursor:bad_cursor");
    assert!(!search(&long).text.contains(PERSON));
    assert_eq!(acts(&site), []);
}

#[test]
fn each_read_and_search_of_the_desk_is_an_entry() {
    let site = Site::usual();
    let code = asked(&site, &site.keys.clinic, PERSON);
    site.client.look_up(&site.keys.clinic, &code);
    assert_eq!(acts(&site), [], "a provider sees its own answer again");
    site.client.look_up(&site.keys.desk, "1").problem(404, "not_found");
    assert_eq!(acts(&site), [], "nothing was read");
    let disk = RealDisk::new(site.path("ledger"));
    let reader = LedgerReader::open(&disk, ledger_keys()).unwrap();
    let found = reader.find(&TrackingCode::parse(&code).unwrap()).unwrap().unwrap();
    let read = Deed::DeskRead { ledger: 1, sequence: found.sequence, revealed: true };
    for reads in 1..=2 {
        assert_eq!(site.client.look_up(&site.keys.desk, &code).status, 200);
        assert_eq!(deeds(&site), vec![read; reads]);
    }
    assert_eq!(acts(&site)[0].actor.as_str(), "desk-1420");
    // Of somebody unknown, of whom nothing is shown, as well.
    let foreign = PersonId::parse(IdKind::Foreign, "12345678").unwrap();
    let body = json!({ "person_id": "12345678", "id_kind": "foreign", "to": "2026-11-01" });
    let none = site.client.search(&site.keys.desk, &body);
    assert_eq!(none.json()["inquiries"], json!([]));
    let day = |text| Day::parse(text).unwrap();
    let (first_day, last_day) = (day("2025-09-28"), day("2026-11-01"));
    let search = Deed::DeskSearch { person: foreign.into(), first_day, last_day, shown: 0, skipped: 0 };
    assert_eq!(deeds(&site), [read, read, search]);
    assert!(
        site.client
            .get("/metrics", &[])
            .text
            .lines()
            .any(|line| { line == "estehqaq_requests_total{endpoint=\"desk_search\",class=\"2xx\"} 1" })
    );
}

#[test]
fn a_mismatch_is_found_and_its_code_goes_to_nobody() {
    let site = Site::usual();
    let body = json!({ "person_id": PERSON, "mobile": "09306007282" });
    site.client.ask_personally(&body).problem(403, "mobile_mismatch");
    let found = site.client.search(&site.keys.desk, &json!({ "person_id": PERSON })).json();
    let inquiry = &found["inquiries"][0];
    assert_eq!((&inquiry["status"], &inquiry["channel"]), (&json!("mobile_mismatch"), &json!("personal")));
    assert_eq!((&inquiry["tracking_code"], &inquiry["person_id"]), (&Value::Null, &json!(PERSON)));
}

#[test]
fn answers_of_the_desk_wait_for_the_sync_of_their_entry() {
    let site = Site::usual();
    let code = asked(&site, &site.keys.clinic, PERSON);
    let search = || site.client.search(&site.keys.desk, &json!({ "person_id": PERSON }));
    let look_up = || site.client.look_up(&site.keys.desk, &code);
    let both: [&(dyn Fn() -> crate::client::Reply + Sync); 2] = [&search, &look_up];
    for ask in both {
        site.disk.set(Syncs::Wait);
        let answered = AtomicBool::new(false);
        thread::scope(|scope| {
            let asking = scope.spawn(|| {
                let reply = ask();
                answered.store(true, Ordering::SeqCst);
                reply.status
            });
            thread::sleep(Duration::from_millis(300));
            assert!(!answered.load(Ordering::SeqCst), "an answer left before its entry was stored");
            site.disk.set(Syncs::Work);
            assert_eq!(asking.join().unwrap(), 200);
        });
    }
    assert_eq!(deeds(&site).len(), 2);
    site.disk.set(Syncs::Fail);
    for ask in both {
        let reply = ask();
        reply.problem(503, "unavailable");
        assert!(!reply.text.contains(PERSON) && !reply.text.contains("clinic-1"), "{reply:?}");
    }
    // The provider's own answer needs no entry.
    assert_eq!(site.client.look_up(&site.keys.clinic, &code).status, 200);
}

#[test]
fn beyond_the_searches_that_may_be_under_way_there_is_503() {
    let mut setup = Setup::usual();
    setup.settings = ServeSettings { desk_searches_max: 0, ..setup.settings };
    let site = setup.start();
    let reply = site.client.search(&site.keys.desk, &json!({ "person_id": PERSON }));
    reply.problem(503, "unavailable");
    assert_eq!(reply.header("retry-after"), "1");
    assert_eq!(acts(&site), []);
    let code = asked(&site, &site.keys.clinic, PERSON);
    assert_eq!(
        site.client.look_up(&site.keys.desk, &code).status,
        200,
        "reads by code are not bounded by it"
    );
}

/// Many desks at once, each with an entry of its own, while inquiries go on; what was let in is let out again.
#[test]
fn searches_beside_inquiries_each_leave_one_entry() {
    let site = Site::usual();
    let body = json!({ "person_id": PERSON });
    let answered: usize = thread::scope(|scope| {
        let asking = scope.spawn(|| (0..40).for_each(|_| drop(asked(&site, &site.keys.clinic, PERSON))));
        let searching: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let replies = (0..20).map(|_| site.client.search(&site.keys.desk, &body));
                    let done = |status: u16| {
                        assert!(matches!(status, 200 | 503), "{status}");
                        status == 200
                    };
                    replies.filter(|reply| done(reply.status)).count()
                })
            })
            .collect();
        asking.join().unwrap();
        searching.into_iter().map(|searching| searching.join().unwrap()).sum()
    });
    assert!(answered > 0);
    assert_eq!(deeds(&site).len(), answered);
    assert_eq!(site.client.search(&site.keys.desk, &body).status, 200);
}
