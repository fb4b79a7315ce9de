//! What a generation is: its name, the files beside the binary ones, their signatures, and the reader's side of all of
//! it. Which generation is current, and how one becomes so, is the business of `publish`.

pub(crate) mod content;
pub(crate) mod gate;
pub(crate) mod name;
pub(crate) mod open;
pub(crate) mod publication;
pub(crate) mod self_test;
pub(crate) mod signing;
pub(crate) mod statistics;
