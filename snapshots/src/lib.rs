//! From the nightly extract to a verified, published generation, and from a published generation to an open
//! snapshot.
//!
//! Flow: `extract` reads and checks rows; `partition` sorts and merges them per person; `builder` drives
//! both (through `reading`), compiles with `engine`, verifies and publishes; `publish` and `open` are the two sides of a
//! generation on disk; `content` is what stands in it beside the binary files. `synth` makes populations to
//! test with and shares no code with the checks.

mod builder;
mod content;
mod extract;
mod generation;
mod open;
mod partition;
mod publication;
mod publish;
mod reading;
mod rejects;
pub mod synth;

pub use builder::{BuildError, BuildOptions, BuildReport, Progress, build};
pub use content::{Content, ContentFile, MobileKeyName};
pub use extract::{ExtractError, RejectRule, Warning};
pub use generation::{GenerationName, GenerationNameError};
pub use open::{
    Generation, KeylessGeneration, OpenError, open_current, open_current_keyless, open_generation,
    open_generation_in, read_current,
};
pub use publish::PublishError;
