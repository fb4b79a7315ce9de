//! A stop: what is under way ends, idle connections do not hold it up, and the ledger closes cleanly.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use ledger::{Ledger, Options, RealDisk};
use serde_json::json;

use crate::disk::Syncs;
use crate::site::{Site, ledger_keys, some_entry, wait_until};

#[test]
fn a_request_under_way_is_answered_and_an_idle_connection_does_not_matter() {
    let mut site = Site::usual();
    let address = site.address();
    let mut idle = TcpStream::connect(address).unwrap();
    idle.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut head = [0; 12];
    idle.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    let running = site.take();
    site.disk.set(Syncs::Wait);
    thread::scope(|scope| {
        let asking =
            scope.spawn(|| site.client.ask(&site.keys.clinic, &json!({"person_id": "5742616694"})).status);
        wait_until("the request waits for its sync", || running.ledger_stats().waiting == 1);
        let stopping = scope.spawn(|| {
            let began = Instant::now();
            running.stop().unwrap();
            began.elapsed()
        });
        thread::sleep(Duration::from_millis(500));
        let waited = !stopping.is_finished() && !asking.is_finished();
        site.disk.set(Syncs::Work); // Before anything can fail: a held disk would hold the test.
        assert!(waited, "the stop did not wait for the request under way");
        assert_eq!(asking.join().unwrap(), 201);
        assert!(stopping.join().unwrap() < Duration::from_secs(10), "the idle connection held the stop up");
    });
    assert!(TcpStream::connect(address).is_err(), "still listening");
}

#[test]
fn after_a_stop_the_ledger_goes_on_without_a_gap() {
    let mut site = Site::usual();
    assert_eq!(site.client.ask(&site.keys.clinic, &json!({"person_id": "5742616694"})).status, 201);
    site.take().stop().unwrap();
    let disk = RealDisk::new(site.path("ledger"));
    let ledger = Ledger::open(&disk, ledger_keys(), Options::default()).unwrap();
    assert!(ledger.is_writable());
    let sequence = ledger.append(some_entry()).unwrap().wait().unwrap().sequence;
    assert!(sequence < 65_536, "the ledger took the end for an unclean one: {sequence}");
}

#[test]
fn a_service_that_cannot_listen_says_where() {
    let site = Site::usual();
    let other = Site::usual();
    let mut settings = crate::site::Setup::usual().settings;
    settings.listen = site.address();
    drop(other);
    let folder = tempfile::tempdir().unwrap();
    let ledger = {
        let real = RealDisk::create(folder.path().join("ledger")).unwrap();
        Ledger::open_or_init(&real, 1, ledger_keys(), Options::default()).unwrap()
    };
    let parts = server::Parts {
        snapshots_dir: site.path("snapshots"),
        mobile_keys: Vec::new(),
        ledger,
        providers_file: site.path("providers.toml"),
    };
    let error = server::start(&settings, parts, |_| {}).err().unwrap().to_string();
    assert!(error.starts_with(&format!("cannot listen on {}", site.address())), "{error}");
}
