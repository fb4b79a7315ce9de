//! From an extract to a published generation, through the public API and real files.
#![allow(clippy::unwrap_used)]

mod diffing;
mod inspecting;
mod full_disk;
mod kill;
mod messy_extract;
mod poisoned;
mod publishing;
mod rows;
mod states;
mod support;
mod synth;
