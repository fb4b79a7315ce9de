//! The server's integration tests: a whole service on a port of its own, asked over real HTTP, with the
//! shared synthetic extract as its data.

#![allow(clippy::unwrap_used, missing_docs)]

mod administering;
mod asking;
mod cli;
mod client;
mod connections;
mod desk;
mod disk;
mod failing;
mod health;
mod killing;
mod looking_up;
mod personal;
mod program;
mod protocol;
mod reloading;
mod repeating;
mod repeating_later;
mod rotating;
mod s3;
mod site;
mod stopping;
mod swapping;
mod swaps;
mod who_may_ask;
