//! The state machine on a real folder: built, published, retired, rolled back, pruned, and the journal of it.

use std::fs;
use std::path::{Path, PathBuf};

use snapshots::{BuildError, Event, GenerationName, PublishOptions, State, Store, StoreError, read_current};
use tempfile::TempDir;

use crate::support::{HEADER, build_with};

/// A snapshots folder with one generation for each of these days, published in that order.
pub(crate) fn published(days: &[&str]) -> (TempDir, Vec<GenerationName>) {
    let dir = tempfile::tempdir().unwrap();
    let extract = dir.path().join("extract.csv");
    let rows = "N,68415941,insured,self,,1400/1/1,,,,,,,\nN,0499370899,pensioner,self,,1400/2/1,,,,,,,\n";
    fs::write(&extract, format!("{HEADER}\n{rows}")).unwrap();
    let names = days.iter().map(|day| build_day(&extract, &snapshots(&dir), day)).collect();
    (dir, names)
}

pub(crate) fn snapshots(dir: &TempDir) -> PathBuf {
    dir.path().join("snapshots")
}

fn build_day(extract: &Path, snapshots: &Path, day: &str) -> GenerationName {
    let as_of = engine::Day::parse(day).unwrap();
    let report = build_with(extract, snapshots, |options| options.as_of = as_of).unwrap();
    report.generation.parse().unwrap()
}

fn store(dir: &TempDir) -> Store {
    Store::new(&snapshots(dir), "tester")
}

#[track_caller]
fn check_states(store: &Store, expected: &[(&GenerationName, State)]) {
    let listed = store.list().unwrap();
    let found: Vec<_> = listed.iter().map(|listed| (&listed.generation, listed.state)).collect();
    assert_eq!(found, expected);
}

#[test]
fn each_generation_is_in_one_state_and_the_journal_tells_how_it_came_there() {
    let (dir, names) = published(&["2026-11-20", "2026-11-21", "2026-11-22"]);
    let [a, b, c] = &names[..] else { panic!() };
    let store = store(&dir);
    check_states(&store, &[(a, State::Retired), (b, State::Retired), (c, State::Published)]);
    let rolled_back = store.rollback(None, Some("bad dates".to_owned())).unwrap();
    assert_eq!((rolled_back.generation, rolled_back.to), (*c, *b));
    assert_eq!(read_current(&snapshots(&dir)).unwrap(), *b);
    check_states(&store, &[(a, State::Retired), (b, State::Published), (c, State::RolledBack)]);
    let journal = store.journal().unwrap();
    assert_eq!(journal.len(), 7);
    let last = journal.last().unwrap();
    assert_eq!((last.seq, last.by.as_str(), last.why.as_deref()), (7, "tester", Some("bad dates")));
    assert_eq!(last.event, Event::RolledBack { generation: *c, to: *b });
    assert_eq!(store.rollback(Some(*a), None).unwrap().to, *a);
    let error = store.rollback(None, None).unwrap_err().to_string();
    assert!(error.contains("no generation to go back to") && error.contains("snapshot build"), "{error}");
    for (to, state) in [(*b, "rolled_back"), (*a, "published")] {
        let error = store.rollback(Some(to), None).unwrap_err().to_string();
        assert!(error.contains(&format!("which is {state}")), "{error}");
    }
}

#[test]
fn what_was_rolled_back_is_not_published_again_by_accident() {
    let (dir, names) = published(&["2026-11-21", "2026-11-22"]);
    let store = store(&dir);
    store.rollback(None, Some("bad dates".to_owned())).unwrap();
    let limits = PublishOptions::default();
    let error = store.publish(&names[1], &limits).unwrap_err().to_string();
    assert!(error.contains("rolled back before (bad dates)") && error.contains("--accept"), "{error}");
    // Neither by building the same again, nor after it was pruned.
    let rebuild = |dir: &TempDir| build_with(&dir.path().join("extract.csv"), &snapshots(dir), |_| {});
    assert!(matches!(rebuild(&dir), Err(BuildError::Refused { .. })));
    assert_eq!(store.prune(0, None).unwrap(), [names[1]]);
    assert!(matches!(rebuild(&dir), Err(BuildError::Refused { .. })));
    check_states(&store, &[(&names[0], State::Published), (&names[1], State::RolledBack)]);
    let accept = PublishOptions { accept: Some("it was right after all".to_owned()), ..limits };
    store.publish(&names[1], &accept).unwrap();
    check_states(&store, &[(&names[0], State::Retired), (&names[1], State::Published)]);
    let publication = snapshots::read_publication(&snapshots(&dir), &names[1]).unwrap();
    let accepted = publication.accepted.unwrap();
    assert_eq!((accepted.reason.as_str(), accepted.by.as_str()), ("it was right after all", "tester"));
    assert_eq!(accepted.gates, [snapshots::Gate::RolledBack]);
}

