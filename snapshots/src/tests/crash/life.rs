//! A life of a snapshots folder, command by command, on the test disk; and what must hold of the folder at any moment.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use engine::{Day, MobileKey};

use super::sim::SimDisk;
use crate::build::build;
use crate::build::folder::BuilderLock;
use crate::build::options::BuildOptions;
use crate::disk::Disk;
use crate::generation::gate::GateFigures;
use crate::generation::name::GenerationName;
use crate::generation::publication::{PUBLICATION_FILE, Publication};
use crate::generation::signing::{SIGNATURE_SUFFIX, SigningKey, check_signature};
use crate::publish::error::StoreError;
use crate::publish::journal::{Event, JournalLine};
use crate::publish::states::State;
use crate::publish::store::{PublishOptions, Store};

/// What an operator does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Command {
    Build(usize),
    Publish(usize),
    Rollback,
    Prune,
}

/// Every transition is in it; the second-last build is of one that was taken back and pruned. With each command goes
/// how many states the folder is in one after the other, the one before it included.
pub(super) const LIFE: [(Command, usize); 8] = [
    (Command::Build(0), 3),
    (Command::Build(1), 3),
    (Command::Build(2), 3),
    (Command::Rollback, 2),
    (Command::Publish(2), 2),
    (Command::Rollback, 2),
    (Command::Prune, 3),
    (Command::Build(2), 3),
];

/// A generation as a real build made it.
pub(super) struct Sample {
    pub(super) name: GenerationName,
    pub(super) as_of: Day,
    pub(super) files: Vec<(String, Vec<u8>)>,
}

pub(super) fn mobile_key() -> MobileKey {
    MobileKey::new(1, [7; 32])
}

pub(super) fn signing_key() -> SigningKey {
    SigningKey::from_bytes(&[5; 32])
}

pub(super) const EXTRACT: &str = "id_kind,person_id,category,relation,birth_date,coverage_start,coverage_end,\
    student_until,document_due,principal_id,other_insurer,mobile,branch\n\
    N,68415941,insured,self,,1400/1/1,,,,,,,\nN,0499370899,pensioner,self,,1400/2/1,,,,,,,\n";

/// Three generations, signed ones or not.
pub(super) fn samples(signed: bool) -> &'static [Sample] {
    static SAMPLES: [OnceLock<Vec<Sample>>; 2] = [OnceLock::new(), OnceLock::new()];
    SAMPLES[usize::from(signed)].get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let extract = dir.path().join("extract.csv");
        std::fs::write(&extract, EXTRACT).unwrap();
        let days = ["2026-11-20", "2026-11-21", "2026-11-22"];
        days.iter().map(|day| sample(&extract, &dir.path().join(day), day, signed)).collect()
    })
}

fn sample(extract: &Path, snapshots: &Path, day: &str, signed: bool) -> Sample {
    let (key, as_of) = (mobile_key(), Day::parse(day).unwrap());
    let mut options = BuildOptions::new(extract, snapshots, &key, as_of);
    options.signing_key = signed.then(signing_key);
    let name = build(&options).unwrap().generation;
    let read = |path: PathBuf| {
        (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(path).unwrap())
    };
    let files = std::fs::read_dir(snapshots.join(&name)).unwrap();
    let mut files: Vec<_> = files.map(|entry| read(entry.unwrap().path())).collect();
    files.sort();
    Sample { name: name.parse().unwrap(), as_of, files }
}

pub(super) fn store(disk: &SimDisk) -> Store {
    Store::on(Box::new(disk.clone()), Path::new("sim"), "tester")
}

/// Does what the command of that name does; all but the reading of an extract and the comparing, which change nothing.
pub(super) fn run(disk: &SimDisk, command: Command, signed: bool) -> Result<(), StoreError> {
    let (store, samples) = (store(disk), samples(signed));
    let signing_key = signed.then(signing_key);
    let options =
        PublishOptions { accept: Some("it is right".to_owned()), signing_key, ..Default::default() };
    match command {
        Command::Build(number) => {
            place(&store, &samples[number])?;
            store.publish(&samples[number].name, &options).map(drop)
        }
        Command::Publish(number) => store.publish(&samples[number].name, &options).map(drop),
        Command::Rollback => store.rollback(None, Some("bad dates".to_owned())).map(drop),
        Command::Prune => store.prune(0, None).map(drop),
    }
}

fn place(store: &Store, sample: &Sample) -> Result<(), StoreError> {
    let builder = BuilderLock::take(store)?;
    let folder = builder.begin()?;
    for (name, bytes) in &sample.files {
        folder.write(name, bytes)?;
    }
    if store.holds(&sample.name)? {
        return store.place_again(&sample.name);
    }
    store.place(folder.name(), &sample.name)?;
    folder.placed();
    Ok(())
}

