//! A new generation, and a changed providers file, while the service answers.

use std::collections::HashSet;
use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use serde_json::json;
use server::{NewProvider, Ownership, ProviderKind, Scope, add_provider};

use crate::client::Client;
use crate::site::{AS_OF, Site, logged, publish, wait_until};

#[test]
fn a_new_generation_is_swapped_in_without_a_failed_request() {
    let site = Site::usual();
    let first = site.client.get("/readyz", &[]).json()["snapshot"].as_str().unwrap().to_owned();
    let (done, answers) = (AtomicBool::new(false), AtomicUsize::new(0));
    let seen = Mutex::new(HashSet::new());
    let second = thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let client = Client::new(site.address());
                while !done.load(Ordering::SeqCst) {
                    let reply = client.ask(&site.keys.clinic, &json!({"person_id": "5742616694"}));
                    assert_eq!(reply.status, 201, "{reply:?}");
                    let answer = reply.json();
                    let (name, as_of) =
                        (answer["snapshot"].as_str().unwrap(), answer["as_of"].as_str().unwrap());
                    assert!(name.starts_with(as_of), "{reply:?}");
                    seen.lock().unwrap().insert(name.to_owned());
                    answers.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        wait_until("the first answers are in", || answers.load(Ordering::SeqCst) > 100);
        let second = publish(&site.path("snapshots"), "2026-11-23");
        wait_until("the new generation is in", || seen.lock().unwrap().contains(&second));
        done.store(true, Ordering::SeqCst);
        second
    });
    assert_eq!(seen.into_inner().unwrap(), HashSet::from([first, second]));
}

#[test]
fn a_refused_generation_keeps_the_one_before_and_a_rollback_works() {
    let site = Site::usual();
    let snapshots = site.path("snapshots");
    let first = fs::read_to_string(snapshots.join("CURRENT")).unwrap();
    fs::write(snapshots.join("CURRENT"), "2026-11-23-abcdefabcdef\n").unwrap();
    for _ in 0..3 {
        site.running().look_now();
        thread::sleep(std::time::Duration::from_millis(100));
    }
    let line = ["kept the generation before", "2026-11-23-abcdefabcdef", snapshots.to_str().unwrap()];
    assert_eq!(logged(&line), 1, "a refusal is logged once");
    let ready = site.client.get("/readyz", &[]);
    assert_eq!((ready.status, &ready.json()["snapshot"]), (200, &json!(first.trim())));
    fs::remove_file(snapshots.join("CURRENT")).unwrap();
    site.running().look_now();
    thread::sleep(std::time::Duration::from_millis(200));
    assert_eq!(site.client.ask(&site.keys.clinic, &json!({"person_id": "5742616694"})).status, 201);

    let second = publish(&snapshots, "2026-11-23");
    let serving = || site.client.get("/readyz", &[]).json()["snapshot"].as_str().unwrap().to_owned();
    wait_until("the second generation is in", || serving() == second);
    fs::write(snapshots.join("CURRENT"), &first).unwrap();
    wait_until("the first is back", || serving() == first.trim());
    assert_eq!(AS_OF, &first[..10]);
}

#[test]
fn a_damaged_generation_is_refused() {
    let site = Site::usual();
    let snapshots = site.path("snapshots");
    let first = fs::read_to_string(snapshots.join("CURRENT")).unwrap();
    let second = publish(&site.path("elsewhere"), "2026-11-23");
    let (from, to) = (site.path("elsewhere").join(&second), snapshots.join(&second));
    fs::create_dir(&to).unwrap();
    for file in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let mut bytes = fs::read(file.path()).unwrap();
        let middle = bytes.len() / 2;
        if file.file_name() != "content.json" {
            bytes[middle] ^= 1;
        }
        fs::write(to.join(file.file_name()), bytes).unwrap();
    }
    fs::write(snapshots.join("CURRENT"), format!("{second}\n")).unwrap();
    site.running().look_now();
    thread::sleep(std::time::Duration::from_millis(200));
    assert_eq!(site.client.get("/readyz", &[]).json()["snapshot"], first.trim());
}

#[test]
fn a_changed_providers_file_is_taken_and_a_broken_one_is_not() {
    let site = Site::usual();
    let path = site.path("providers.toml");
    let before = fs::read_to_string(&path).unwrap();
    let new = NewProvider {
        id: "new".to_owned(),
        name: "new".to_owned(),
        kind: ProviderKind::Clinic,
        ownership: Ownership::Owned,
        scopes: vec![Scope::Inquire],
    };
    let key = add_provider(&path, &new).unwrap();
    let status = |key: &str| site.client.ask(key, &json!({"person_id": "5742616694"})).status;
    wait_until("the new key works", || status(key.reveal()) == 201);
    fs::write(&path, "broken").unwrap();
    site.running().look_now();
    thread::sleep(std::time::Duration::from_millis(200));
    assert_eq!(status(key.reveal()), 201, "a broken file changes nothing");
    fs::write(&path, before).unwrap();
    wait_until("the removed key is refused", || status(key.reveal()) == 401);
    assert_eq!(status(&site.keys.clinic), 201);
}
