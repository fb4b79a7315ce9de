//! Whether two results may be held against each other: what must be alike but for the server, and what a reader of the
//! comparison has to know all the same. Pure.

use crate::host::{HostFacts, SameMachines};
use crate::result::{Provenance, RunResult};

/// What must be alike and is not: a comparison that nobody allowed is refused for it.
pub(crate) fn differences(a: &RunResult, b: &RunResult) -> Vec<String> {
    let mut found: Vec<String> = machines(&a.provenance, &b.provenance).into_iter().collect();
    let mut check = |same: bool, what: &str| {
        if !same {
            found.push(what.to_owned());
        }
    };
    check(a.provenance.scenario.blake3 == b.provenance.scenario.blake3, "scenario");
    check(a.targets.blake3 == b.targets.blake3, "targets");
    check(a.mode == b.mode, "mode");
    check(a.connections_configured == b.connections_configured, "number of connections");
    let timeouts = a.timeout_ms.zip(b.timeout_ms);
    check(timeouts.is_none_or(|(a, b)| a == b), "timeout");
    check(part(a) == part(b), "part of the schedule (--shard)");
    if ended_early(a) != ended_early(b) {
        found.push(format!("how they ended (a by {}, b by {})", a.ended_by, b.ended_by));
    }
    found
}

/// What is found between one result and each of the others, once.
pub(crate) fn over_all<'a>(
    found: fn(&RunResult, &RunResult) -> Vec<String>,
    first: &RunResult,
    others: impl Iterator<Item = &'a RunResult>,
) -> Vec<String> {
    let mut all = Vec::new();
    for what in others.flat_map(|other| found(first, other)) {
        if !all.contains(&what) {
            all.push(what);
        }
    }
    all
}

fn machines(a: &Provenance, b: &Provenance) -> Option<String> {
    match HostFacts::compare(&a.hosts, &b.hosts) {
        SameMachines::Same | SameMachines::Unknown => None,
        SameMachines::OtherKind => Some(format!("machine (a: {}; b: {})", a.machines(), b.machines())),
        SameMachines::OtherOnes => {
            let which =
                |p: &Provenance| p.hosts.iter().map(HostFacts::machine).collect::<Vec<_>>().join(" and ");
            Some(format!("machine (of the same kind: a is {}, b is {})", which(a), which(b)))
        }
    }
}

/// The shards there, of how many, in lowest terms: a whole is a whole however it was dealt out.
fn part(run: &RunResult) -> (u64, u64) {
    let (there, count) = (run.shard.numbers.len() as u64, u64::from(run.shard.count));
    if there == count { (1, 1) } else { (there, count) }
}

/// A run that was ended early holds another mix of stages, and its worst moments may be what is missing.
fn ended_early(run: &RunResult) -> bool {
    matches!(run.ended_by.as_str(), "goal_missed" | "interrupted")
}

/// What is told and refuses nothing.
pub(crate) fn notes(a: &RunResult, b: &RunResult) -> Vec<String> {
    let mut notes = Vec::new();
    if HostFacts::compare(&a.provenance.hosts, &b.provenance.hosts) == SameMachines::Unknown {
        let unknown = |p: &Provenance| p.hosts.iter().any(|host| host.machine() == "unknown");
        let of = sides(unknown(&a.provenance), unknown(&b.provenance));
        notes.push(format!(
            "which machine measured {of} is not known: the two may be different ones of the same kind"
        ));
    }
    notes.extend(builds(&a.provenance, &b.provenance));
    if a.client.machine_stalls_raised_priority != b.client.machine_stalls_raised_priority {
        notes.push(
            "the machine's stalls were watched at different priorities: they mean different things"
                .to_owned(),
        );
    }
    if a.client.senders_raised_priority != b.client.senders_raised_priority {
        notes.push("the senders ran at different priorities".to_owned());
    }
    notes
}

/// Another build of loadgen may measure otherwise; whether it does is for the reader to say.
fn builds(a: &Provenance, b: &Provenance) -> Option<String> {
    let build = |p: &Provenance| format!("{} ({})", p.loadgen_version, p.built_from());
    let changed = |p: &Provenance| p.commit.as_ref().is_none_or(|commit| commit.ends_with("-dirty"));
    if (&a.loadgen_version, &a.commit) != (&b.loadgen_version, &b.commit) {
        return Some(format!("measured by different builds of loadgen: a {}, b {}", build(a), build(b)));
    }
    changed(a).then(|| {
        format!("the builds of loadgen may differ: {} does not tell what they were made from", build(a))
    })
}

