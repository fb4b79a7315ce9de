//! Why a build published nothing, in words that say what to do.

use std::io;
use std::path::PathBuf;

use engine::WriteError;
use thiserror::Error;

use crate::extract::ExtractError;
use crate::generation::name::GenerationName;
use crate::generation::open::OpenError;
use crate::publish::error::StoreError;

/// Why nothing was published. What was current still is.
#[derive(Debug, Error)]
pub enum BuildError {
    /// The extract as a whole.
    #[error(transparent)]
    Extract(#[from] ExtractError),
    /// The list of rejected rows could not be written.
    #[error("cannot write the list of rejected rows: {0}; check the free space and the folder's permissions")]
    Rejects(#[source] io::Error),
    /// Rows that were put aside could not be read again, or a place for them not be made.
    #[error("cannot put rows aside in {}: {source}; check the free space and the disk", path.display())]
    Spill {
        /// The snapshots folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// IDs that are sorted together do not fit.
    #[error(
        "{needed_mib} MiB of rows have IDs that begin alike and must be sorted together, more than the memory bound \
         leaves room for; allow at least --memory {least_mib}MiB, or look for an ID that stands for many"
    )]
    Memory {
        /// What they take.
        needed_mib: u64,
        /// The least bound that would do.
        least_mib: u64,
    },
    /// The gates.
    #[error("{source}; the build stays in {} unpublished", folder.display())]
    Refused {
        /// Which gates, and by how much.
        source: StoreError,
        /// The generation's folder.
        folder: PathBuf,
        /// The list of rejected rows.
        rejects_path: PathBuf,
    },
    /// A snapshot in which nobody is covered would turn everybody away.
    #[error("no row of the extract could be used; see {}, and check that the export was complete", rejects_path.display())]
    Nobody {
        /// The list of rejected rows.
        rejects_path: PathBuf,
    },
    /// The binary files.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// What was written cannot be opened again.
    #[error("the new generation was not published, since it cannot be opened: {0}")]
    Verify(#[source] OpenError),
    /// What was written opens, but says something else.
    #[error(
        "the new generation was not published: it does not hold what was merged; check the disk and memory"
    )]
    Differs,
    /// A generation of that name is there, and damaged.
    #[error("generation {name} is there already but damaged: {source}; move its folder away and build again")]
    Damaged {
        /// Its name.
        name: GenerationName,
        /// What is wrong with it.
        source: Box<OpenError>,
    },
    /// The state of the generation.
    #[error(transparent)]
    Store(#[from] StoreError),
}
