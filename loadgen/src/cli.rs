//! The command line as clap reads it: raw, only ranges checked. `config` makes sense of it.
//!
//! Keys are never arguments: the process list shows those to everyone on the machine.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

const EXAMPLE: &str = "\
Example:
  estehqaq extract synth --people 1000000 --seed 7 --out extract.csv --targets targets.ndjson
  loadgen run --url http://127.0.0.1:8080 --targets targets.ndjson --key-file desk.key --connections 32

Exit codes: 0 all answers right, 3 wrong answers or errors, 2 wrong usage, 1 failed before a result.";

/// Sends inquiries to a server, checks every answer, measures latency
#[derive(Debug, Parser)]
#[command(name = "loadgen", version, after_help = EXAMPLE)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// One closed-loop run: each connection sends the next inquiry when the answer to the last is in
    ///
    /// Closed-loop latency leaves out the time that requests would have waited while the server was slow
    /// (coordinated omission); every output says so. Any host may be named: point it only at hosts that are
    /// yours to load.
    #[command(after_help = EXAMPLE)]
    Run(RunArgs),
}

impl Cli {
    pub(crate) fn into_run(self) -> RunArgs {
        let Command::Run(args) = self.command;
        args
    }
}

/// Which endpoints the targets are sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EndpointArg {
    /// POST /v1/inquiries, with a key
    General,
    /// POST /v1/personal-inquiries, without one
    Personal,
    /// Every target once to each of the two in every pass
    Mixed,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The server, http://HOST:PORT without a path
    #[arg(long, value_name = "URL")]
    pub(crate) url: String,

    /// NDJSON, one {"request": {...}, "expected": {"general": ..., "personal": ...}} a line
    #[arg(long, value_name = "FILE")]
    pub(crate) targets: PathBuf,

    /// A file with one API key, id.secret, a line; connections are spread over them
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,

    /// Where to send the targets
    #[arg(long, value_enum, default_value = "general")]
    pub(crate) endpoint: EndpointArg,

    /// Connections, each with one request in flight at most
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) connections: u32,

    /// Seconds to measure, a day at most; requests in flight at the end are waited for
    #[arg(long, value_name = "S", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) duration_s: u32,

    /// Requests to measure at most
    #[arg(long, value_name = "N", default_value_t = 100_000_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000_000))]
    pub(crate) requests_max: u64,

    /// Seconds before measuring; answers are checked then too, but not timed
    #[arg(long, value_name = "S", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=3_600))]
    pub(crate) warmup_s: u32,

    /// Milliseconds after which a request counts as a timeout and its connection is replaced
    #[arg(long, value_name = "MS", default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=600_000))]
    pub(crate) timeout_ms: u32,

    /// Decides the order of the targets; same seed and targets, same order
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub(crate) seed: u64,

    /// Tracking codes to remember, to find repeated ones; about 18 bytes of memory each
    #[arg(long, value_name = "N", default_value_t = 5_000_000, value_parser = clap::value_parser!(u32).range(0..=200_000_000))]
    pub(crate) tracking_codes_max: u32,

    /// One JSON object on stdout instead of text
    #[arg(long)]
    pub(crate) json: bool,
}