fn sides(a: bool, b: bool) -> &'static str {
    match (a, b) {
        (true, true) => "a and b",
        (true, false) => "a",
        _ => "b",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::sample_run;

    /// A change to b alone: what is refused, and what is told.
    #[track_caller]
    fn check(change: impl Fn(&mut RunResult), differences_of: &[&str], notes_of: &[&str]) {
        let (a, mut b) = (sample_run(), sample_run());
        change(&mut b);
        let check = |found: Vec<String>, words: &[&str]| {
            assert_eq!(found.len(), words.len(), "{found:?}");
            for (found, words) in found.iter().zip(words) {
                assert!(found.contains(words), "{words:?} is missing in {found:?}");
            }
        };
        check(differences(&a, &b), differences_of);
        check(notes(&a, &b), notes_of);
        // Which of the two it is makes no difference to whether it is told.
        assert_eq!(differences(&b, &a).len(), differences_of.len());
        assert_eq!(notes(&b, &a).len(), notes_of.len());
    }

    #[test]
    fn everything_but_the_server_must_be_alike() {
        check(|_| {}, &[], &[]);
        check(|b| b.provenance.scenario.blake3.clear(), &["scenario"], &[]);
        check(|b| b.targets.blake3.clear(), &["targets"], &[]);
        check(|b| b.mode = crate::result::Mode::ClosedLoop, &["mode"], &[]);
        check(|b| b.connections_configured += 1, &["number of connections"], &[]);
        check(|b| b.timeout_ms = Some(9), &["timeout"], &[]);
        check(|b| b.timeout_ms = None, &[], &[]);
        check(|b| b.shard.count = 2, &["part of the schedule (--shard)"], &[]);
        let merged = |b: &mut RunResult| (b.shard.numbers, b.shard.count) = (vec![1, 2], 2);
        check(merged, &[], &[]);
    }

    #[test]
    fn two_machines_of_one_kind_are_different_machines() {
        let other = |b: &mut RunResult| b.provenance.hosts = vec![HostFacts::sample("other")];
        check(other, &["machine (of the same kind: a is "], &[]);
        let two = |b: &mut RunResult| b.provenance.hosts.push(HostFacts::sample("other"));
        check(two, &["machine (a: "], &[]);
        let unknown = |b: &mut RunResult| b.provenance.hosts = vec![HostFacts::sample("")];
        check(unknown, &[], &["which machine measured b is not known"]);
    }

    #[test]
    fn a_run_that_ended_early_is_not_like_one_that_did_not() {
        for early in ["goal_missed", "interrupted"] {
            let ended = format!("how they ended (a by schedule, b by {early})");
            check(|b| b.ended_by = early.to_owned(), &[&ended], &[]);
        }
        check(|b| b.ended_by = "duration".to_owned(), &[], &[]);
    }

    #[test]
    fn other_priorities_are_told() {
        check(
            |b| b.client.machine_stalls_raised_priority = Some(false),
            &[],
            &["stalls were watched at different"],
        );
        check(|b| b.client.senders_raised_priority = None, &[], &["the senders ran at different priorities"]);
    }

    #[test]
    fn another_build_of_loadgen_is_told_and_not_refused() {
        let different = "different builds of loadgen: a 0.1.0 (commit 0123abcd), b 0.1.0 (commit ";
        check(|b| b.provenance.commit = Some("4567cdef".to_owned()), &[], &[different]);
        check(|b| b.provenance.commit = None, &[], &["b 0.1.0 (commit not known"]);
        check(|b| b.provenance.loadgen_version = "0.2.0".to_owned(), &[], &["b 0.2.0 (commit 0123abcd)"]);
        for commit in [None, Some("0123abcd-dirty".to_owned())] {
            let (mut a, mut b) = (sample_run(), sample_run());
            (a.provenance.commit, b.provenance.commit) = (commit.clone(), commit);
            assert!(notes(&a, &b)[0].starts_with("the builds of loadgen may differ"), "{:?}", notes(&a, &b));
        }
    }
}
