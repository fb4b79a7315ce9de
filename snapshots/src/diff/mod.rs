//! What becomes of the people from one generation to another: both are opened and verified, then read side by side in
//! the order of their IDs, once, on all cores. Who is covered is the engine's to say. What comes out are counts; the
//! people themselves are told only to whoever asks for them.

pub(crate) mod tally;
pub(crate) mod walk;

use std::io;
use std::path::Path;

use engine::Day;
use serde::Serialize;
use thiserror::Error;

use crate::diff::tally::{Both, Changes, GroupChanges};
use crate::diff::walk::{Comparing, Reveal, Tally, compare};
use crate::generation::name::GenerationName;
use crate::generation::open::{KeylessGeneration, OpenError, open_keyless};
use crate::generation::signing::PublicKey;

/// Two generations, and how they are compared.
pub struct DiffOptions<'a> {
    /// The snapshots folder.
    pub dir: &'a Path,
    /// The one before.
    pub from: GenerationName,
    /// The one after.
    pub to: GenerationName,
    /// The day on which cover is judged; the as-of date of the one after if not given.
    pub service_date: Option<Day>,
    /// Both must be signed with one of these; with none of them, signed or not.
    pub public_keys: &'a [PublicKey],
    /// Hears how much of the work is done, of how much.
    pub progress: &'a (dyn Fn(u64, u64) + Sync),
}

/// Why nothing, or not all, was compared.
#[derive(Debug, Error)]
pub enum DiffError {
    /// A generation could not be opened.
    #[error("cannot open {name}: {source}")]
    Open {
        /// Which.
        name: GenerationName,
        /// Why.
        source: OpenError,
    },
    /// The list of people could not be written.
    #[error("cannot write the list of people: {0}; check the folder and its free space")]
    Reveal(#[source] io::Error),
}

/// What became of the people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diff {
    /// The generation before.
    pub from: GenerationName,
    /// The generation after.
    pub to: GenerationName,
    /// The day on which cover was judged, ISO 8601.
    pub service_date: String,
    /// All people, incomplete ones included.
    pub people: Both,
    /// Those who are covered on that day.
    pub covered: Both,
    /// People of whom nothing that is stored changed.
    pub unchanged: u64,
    /// What changed; each person counts once.
    pub changes: Changes,
    /// Of those who appeared, the covered ones.
    pub appeared_covered: u64,
    /// Of those who vanished, the ones that were covered.
    pub vanished_covered: u64,
    /// The same for each category; a person counts in each that either generation has for them.
    pub categories: GroupChanges,
    /// The same for each relation.
    pub relations: GroupChanges,
    /// People who were told to whoever asked for them.
    pub revealed: u64,
    /// What a reader of these figures must know.
    pub notes: Vec<String>,
}

/// Compares two generations; tells the people to `reveal`, and to nobody without it.
///
/// # Errors
/// [`DiffError`].
pub fn diff(options: &DiffOptions<'_>, reveal: Option<Reveal<'_>>) -> Result<Diff, DiffError> {
    let open = |name: GenerationName| {
        open_keyless(options.dir, &name, options.public_keys)
            .map_err(|source| DiffError::Open { name, source })
    };
    let (from, to) = rayon::join(|| open(options.from), || open(options.to));
    let (from, to) = (from?, to?);
    let service_date = options.service_date.unwrap_or(options.to.as_of());
    let comparing = Comparing {
        from: &from.snapshot,
        to: &to.snapshot,
        service_date,
        mobiles_compare: from.content.mobile_key == to.content.mobile_key,
        progress: options.progress,
    };
    let (tally, revealed) = compare(&comparing, reveal).map_err(DiffError::Reveal)?;
    Ok(described(&from, &to, service_date, tally, revealed))
}

fn described(
    from: &KeylessGeneration,
    to: &KeylessGeneration,
    service_date: Day,
    tally: Tally,
    revealed: u64,
) -> Diff {
    let known = |generation: &KeylessGeneration| generation.content.people + generation.content.incomplete;
    let (before, after) = (&from.content, &to.content);
    let (old, new) = (&before.statistics, &after.statistics);
    let incomplete = Both { from: before.incomplete, to: after.incomplete };
    Diff {
        from: from.name,
        to: to.name,
        service_date: service_date.iso().to_string(),
        people: Both { from: known(from), to: known(to) },
        covered: tally.covered,
        unchanged: tally.unchanged,
        changes: tally.changes,
        appeared_covered: tally.appeared_covered,
        vanished_covered: tally.vanished_covered,
        categories: tally.categories.with_people(&old.categories, &new.categories, incomplete),
        relations: tally.relations.with_people(&old.relations, &new.relations, incomplete),
        revealed,
        notes: notes(from, to),
    }
}

fn notes(from: &KeylessGeneration, to: &KeylessGeneration) -> Vec<String> {
    let (old_key, new_key) = (&from.content.mobile_key, &to.content.mobile_key);
    let mut notes = Vec::new();
    if from.name == to.name {
        notes.push("both are the same generation".to_owned());
    }
    if to.name.as_of() < from.name.as_of() {
        notes.push("the second generation is as of an older day than the first".to_owned());
    }
    if old_key != new_key {
        notes.push(format!(
            "the mobile keys are not the same ({} and {}): whether a mobile number changed cannot be told, and is \
             not counted; servers need both keys to go from one to the other",
            old_key.id, new_key.id
        ));
    }
    notes
}
