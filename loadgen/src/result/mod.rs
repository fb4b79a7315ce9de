//! What a measurement comes to, and the forms in which it leaves the program.
//!
//! `model` (a run), `beside` (client and server), `search` (capacity, compare, calibrate) and `verdict` are data alone: the core fills
//! them, the writers here read them. Every writer takes a finished document and a stream; none of them opens
//! a connection, reads a clock or computes a percentile other than from a histogram.

mod beside;
mod convert;
mod csv;
mod document;
#[cfg(test)]
mod form_tests;
mod hdr_log;
mod html;
mod model;
mod output_file;
mod outputs;
#[cfg(test)]
mod sample;
#[cfg(test)]
pub(crate) use sample::run as sample_run;
mod search;
mod text;
mod verdict;

pub(crate) use beside::{ClientFacts, ServerHistogram, ServerOver, ServerSays};
pub(crate) use convert::{ReportArgs, ReportError, report};
pub(crate) use document::{Document, DocumentError};

pub(crate) use model::{
    ConnectionFacts, FirstWrongFacts, Mode, Provenance, RunResult, SCHEMA_VERSION, ScenarioFacts, ShardFacts,
    StageResult, Swap, Tallied, TargetFacts, Timeline, TimelinePoint, TrackingCodeFacts,
};
pub(crate) use outputs::{OutputArgs, OutputError, Outputs};
pub(crate) use search::{
    CalibrationResult, CapacityResult, CapacityStep, CompareResult, CompareRound, CompareSide, Limit, Ratio,
    SearchSettings, StepPhase, TURNS_MIN,
};
pub(crate) use text::describe_goal;
pub(crate) use verdict::{Goal, GoalVerdict, Verdict, VerdictFacts};
