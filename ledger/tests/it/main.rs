//! The ledger through its public interface, on the test disk and on a real one.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and prints its seed"
)]

mod copies;
mod damage;
mod days;
mod evidence;
mod exchanged;
mod faults;
mod folder;
mod golden;
mod handover;
mod indexing;
mod kill;
mod power;
mod pruning;
mod random_lives;
mod rate;
mod reading;
mod recent;
mod restoring;
mod rotating;
mod searching;
mod support;
mod wake;
