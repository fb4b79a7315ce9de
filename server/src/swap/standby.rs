//! Where a rollback would lead, as the journal of the snapshots folder has it, so that it can be in memory before
//! anybody asks.

use std::path::Path;
use std::time::{Duration, Instant};

use snapshots::{GenerationName, Store};

use super::refusal::Sight;

/// How often the journal is read when nothing else calls for it.
const READ_JOURNAL: Duration = Duration::from_secs(10);

/// The generation to be kept.
#[derive(Default)]
pub(super) struct Standby {
    /// None when there is none before.
    pub(super) target: Option<GenerationName>,
    /// There is no memory for it beside the one that serves.
    pub(super) memory_short: bool,
    /// One that could not be opened, and what it looked like.
    pub(super) refused: Option<(GenerationName, Sight)>,
    read: Option<Read>,
}

/// When the journal was read, and for what.
struct Read {
    current: GenerationName,
    at: Instant,
}

impl Standby {
    /// Finds the target out again if it may have changed.
    pub(super) fn look(&mut self, snapshots_dir: &Path, current: GenerationName) {
        let fresh = |read: &Read| read.current == current && read.at.elapsed() < READ_JOURNAL;
        if self.read.as_ref().is_some_and(fresh) {
            return;
        }
        self.target = Store::new(snapshots_dir, "server").rollback_target().unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot tell where a rollback would lead");
            None
        });
        self.read = Some(Read { current, at: Instant::now() });
    }

    /// Whether it could not be opened and nothing changed since.
    pub(super) fn is_refused(&self, snapshots_dir: &Path, target: GenerationName) -> bool {
        let refused = self.refused.as_ref().filter(|(name, _)| *name == target);
        refused.is_some_and(|(_, sight)| Sight::of(snapshots_dir, Some(&target)) == *sight)
    }
}
