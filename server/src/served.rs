//! The generation that answers are made from, and how things stand with its change for another. A request loads it
//! once and is answered from what it loaded, whatever is swapped in meanwhile.

use std::sync::Arc;

use arc_swap::{ArcSwapOption, Guard};
use parking_lot::Mutex;
use snapshots::{Generation, GenerationName};

use crate::swap::{Status, SwapCounts};

/// The serving generation.
#[derive(Default)]
pub(crate) struct Served {
    generation: ArcSwapOption<Generation>,
    status: Mutex<Status>,
    pub(crate) counts: SwapCounts,
}

impl Served {
    /// The generation for one request, if one is in.
    pub(crate) fn load(&self) -> Guard<Option<Arc<Generation>>> {
        self.generation.load()
    }

    /// The serving generation's name.
    pub(crate) fn name(&self) -> Option<GenerationName> {
        self.load().as_ref().map(|generation| generation.name)
    }

    /// From now on requests get this one. When this returns, whoever uses the one before holds a count of it.
    pub(crate) fn swap(&self, generation: Arc<Generation>) -> Option<Arc<Generation>> {
        self.generation.swap(Some(generation))
    }

    pub(crate) fn status(&self) -> Status {
        self.status.lock().clone()
    }

    pub(crate) fn set_status(&self, status: Status) {
        *self.status.lock() = status;
    }
}
