//! The ledger through its public interface, on the test disk and on a real one.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and prints its seed"
)]

mod damage;
mod faults;
mod folder;
mod golden;
mod kill;
mod power;
mod rate;
mod reading;
mod support;
mod wake;