/// What servers and operators see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View {
    current: Option<GenerationName>,
    pub(super) states: Vec<(GenerationName, State)>,
}

/// What is seen now. Every generation must be whole.
#[track_caller]
pub(super) fn view(disk: &SimDisk, signed: bool) -> View {
    let listed = store(disk).list().unwrap();
    listed.iter().for_each(|listed| check_whole(disk, &listed.generation, signed));
    let states: Vec<_> = listed.iter().map(|listed| (listed.generation, listed.state)).collect();
    let current = disk
        .read("CURRENT")
        .ok()
        .map(|bytes| std::str::from_utf8(&bytes).unwrap().strip_suffix('\n').unwrap().parse().unwrap());
    let published: Vec<_> = states.iter().filter(|(_, state)| *state == State::Published).collect();
    assert_eq!(published.first().map(|(name, _)| *name), current, "what is current is there");
    if let Some(current) = &current {
        check_accepted(disk, current);
    }
    View { current, states }
}

/// Where gates were overridden for what is current, its own file says so as the journal does.
#[track_caller]
fn check_accepted(disk: &SimDisk, current: &GenerationName) {
    let lines = store(disk).journal().unwrap();
    let made_current = lines.iter().rev().find(|line| match &line.event {
        Event::Published { generation, .. } => generation == current,
        Event::RolledBack { to, .. } => to == current,
        _ => false,
    });
    let Some(JournalLine { event: Event::Published { overrode, gates, .. }, why, .. }) = made_current else {
        return;
    };
    let publication = publication(disk, current);
    let figures: Vec<_> = publication.gates.iter().map(GateFigures::from).collect();
    match publication.accepted {
        Some(accepted) if !overrode.is_empty() => {
            assert_eq!((&accepted.gates, Some(accepted.reason)), (overrode, why.clone()));
            assert_eq!(&figures, gates);
        }
        None => assert!(overrode.is_empty(), "{current} says nothing of {overrode:?}"),
        Some(_) => {}
    }
}

fn publication(disk: &SimDisk, name: &GenerationName) -> Publication {
    serde_json::from_slice(&disk.read(&format!("{name}/{PUBLICATION_FILE}")).unwrap()).unwrap()
}

#[track_caller]
fn check_whole(disk: &SimDisk, name: &GenerationName, signed: bool) {
    let samples = samples(signed);
    let sample = samples.iter().find(|sample| sample.name == *name).expect("no other was built");
    for (file, bytes) in &sample.files {
        let found = disk.read(&format!("{name}/{file}")).unwrap();
        if !file.starts_with(PUBLICATION_FILE) {
            assert_eq!(found, *bytes, "{name}/{file}");
        }
    }
    assert_eq!(publication(disk, name).generation, *name);
    if signed {
        let publication = disk.read(&format!("{name}/{PUBLICATION_FILE}")).unwrap();
        let signature = disk.read(&format!("{name}/{PUBLICATION_FILE}{SIGNATURE_SUFFIX}")).unwrap();
        let checked = check_signature(&signature, &publication, &[signing_key().public()]);
        assert_eq!(checked, Ok(()), "of {name}");
    }
}

/// Nothing but what belongs there, and all of it read-only. What builders left behind is for the next builder.
#[track_caller]
pub(super) fn check_tidy(disk: &SimDisk, signed: bool, unfinished: bool, at: &str) {
    for name in disk.list("").unwrap() {
        let Ok(generation) = name.parse::<GenerationName>() else {
            let known = ["CURRENT", ".lock", ".state.lock", "journal.ndjson", "journal.torn"];
            let known = known.contains(&name.as_str()) || unfinished && name.starts_with(".building-");
            assert!(known, "{at}: {name} was left behind");
            continue;
        };
        let sample = samples(signed).iter().find(|sample| sample.name == generation).unwrap();
        let files: Vec<_> = sample.files.iter().map(|(file, _)| file.clone()).collect();
        assert_eq!(disk.list(&name).unwrap(), files, "{at}: in {name}");
        assert_eq!(disk.mode(&name).unwrap(), 0o550, "{at}: {name}");
        let modes = files.iter().map(|file| disk.mode(&format!("{name}/{file}")).unwrap());
        assert!(modes.into_iter().all(|mode| mode == 0o440), "{at}: in {name}");
    }
}

/// The transitions that came true, in order.
pub(super) fn transitions(disk: &SimDisk) -> Vec<Event> {
    let lines = store(disk).journal().unwrap();
    let is_abandoned = |line: &JournalLine| {
        lines.get(line.seq as usize).is_some_and(|next| next.event == Event::Abandoned { of: line.seq })
    };
    let kept =
        lines.iter().filter(|line| !matches!(line.event, Event::Abandoned { .. }) && !is_abandoned(line));
    kept.map(|line| line.event.clone()).collect()
}
