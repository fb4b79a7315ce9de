//! Why a state of a generation was not changed, in words that say what to do.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::generation::gate::GateOutcome;
use crate::generation::name::GenerationName;
use crate::generation::open::OpenError;
use crate::publish::states::State;

/// Why a state was not changed.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The disk refused. The state is the old or the new one; the next command goes on from there.
    #[error("cannot {action} {}: {source}; check the free space and the folder's permissions", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another builder is at work.
    #[error("another builder is at work in {}; wait until it is done", dir.display())]
    BuilderLocked {
        /// The snapshots folder.
        dir: PathBuf,
    },
    /// Another command is changing states.
    #[error("another command is changing {}; try again when it is done", dir.display())]
    Locked {
        /// The snapshots folder.
        dir: PathBuf,
    },
    /// A line of the journal that others follow was changed or lost.
    #[error("{} is damaged in line {line}; put the file back from a backup, or move it away to begin a new one, \
             which forgets what was rolled back", path.display())]
    Journal {
        /// The journal.
        path: PathBuf,
        /// Counts from 1.
        line: u64,
    },
    /// No generation is current.
    #[error("nothing is published in {}; run `estehqaq snapshot build` first", dir.display())]
    NothingPublished {
        /// The snapshots folder.
        dir: PathBuf,
    },
    /// No generation by that name.
    #[error("there is no generation {name} in {}; see `estehqaq snapshot list`", dir.display())]
    Unknown {
        /// The snapshots folder.
        dir: PathBuf,
        /// The name.
        name: GenerationName,
    },
    /// The generation, or `CURRENT`, cannot be read.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Gates refused.
    #[error("generation {name} was not published: {}", told(outcomes))]
    Refused {
        /// The generation, which stays on disk.
        name: GenerationName,
        /// The gates that refused.
        outcomes: Vec<GateOutcome>,
    },
    /// No generation to go back to.
    #[error(
        "there is no generation to go back to: none was current before {name} and is still on disk; publish \
             a good one with `estehqaq snapshot build`"
    )]
    NoPrevious {
        /// The current one.
        name: GenerationName,
    },
    /// The one to go back to was never published, or was rolled back itself.
    #[error("cannot go back to {name}, which is {}; choose a retired one from `estehqaq snapshot list`", state.code())]
    NotRetired {
        /// The one asked for.
        name: GenerationName,
        /// Where it stands.
        state: State,
    },
    /// A signed `publication.json` has to be changed.
    #[error(
        "publication.json of {name} is signed, and what overrode the gates must be written into it; give \
             the key with --signing-key"
    )]
    SigningKey {
        /// The generation.
        name: GenerationName,
    },
}

fn told(outcomes: &[GateOutcome]) -> String {
    outcomes.iter().map(GateOutcome::to_string).collect::<Vec<_>>().join("; also: ")
}
