//! The engine against second formulations: properties, an independent calendar table, and a model of the
//! rules that walks day by day.
#![allow(clippy::unwrap_used)]

mod calendar;
mod decide;
mod person;
mod record;
mod snapshot;
