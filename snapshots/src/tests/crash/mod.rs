//! Crash points: every command that changes a snapshots folder, with a fault at each single step on the test disk. What
//! is found afterwards is exactly an old or the new state, with every generation whole, and the next command goes on
//! from there: life goes on as without the fault, the journal tells the same transitions, and nothing is left behind.
//!
//! Only reading an extract and writing the two binary files are not on this disk: they take place in a folder that bears
//! no generation's name yet, and which stands here with its files as they come.

mod life;
mod sim;
mod tree;

use std::fs;

use life::{Command, EXTRACT, LIFE, View, check_tidy, mobile_key, run, samples, store, transitions, view};
use sim::{Fault, SimDisk, Step};
use tree::Survival;

use crate::build::build;
use crate::build::options::BuildOptions;
use crate::disk::Disk;
use crate::generation::open::open_current;
use crate::publish::error::StoreError;
use crate::publish::journal::Event;

const BOTH: [bool; 2] = [false, true];
/// Commands that are run after a fault, the one with the fault included if it must be repeated.
const REACH: usize = 2;
/// Kinds and seeds of the power cuts that are tried after each step.
const CUTS: [(Survival, u64); 6] = [
    (Survival::Nothing, 0),
    (Survival::Everything, 0),
    (Survival::Some, 1),
    (Survival::Some, 2),
    (Survival::Some, 3),
    (Survival::Some, 4),
];

/// One command of a life, and the disk before it.
struct Moment {
    number: usize,
    before: SimDisk,
    /// The states that the folder is in one after the other.
    views: Vec<View>,
    /// What the journal tells after it.
    transitions: Vec<Event>,
    steps: usize,
}

/// A life without faults.
struct Lived {
    signed: bool,
    moments: Vec<Moment>,
}

impl Lived {
    fn new(signed: bool) -> Lived {
        let disk = SimDisk::new();
        let mut moments = Vec::new();
        for (number, (command, states)) in LIFE.into_iter().enumerate() {
            let before = disk.after_kill();
            let steps = disk.steps().len();
            run(&disk, command, signed).unwrap();
            let steps = disk.steps().len() - steps;
            let mut views = Vec::new();
            for step in 0..=steps {
                let killed = before.after_kill();
                killed.set_fault(step, Fault::PowerCut);
                let _ = run(&killed, command, signed);
                views.push(view(&killed.after_kill(), signed));
            }
            views.dedup();
            assert_eq!(views.len(), states, "{command:?}: {views:?}");
            check_tidy(&disk, signed, false, "a life without faults");
            moments.push(Moment { number, before, views, transitions: transitions(&disk), steps });
        }
        Lived { signed, moments }
    }

    fn faults(&self) -> impl Iterator<Item = (&Moment, usize)> {
        self.moments.iter().flat_map(|moment| (0..moment.steps).map(move |step| (moment, step)))
    }

    /// Runs a command of the life with a fault at a step.
    fn disturbed(&self, moment: &Moment, step: usize, fault: Fault) -> (SimDisk, Result<(), StoreError>) {
        let disk = moment.before.after_kill();
        disk.set_fault(step, fault);
        let outcome = run(&disk, LIFE[moment.number].0, self.signed);
        (disk, outcome)
    }

    /// What is found after a fault: one of the states of that command; the number of the command to go on with.
    #[track_caller]
    fn found(&self, moment: &Moment, disk: &SimDisk, at: &str) -> usize {
        let found = view(disk, self.signed);
        assert!(moment.views.contains(&found), "{at}: {found:?} is none of {:?}", moment.views);
        moment.number + usize::from(Some(&found) == moment.views.last())
    }

    /// Lives on as without the fault; tells the number of the last command.
    #[track_caller]
    fn go_on(&self, disk: &SimDisk, from: usize, at: &str) -> usize {
        let seen = view(disk, self.signed);
        store(disk).prune(usize::MAX, None).unwrap_or_else(|error| panic!("{at}: {error}"));
        check_tidy(disk, self.signed, true, at);
        assert_eq!(view(disk, self.signed), seen, "{at}: a command that changes no state");
        let to = LIFE.len().min(from + REACH);
        for (command, _) in &LIFE[from..to] {
            run(disk, *command, self.signed)
                .unwrap_or_else(|error| panic!("{at}, then {command:?}: {error}"));
        }
        self.check_after(to - 1, disk, at);
        to - 1
    }

