//! The ledger through its public interface, on the test disk and on a real one.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod damage;
mod faults;
mod folder;
mod kill;
mod power;
mod rate;
mod reading;
mod support;
mod wake;
