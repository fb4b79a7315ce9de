//! What is told of the generations: for `/readyz`, the admin endpoints and `/metrics`. Written by the thread that
//! swaps, read by whoever asks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use snapshots::GenerationName;

use super::opening::{Phase, PhaseTimes};
use super::refusal::{Cause, Refusal};

/// How things stand beside the serving generation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Status {
    /// How often it was looked, to tell what is from before a change and what from after it.
    pub(crate) looks: u64,
    /// What is being opened and verified.
    pub(crate) opening: Option<GenerationName>,
    /// What `CURRENT` names and this server refused.
    pub(crate) refused: Option<Refused>,
    /// Where a rollback would lead.
    pub(crate) rollback: RollbackStatus,
    /// What will become of the next publication, if it is as large as what serves.
    pub(crate) next: Option<NextPublication>,
    /// Memory that is left for generations.
    pub(crate) memory_left_bytes: Option<u64>,
    /// The share of the serving generation's pages that are in memory.
    pub(crate) resident_share: Option<f64>,
    /// Generations whose last request is not done yet.
    pub(crate) retiring: usize,
}

/// A refused generation.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    /// None when `CURRENT` names none.
    pub(crate) generation: Option<GenerationName>,
    pub(crate) refusal: Refusal,
}

/// The generation that a rollback would lead to, and whether that would take effect at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RollbackStatus {
    pub(crate) generation: Option<GenerationName>,
    pub(crate) readiness: RollbackReadiness,
}

/// Whether a rollback would take effect at once, and if not, why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum RollbackReadiness {
    /// There is none before.
    #[default]
    NothingBefore,
    /// It is verified and in memory.
    Ready,
    /// It is about to be opened, or being opened.
    NotYet,
    /// There is no memory for both.
    MemoryShort,
    /// It cannot be opened: the log says why.
    Refused,
}

impl RollbackReadiness {
    pub(crate) fn code(self) -> &'static str {
        match self {
            RollbackReadiness::NothingBefore => "nothing_before",
            RollbackReadiness::Ready => "ready",
            RollbackReadiness::NotYet => "not_yet",
            RollbackReadiness::MemoryShort => "memory_short",
            RollbackReadiness::Refused => "refused",
        }
    }
}

/// What memory allows at the next publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NextPublication {
    /// The generation before stays until the new one serves.
    Fits,
    /// The generation before has to go first: no rollback at once until the new one serves.
    GivesUpPrevious,
    /// It will be refused.
    DoesNotFit,
}

impl NextPublication {
    pub(crate) fn code(self) -> &'static str {
        match self {
            NextPublication::Fits => "fits",
            NextPublication::GivesUpPrevious => "gives_up_previous",
            NextPublication::DoesNotFit => "does_not_fit",
        }
    }
}

/// Counters of swaps and refusals. Relaxed: each is read by itself.
#[derive(Default)]
pub(crate) struct SwapCounts {
    swaps: AtomicU64,
    refused: [AtomicU64; Cause::ALL.len()],
    phases: [PhaseCounts; Phase::ALL.len()],
}

#[derive(Default)]
struct PhaseCounts {
    count: AtomicU64,
    sum_us: AtomicU64,
    last_us: AtomicU64,
}

/// What the phases of that kind took so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PhaseTotals {
    pub(crate) count: u64,
    pub(crate) sum: Duration,
    pub(crate) last: Duration,
}

impl SwapCounts {
    pub(crate) fn count_swap(&self, times: &PhaseTimes) {
        self.swaps.fetch_add(1, Ordering::Relaxed);
        for (phase, time) in self.phases.iter().zip(times) {
            let Some(time) = time else { continue };
            let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
            phase.count.fetch_add(1, Ordering::Relaxed);
            phase.sum_us.fetch_add(us, Ordering::Relaxed);
            phase.last_us.store(us, Ordering::Relaxed);
        }
    }

    pub(crate) fn count_refusal(&self, cause: Cause) {
        self.refused[cause as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn swaps(&self) -> u64 {
        self.swaps.load(Ordering::Relaxed)
    }

    pub(crate) fn refused(&self, cause: Cause) -> u64 {
        self.refused[cause as usize].load(Ordering::Relaxed)
    }

    pub(crate) fn phase(&self, phase: Phase) -> PhaseTotals {
        let counts = &self.phases[phase as usize];
        PhaseTotals {
            count: counts.count.load(Ordering::Relaxed),
            sum: Duration::from_micros(counts.sum_us.load(Ordering::Relaxed)),
            last: Duration::from_micros(counts.last_us.load(Ordering::Relaxed)),
        }
    }
}