#[test]
fn prune_keeps_the_current_one_and_some_of_each_state() {
    let (dir, names) = published(&["2026-11-19", "2026-11-20", "2026-11-21", "2026-11-22"]);
    let store = store(&dir);
    store.rollback(None, None).unwrap();
    assert_eq!(store.prune(1, Some("room".to_owned())).unwrap(), [names[0]]);
    check_states(
        &store,
        &[(&names[1], State::Retired), (&names[2], State::Published), (&names[3], State::RolledBack)],
    );
    assert!(store.prune(1, None).unwrap().is_empty());
    assert_eq!(store.prune(0, None).unwrap(), [names[1], names[3]]);
    check_states(&store, &[(&names[2], State::Published)]);
    let left: Vec<_> =
        fs::read_dir(snapshots(&dir)).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().contains("removing")), "{left:?}");
}

#[test]
fn a_generation_that_is_not_whole_is_not_gone_to() {
    let (dir, names) = published(&["2026-11-21", "2026-11-22"]);
    let store = store(&dir);
    let folder = snapshots(&dir).join(names[0].to_string());
    let permissions = |mode| std::os::unix::fs::PermissionsExt::from_mode(mode);
    fs::set_permissions(&folder, permissions(0o700)).unwrap();
    fs::set_permissions(folder.join("records.bin"), permissions(0o600)).unwrap();
    fs::write(folder.join("records.bin"), "short").unwrap();
    let error = store.rollback(None, None).unwrap_err().to_string();
    assert!(error.contains("records.bin has 5 bytes instead of"), "{error}");
    assert_eq!(read_current(&snapshots(&dir)).unwrap(), names[1]);
    let unknown: GenerationName = "2026-11-22-000000000000".parse().unwrap();
    let error = store.publish(&unknown, &PublishOptions::default()).unwrap_err();
    assert!(matches!(error, StoreError::Unknown { .. }), "{error}");
}

#[test]
fn a_damaged_journal_stops_changes_and_says_so() {
    let (dir, names) = published(&["2026-11-21", "2026-11-22"]);
    let store = store(&dir);
    let path = snapshots(&dir).join("journal.ndjson");
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, whole.replacen("built", "bulit", 1)).unwrap();
    let error = store.rollback(None, None).unwrap_err().to_string();
    assert!(error.contains("journal.ndjson is damaged in line 1"), "{error}");
    assert_eq!(read_current(&snapshots(&dir)).unwrap(), names[1]);
    // A line that was cut off in the middle was never acknowledged.
    fs::write(&path, format!("{whole}{{\"seq\":5,\"at")).unwrap();
    store.rollback(None, None).unwrap();
    assert_eq!(store.journal().unwrap().len(), 5);
    assert_eq!(fs::read_to_string(snapshots(&dir).join("journal.torn")).unwrap(), "{\"seq\":5,\"at");
}

/// As commands and the admin endpoints of several services do: each opens the folder by itself.
#[test]
fn many_who_switch_at_once_leave_one_history() {
    let (dir, names) = published(&["2026-11-19", "2026-11-20", "2026-11-21", "2026-11-22"]);
    let dir = &snapshots(&dir);
    let options = PublishOptions { accept: Some("a test".to_owned()), ..Default::default() };
    std::thread::scope(|scope| {
        for (number, name) in names.iter().enumerate() {
            let options = &options;
            scope.spawn(move || {
                let store = Store::new(dir, format!("operator {number}"));
                for turn in 0..10 {
                    store.publish(name, options).unwrap();
                    if turn % 3 == number % 3 {
                        // Nothing to go back to is no fault: all others may have been taken back.
                        let _ = store.rollback(None, None);
                    }
                    let listed = store.list().unwrap();
                    let published = listed.iter().filter(|listed| listed.state == State::Published).count();
                    assert_eq!(published, 1, "{listed:?}");
                }
            });
        }
    });
    let (mut current, mut switches) = (None, 0);
    for line in Store::new(dir, "tester").journal().unwrap() {
        switches += 1;
        match line.event {
            Event::Built { .. } => {}
            Event::Published { generation, before, .. } => {
                assert_eq!(before, current, "line {}", line.seq);
                current = Some(generation);
            }
            Event::RolledBack { generation, to } => {
                assert_eq!(Some(generation), current, "line {}", line.seq);
                current = Some(to);
            }
            event => panic!("{event:?}"),
        }
    }
    assert_eq!(read_current(dir).ok(), current);
    assert!(switches > 20, "{switches}");
}
