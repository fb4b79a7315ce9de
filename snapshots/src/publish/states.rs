//! Where generations stand, as the journal and the disk have it: the states, and how the journal's lines lead to them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::generation::name::GenerationName;
use crate::publish::journal::{Event, Journal, JournalLine};

/// Where a generation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Whole and under its name, never published.
    Built,
    /// The current one.
    Published,
    /// Published once; another one is current.
    Retired,
    /// Taken back; not to be published again by accident.
    RolledBack,
}

impl State {
    /// The word for it.
    pub fn code(self) -> &'static str {
        match self {
            State::Built => "built",
            State::Published => "published",
            State::Retired => "retired",
            State::RolledBack => "rolled_back",
        }
    }
}

/// A generation on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Its name.
    pub generation: GenerationName,
    /// Where it stands.
    pub state: State,
    /// When it came to stand there; none where no journal tells.
    pub since: Option<Timestamp>,
    /// Who brought it there.
    pub by: Option<String>,
    /// Why, where somebody said so.
    pub why: Option<String>,
    #[serde(skip)]
    pub(crate) seq: u64,
}

/// The one that was current last before the current one, of those that were not taken back.
pub(crate) fn last_retired(listed: &[Listed]) -> Option<GenerationName> {
    let retired = listed.iter().filter(|listed| listed.state == State::Retired);
    retired.max_by_key(|listed| listed.seq).map(|listed| listed.generation)
}

impl Listed {
    /// A generation that no journal tells of.
    pub(crate) fn found(generation: GenerationName, current: Option<GenerationName>) -> Listed {
        let state = if current == Some(generation) { State::Published } else { State::Built };
        Listed { generation, state, since: None, by: None, why: None, seq: 0 }
    }
}

/// Whether the step that a line announced is seen on disk.
pub(crate) fn came_true(event: &Event, current: Option<GenerationName>, names: &[String]) -> bool {
    let is_there = |name: &GenerationName| names.contains(&name.to_string());
    match event {
        Event::Built { generation } => is_there(generation),
        Event::Published { generation, .. } => current == Some(*generation),
        Event::RolledBack { to, .. } => current == Some(*to),
        Event::Pruned { generation } => !is_there(generation),
        Event::Abandoned { .. } => true,
    }
}

/// Where each generation of the journal stands, pruned ones included: a rolled-back one is remembered.
pub(crate) fn fold(
    journal: &Journal,
    current: Option<GenerationName>,
    names: &[String],
) -> BTreeMap<GenerationName, Listed> {
    let last = journal.lines.len() as u64;
    let abandoned = |line: &JournalLine| {
        let next = journal.lines.get(line.seq as usize);
        let noted = next.is_some_and(|next| next.event == Event::Abandoned { of: line.seq });
        noted || line.seq == last && !came_true(&line.event, current, names)
    };
    let mut states = BTreeMap::new();
    for line in journal.lines.iter().filter(|line| !abandoned(line)) {
        for (generation, state) in outcomes_of(&line.event, &states) {
            let why = line.why.clone().filter(|_| state != State::Retired);
            let (since, by) = (Some(line.at), Some(line.by.clone()));
            states.insert(generation, Listed { generation, state, since, by, why, seq: line.seq });
        }
    }
    // What is current is what servers see, whatever somebody did to the file by hand.
    for listed in states.values_mut() {
        listed.state = match listed.state {
            _ if current == Some(listed.generation) => State::Published,
            State::Published => State::Retired,
            state => state,
        };
    }
    states
}

/// Which generations a transition brings where.
fn outcomes_of(event: &Event, states: &BTreeMap<GenerationName, Listed>) -> Vec<(GenerationName, State)> {
    match *event {
        // Built again and pruned in between, it is still what was rolled back.
        Event::Built { generation } => {
            let rolled_back = states.get(&generation).is_some_and(|known| known.state == State::RolledBack);
            if rolled_back { Vec::new() } else { vec![(generation, State::Built)] }
        }
        Event::Published { generation, before, .. } => {
            let retired = before.map(|before| (before, State::Retired));
            retired.into_iter().chain([(generation, State::Published)]).collect()
        }
        Event::RolledBack { generation, to } => {
            vec![(generation, State::RolledBack), (to, State::Published)]
        }
        Event::Pruned { .. } | Event::Abandoned { .. } => Vec::new(),
    }
}