    /// Everything is as without a fault after the command of that number.
    #[track_caller]
    fn check_after(&self, number: usize, disk: &SimDisk, at: &str) {
        let moment = &self.moments[number];
        assert_eq!(Some(&view(disk, self.signed)), moment.views.last(), "{at}");
        assert_eq!(transitions(disk), moment.transitions, "{at}");
        check_tidy(disk, self.signed, false, at);
    }
}

#[test]
fn the_life_has_every_kind_of_step() {
    let disk = SimDisk::new();
    LIFE.iter().for_each(|(command, _)| run(&disk, *command, true).unwrap());
    let steps = disk.steps();
    println!("{} steps", steps.len());
    let mut kinds = steps.clone();
    kinds.sort_unstable();
    kinds.dedup();
    // Only a torn journal is cut.
    let expected = [
        Step::Create,
        Step::Write,
        Step::Sync,
        Step::SyncFolder,
        Step::Chmod,
        Step::Rename,
        Step::Unlink,
        Step::Mkdir,
        Step::Rmdir,
    ];
    assert_eq!(kinds, expected);
}

#[test]
fn power_cuts_and_kills_at_every_step() {
    for lived in BOTH.map(Lived::new) {
        for (moment, step) in lived.faults() {
            let (cut, outcome) = lived.disturbed(moment, step, Fault::PowerCut);
            let at = format!("{:?}, step {step}", LIFE[moment.number].0);
            let killed = cut.after_kill();
            let next = lived.found(moment, &killed, &at);
            lived.go_on(&killed, next, &format!("{at}, killed"));
            for (survival, seed) in CUTS {
                let at = format!("{at}, {survival:?}, seed {seed}");
                let left = cut.after_power_cut(survival, seed);
                let next = lived.found(moment, &left, &at);
                assert!(outcome.is_err() || next > moment.number, "{at}: lost what was told to be done");
                lived.go_on(&left, next, &at);
            }
        }
    }
}

/// What was told to be done is done, whatever happens then.
#[test]
fn power_cuts_after_the_last_step() {
    for lived in BOTH.map(Lived::new) {
        for moment in &lived.moments {
            let (disk, outcome) = lived.disturbed(moment, usize::MAX - 1000, Fault::PowerCut);
            outcome.unwrap();
            for (survival, seed) in CUTS {
                let at = format!("after {:?}, {survival:?}, seed {seed}", LIFE[moment.number].0);
                let left = disk.after_power_cut(survival, seed);
                assert_eq!(lived.found(moment, &left, &at), moment.number + 1, "{at}");
                lived.go_on(&left, moment.number + 1, &at);
            }
        }
    }
}

/// After a power cut, another one at every step of the command that comes next.
#[test]
fn power_cuts_at_every_step_of_what_goes_on_from_one() {
    let lived = Lived::new(false);
    for (moment, step) in lived.faults() {
        let (cut, _) = lived.disturbed(moment, step, Fault::PowerCut);
        let first = cut.after_power_cut(Survival::Some, step as u64);
        let at = format!("{:?}, step {step}", LIFE[moment.number].0);
        let next = lived.found(moment, &first, &at);
        let Some(moment) = lived.moments.get(next) else { continue };
        for second in 0.. {
            let again = first.after_kill();
            again.set_fault(second, Fault::PowerCut);
            let done = run(&again, LIFE[next].0, lived.signed).is_ok();
            let at = format!("{at}, then step {second} of {:?}", LIFE[next].0);
            let left = again.after_power_cut(Survival::Some, second as u64);
            let next = lived.found(moment, &left, &at);
            lived.go_on(&left, next, &at);
            if done {
                break;
            }
        }
    }
}

/// An operation that fails is told, and the next command goes on; also where a sync failed, after which a file shows
/// bytes that no later sync brings to the disk, so that a power cut long after would show it.
#[test]
fn every_step_fails_once() {
    for lived in BOTH.map(Lived::new) {
        let mut told = 0;
        for (moment, step) in lived.faults() {
            let (disk, outcome) = lived.disturbed(moment, step, Fault::Fails);
            let at = format!("{:?}, step {step} failed", LIFE[moment.number].0);
            let next = lived.found(moment, &disk, &at);
            match outcome {
                Ok(()) => assert_eq!(next, moment.number + 1, "{at}"),
                Err(error) => {
                    told += 1;
                    let text = error.to_string();
                    assert!(
                        text.contains("sim") && text.contains("the disk failed, as asked"),
                        "{at}: {text}"
                    );
                }
            }
            let last = lived.go_on(&disk, next, &at);
            for (survival, seed) in CUTS {
                let left = disk.after_power_cut(survival, seed);
                lived.check_after(last, &left, &format!("{at}, then {survival:?}, seed {seed}"));
            }
        }
        assert!(told > 150, "{told}");
    }
}

