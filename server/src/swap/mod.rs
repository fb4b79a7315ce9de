//! From what `CURRENT` names to what serves. Requests load the serving generation once; everything else happens
//! here, off their path: `keeper` decides what is opened, swapped in, kept and given up; `opening` opens and verifies
//! on a thread of low priority; `memory` says whether there is room; `refusal` remembers what was refused and when to
//! try again; `self_test` asks what the builder knows; `standby` knows
//! where a rollback would lead; `pages` looks at page tables; `status` is what others are told.

mod keeper;
mod memory;
mod opening;
mod pages;
mod refusal;
mod self_test;
mod standby;
mod status;

pub(crate) use keeper::Keeper;
pub(crate) use memory::Memory;
pub(crate) use opening::{Phase, Source};
pub(crate) use pages::{PageFaults, resident_bytes};
pub(crate) use refusal::Cause;
pub(crate) use status::{NextPublication, RollbackReadiness, RollbackStatus, Status, SwapCounts};
