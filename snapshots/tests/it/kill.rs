//! A builder that publishes, goes back and prunes on the real disk, killed with SIGKILL at random moments: what is current
//! is what it told last or what it was about to make current, every generation opens, and the next builder goes on.
//!
//! The child is this test binary, told by an environment variable to be one. `ESTEHQAQ_TEST_KILLS` sets the number of
//! kills: 200 for the record, fewer otherwise.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use snapshots::{Event, GenerationName, JournalLine, Store, open_generation, read_current};

use crate::support::{build_file, mobile_key, write_extracts};

const FOLDER: &str = "ESTEHQAQ_TEST_SNAPSHOTS_OF_CHILD";
const FIRST: &str = "ESTEHQAQ_TEST_FIRST_EXTRACT_OF_CHILD";
const EXTRACTS: usize = 8;
const PEOPLE: u32 = 3000;

fn snapshots(folder: &Path) -> PathBuf {
    folder.join("snapshots")
}

/// What the child does; nothing when run as a test.
#[test]
fn child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let folder = Path::new(&folder);
    let store = Store::new(&snapshots(folder), "child");
    let tell = |current: &str| writeln!(std::io::stdout().lock(), "current {current}").unwrap();
    for night in std::env::var(FIRST).unwrap().parse::<usize>().unwrap().. {
        let extract = folder.join(format!("{}.csv", night % EXTRACTS));
        tell(&build_file(&extract, &snapshots(folder)).unwrap().generation);
        match night % 5 {
            1 => drop(store.prune(1, None).unwrap()),
            // Nothing to go back to is no fault: the one before may have been pruned or taken back.
            3 => drop(store.rollback(None, None).map(|done| tell(&done.to.to_string()))),
            _ => {}
        }
    }
}

/// Runs a child for that long; what it told was current, last. A line that the kill cut short does not count.
fn run_and_kill(folder: &Path, first: u64, lifetime: Duration) -> Option<GenerationName> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["kill::child", "--exact", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .env(FIRST, first.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let told = thread::spawn(move || {
        let mut told = String::new();
        stdout.read_to_string(&mut told).unwrap();
        told
    });
    thread::sleep(lifetime);
    // `kill` is SIGKILL on Unix.
    child.kill().unwrap();
    child.wait().unwrap();
    let told = told.join().unwrap();
    let whole = told.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let last = whole.lines().filter_map(|line| line.split_once("current ")).next_back();
    last.map(|(_, name)| name.trim().parse().unwrap())
}

/// The last transition that changed what is current: from what, to what.
fn last_switch(journal: &[JournalLine]) -> Option<(Option<GenerationName>, GenerationName)> {
    journal.iter().rev().find_map(|line| match line.event {
        _ if journal
            .get(line.seq as usize)
            .is_some_and(|next| next.event == Event::Abandoned { of: line.seq }) =>
        {
            None
        }
        Event::Published { generation, before, .. } => Some((before, generation)),
        Event::RolledBack { generation, to } => Some((Some(generation), to)),
        _ => None,
    })
}

/// The folder as the killed child left it, and after a command that only mends.
fn check(folder: &Path, told: Option<GenerationName>) -> GenerationName {
    let snapshots = snapshots(folder);
    let current = read_current(&snapshots).unwrap();
    let store = Store::new(&snapshots, "tester");
    for listed in store.list().unwrap() {
        open_generation(&snapshots, &listed.generation, &[mobile_key()]).unwrap();
    }
    store.prune(usize::MAX, None).unwrap();
    assert_eq!(read_current(&snapshots).unwrap(), current, "mending changes no state");
    let (before, after) = last_switch(&store.journal().unwrap()).unwrap();
    assert_eq!(current, after, "the journal tells what is current");
    assert!(
        told.is_none() || told == Some(current) || told == before,
        "{told:?} was told, {current} is current"
    );
    current
}

#[test]
fn a_builder_that_is_killed_leaves_the_old_or_the_new_state() {
    let kills = std::env::var("ESTEHQAQ_TEST_KILLS").map_or(5, |kills| kills.parse().unwrap());
    // Under the target folder, not in /tmp: that may be memory.
    let dir = tempfile::tempdir_in(PathBuf::from(env!("CARGO_TARGET_TMPDIR"))).unwrap();
    let seed: u64 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos().into();
    println!("seed {seed}");
    write_extracts(dir.path(), EXTRACTS, PEOPLE);
    let began = Instant::now();
    build_file(&dir.path().join("0.csv"), &snapshots(dir.path())).unwrap();
    let usual = began.elapsed();
    let (mut random, mut current, mut switches, mut unfinished) = (seed, None, 0, 0);
    for _ in 0..kills {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let lifetime = usual.mul_f64((random >> 33) as f64 / f64::from(1_u32 << 31) * 4.0);
        let told = run_and_kill(dir.path(), random >> 40, lifetime);
        unfinished += u32::from(names(dir.path()).iter().any(|name| name.starts_with(".building-")));
        let found = check(dir.path(), told.or(current));
        switches += u32::from(current.replace(found) != Some(found));
    }
    let report = build_file(&dir.path().join("1.csv"), &snapshots(dir.path())).unwrap();
    assert_eq!(check(dir.path(), None).to_string(), report.generation);
    let left_behind: Vec<_> = names(dir.path())
        .into_iter()
        .filter(|name| name.starts_with('.') && !name.ends_with("lock"))
        .collect();
    assert_eq!(left_behind, [""; 0]);
    println!(
        "{kills} kills, {unfinished} in the middle of a build, {switches} after something else was current"
    );
}

fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(snapshots(folder)).unwrap();
    names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}