/// The disk is full from some step on: the command says so, what was current still is, and with room again the same
/// command completes.
#[test]
fn full_disk_at_every_step() {
    for lived in BOTH.map(Lived::new) {
        let mut told = 0;
        for (moment, step) in lived.faults() {
            let (disk, outcome) = lived.disturbed(moment, step, Fault::Full);
            let at = format!("{:?}, full from step {step}", LIFE[moment.number].0);
            let next = lived.found(moment, &disk, &at);
            match outcome {
                Ok(()) => assert_eq!(next, moment.number + 1, "{at}"),
                Err(error) => {
                    told += 1;
                    assert!(next == moment.number, "{at}");
                    let (kind, text) =
                        (std::io::Error::from(std::io::ErrorKind::StorageFull), error.to_string());
                    let expected = format!("{kind}; check the free space and the folder's permissions");
                    assert!(text.ends_with(&expected), "{at}: {text}");
                }
            }
            disk.make_room();
            lived.go_on(&disk, next, &at);
        }
        assert!(told > 60, "{told}");
    }
}

/// What a power cut in a builder leaves is put into a real folder, where a real build takes it up.
#[test]
fn a_real_build_goes_on_from_any_power_cut_in_a_builder() {
    let lived = Lived::new(false);
    let dir = tempfile::tempdir().unwrap();
    let extract = dir.path().join("extract.csv");
    fs::write(&extract, EXTRACT).unwrap();
    for (moment, step) in
        lived.faults().filter(|(moment, _)| matches!(LIFE[moment.number].0, Command::Build(1)))
    {
        let (cut, _) = lived.disturbed(moment, step, Fault::PowerCut);
        let left = cut.after_power_cut(Survival::Some, step as u64);
        let snapshots = dir.path().join(format!("step-{step}"));
        fs::create_dir(&snapshots).unwrap();
        left.copy_to(&snapshots);
        let (key, sample) = (mobile_key(), &samples(false)[1]);
        let built = build(&BuildOptions::new(&extract, &snapshots, &key, sample.as_of)).unwrap();
        assert_eq!(built.generation, sample.name.to_string(), "step {step}");
        open_current(&snapshots, &[key]).unwrap();
        let names =
            fs::read_dir(&snapshots).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let left_behind: Vec<_> =
            names.filter(|name| name.starts_with('.') && !name.ends_with("lock")).collect();
        assert_eq!(left_behind, [""; 0], "step {step}");
    }
}

/// Whoever looks takes no lock: what they see is one of the states, whatever others do between the files that they read,
/// one command or two.
#[test]
fn what_is_read_while_others_change_it_is_of_one_moment() {
    let lived = Lived::new(false);
    let pairs = (1..=2).flat_map(|count| lived.moments.windows(count));
    for (moments, file) in pairs.flat_map(|moments| ["journal.ndjson", "CURRENT"].map(|file| (moments, file)))
    {
        let disk = moments[0].before.after_kill();
        let commands: Vec<_> = moments.iter().map(|moment| LIFE[moment.number].0).collect();
        if disk.read(file).is_err() {
            continue;
        }
        let (other, theirs) = (disk.clone(), commands.clone());
        disk.after_read(file, move || {
            theirs.iter().for_each(|command| run(&other, *command, false).unwrap())
        });
        let listed = store(&disk).list().unwrap();
        let seen: Vec<_> = listed.iter().map(|listed| (listed.generation, listed.state)).collect();
        let mut views = moments.iter().flat_map(|moment| &moment.views);
        assert!(views.any(|view| view.states == seen), "{commands:?} after {file} was read: {seen:?}");
    }
}

/// The suite has teeth: on a disk whose syncs do nothing, each command loses what it told to be done.
#[test]
fn a_disk_whose_syncs_do_nothing_is_caught() {
    let lived = Lived::new(false);
    for moment in &lived.moments {
        let disk = moment.before.after_kill();
        disk.let_syncs_lie();
        run(&disk, LIFE[moment.number].0, lived.signed).unwrap();
        let left = disk.after_power_cut(Survival::Nothing, 0);
        let at = format!("{:?} with lying syncs", LIFE[moment.number].0);
        assert_eq!(lived.found(moment, &left, &at), moment.number, "{at}: nothing of it is left");
    }
}
