//! A process under load on the real disk, killed with SIGKILL at random moments: each code that it printed
//! before is found afterwards, with the entry that it was given out for.
//!
//! The child is this test binary, told by an environment variable to be one.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ledger::sim::Random;
use ledger::{Ledger, LedgerReader, Options, RealDisk, TrackingCode};

use crate::support::{LEDGER, entry, keys};

const FOLDER: &str = "ESTEHQAQ_TEST_LEDGER_OF_CHILD";
const FIRST: &str = "ESTEHQAQ_TEST_FIRST_ENTRY_OF_CHILD";
const KILLS: u64 = 50;
const THREADS: u64 = 8;
/// Entries that one child may append: its numbers begin at a multiple of this.
const CHILD_ENTRIES: u64 = 1_000_000;

fn open(folder: &Path) -> Ledger {
    let options = Options {
        segment_len_min_bytes: 64 * 1024,
        segment_len_max_bytes: 1024 * 1024,
        ..Options::default()
    };
    Ledger::open_or_init(&RealDisk::new(folder), LEDGER, keys(), options).unwrap()
}

/// What the child does; nothing when run as a test.
#[test]
fn child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let ledger = open(Path::new(&folder));
    let next = AtomicU64::new(std::env::var(FIRST).unwrap().parse().unwrap());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    let code = ledger.append(entry(n)).unwrap().wait().unwrap().tracking_code;
                    let line = format!("acknowledged {code} {n}\n");
                    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
                }
            });
        }
    });
}

/// Runs a child for that long; what it acknowledged. A line that the kill cut short does not count.
fn run_and_kill(folder: &Path, first: u64, lifetime: Duration) -> Vec<(TrackingCode, u64)> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["kill::child", "--exact", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .env(FIRST, first.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let lines = std::thread::spawn(move || {
        let (mut lines, mut line) = (Vec::new(), String::new());
        while stdout.read_line(&mut line).unwrap() > 0 && line.ends_with('\n') {
            lines.push(std::mem::take(&mut line));
        }
        lines
    });
    std::thread::sleep(lifetime);
    // `kill` is SIGKILL on Unix.
    child.kill().unwrap();
    child.wait().unwrap();
    let lines = lines.join().unwrap();
    let codes = lines.iter().filter_map(|line| line.split_once("acknowledged ")?.1.trim().split_once(' '));
    codes.map(|(code, n)| (TrackingCode::parse(code).unwrap(), n.parse().unwrap())).collect()
}

fn check(folder: &Path, acknowledged: &[(TrackingCode, u64)], from: usize) {
    let ledger = open(folder);
    for (code, n) in &acknowledged[from..] {
        let found = ledger.find(code).unwrap().unwrap_or_else(|| panic!("{code} is lost"));
        assert_eq!(found.entry, entry(*n), "{code}");
    }
}

#[test]
fn killed_at_random_moments_under_load() {
    // Under the target folder, not in /tmp: that may be memory.
    let folder = tempfile::tempdir_in(PathBuf::from(env!("CARGO_TARGET_TMPDIR"))).unwrap();
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos().into();
    println!("seed {seed}");
    let (mut random, mut acknowledged) = (Random(seed), Vec::new());
    for kill in 0..KILLS {
        let before = acknowledged.len();
        let lifetime = Duration::from_micros(random.number() % 120_000);
        acknowledged.extend(run_and_kill(folder.path(), kill * CHILD_ENTRIES, lifetime));
        check(folder.path(), &acknowledged, before);
    }
    check(folder.path(), &acknowledged, 0);
    assert!(acknowledged.len() > 1000, "only {} entries were acknowledged", acknowledged.len());
    let reader = LedgerReader::open(&RealDisk::new(folder.path()), keys()).unwrap();
    let mut inquiries = 0;
    for found in reader.entries() {
        let found = found.unwrap();
        let n = found.entry.time_ms - entry(0).time_ms;
        assert_eq!(found.entry, entry(n), "invented");
        inquiries += 1;
    }
    assert!(inquiries >= acknowledged.len(), "{inquiries} entries, {} acknowledged", acknowledged.len());
    println!("{} acknowledged, {inquiries} found in {KILLS} lives", acknowledged.len());
}
