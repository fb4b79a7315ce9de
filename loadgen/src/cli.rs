//! The command line as clap reads it: raw, only ranges checked. `config` makes sense of it.
//!
//! Keys are never arguments: the process list shows those to everyone on the machine.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::result::{OutputArgs, ReportArgs};

const EXAMPLE: &str = "\
Example:
  estehqaq extract synth --people 1000000 --seed 7 --out extract.csv --targets targets.ndjson
  loadgen run --scenario record-day --url http://127.0.0.1:8080 --targets targets.ndjson --key-file desk.key \\
      --report report.html

Exit codes: 0 all goals met, 3 a goal missed, 4 the measurement is invalid, 2 wrong usage, 1 failed before a result.";

/// Sends inquiries to a server, checks every answer, measures latency from the intended send time, and says
/// whether the goals were met - or that the measurement cannot be trusted
#[derive(Debug, Parser)]
#[command(name = "loadgen", version, after_help = EXAMPLE)]
pub struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// One run: a scenario, or a steady --rate, or a closed loop when neither is given
    ///
    /// In an open loop a schedule fixes every intended send time and latency counts from there. In a closed
    /// loop each connection sends the next inquiry when the answer to the last is in; its latency leaves out
    /// the time that requests would have waited while the server was slow (coordinated omission), and every
    /// output says so. Any host may be named: point it only at hosts that are yours to load.
    #[command(after_help = EXAMPLE)]
    Run(RunArgs),
    /// The highest rate at which a scenario's goals are met, with an interval
    Capacity(CapacityArgs),
    /// Two results, or two servers taking turns: the ratio of their latencies, with an interval
    Compare(CompareArgs),
    /// What this machine can send and how little it can see, against a server that does nothing
    Calibrate(CalibrateArgs),
    /// Joins the results of several --shard workers into one
    Merge(MergeArgs),
    /// Make a report, CSV or an HdrHistogram log from a result that was written as JSON
    Report(ReportArgs),
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

/// How requests follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ArrivalsArg {
    Poisson,
    Uniform,
}

/// What to ask, and as whom.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct TrafficArgs {
    /// NDJSON, one {"request": {...}, "expected": {"general": ..., "personal": ...}} a line
    #[arg(long, value_name = "FILE")]
    pub(crate) targets: PathBuf,

    /// A file with one API key, id.secret, a line; connections are spread over them
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,

    /// PEM certificates of the authorities to trust for an https:// URL; those of this machine unless given
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,

    /// demand, national-peak, retry-storm, record-day, or a TOML file
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) scenario: Option<String>,

    /// Where to send the targets when there is no scenario; general unless given
    #[arg(long, value_enum, conflicts_with = "scenario")]
    pub(crate) endpoint: Option<EndpointArg>,

    /// A goal when there is no scenario, such as p99_9_us=5000 or errors_share_max=0.001
    #[arg(long, value_name = "GOAL=LIMIT", conflicts_with = "scenario")]
    pub(crate) goal: Vec<String>,

    /// Connections, each with one request in flight at most; 16, or as the scenario says
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) connections: Option<u32>,

    /// Sender threads
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) threads: u32,

    /// Milliseconds from the intended send time after which a request counts as a timeout; 5000, or as the
    /// scenario says
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u32).range(1..=600_000))]
    pub(crate) timeout_ms: Option<u32>,

    /// Decides the schedule and what is asked; 1, or as the scenario says
    #[arg(long, value_name = "S")]
    pub(crate) seed: Option<u64>,

    /// Tracking codes to remember, to find repeated ones; 16 to 32 bytes of memory each
    #[arg(long, value_name = "N", default_value_t = 2_000_000, value_parser = clap::value_parser!(u32).range(0..=200_000_000))]
    pub(crate) tracking_codes_max: u32,

    /// Computed away after each answer, to see what the verdict says of a client that is too slow
    #[arg(long, value_name = "US", hide = true, default_value_t = 0)]
    pub(crate) handicap_us: u32,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The server, http://HOST:PORT or https://HOST:PORT, without a path
    #[arg(long, value_name = "URL")]
    pub(crate) url: String,

    #[command(flatten)]
    pub(crate) traffic: TrafficArgs,

    /// Requests a second, for an open loop without a scenario
    #[arg(long, value_name = "N", conflicts_with = "scenario", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) rate: Option<u32>,

    /// How requests follow each other at --rate; poisson unless given
    #[arg(long, value_enum, requires = "rate")]
    pub(crate) arrivals: Option<ArrivalsArg>,

    /// Seconds to measure, a day at most; requests in flight at the end are waited for; 10 unless given
    #[arg(long, value_name = "S", conflicts_with = "scenario", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) duration_s: Option<u32>,

    /// Requests to measure at most, in a closed loop
    #[arg(long, value_name = "N", conflicts_with_all = ["scenario", "rate"], value_parser = clap::value_parser!(u64).range(1..=10_000_000_000))]
    pub(crate) requests_max: Option<u64>,

    /// Seconds before measuring; answers are checked then too, but not timed; none unless given
    #[arg(long, value_name = "S", conflicts_with = "scenario", value_parser = clap::value_parser!(u32).range(0..=3_600))]
    pub(crate) warmup_s: Option<u32>,

    /// Carry out part I of N of the schedule; all parts together are the whole
    #[arg(long, value_name = "I/N")]
    pub(crate) shard: Option<String>,

    /// When to start, in Unix milliseconds: the same for all shards
    #[arg(long, value_name = "MS")]
    pub(crate) start_at: Option<u64>,

    /// The server's metrics, in Prometheus' text form, looked at once before and once after the run; /metrics unless a
    /// path is given
    #[arg(long, value_name = "URL", requires = "server_histogram")]
    pub(crate) server_metrics: Option<String>,

    /// A histogram there of which the result tells what came during the run, as the server's own words; may be repeated
    #[arg(long, value_name = "NAME", requires = "server_metrics")]
    pub(crate) server_histogram: Vec<String>,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CapacityArgs {
    /// The server, http://HOST:PORT or https://HOST:PORT, without a path
    #[arg(long, value_name = "URL")]
    pub(crate) url: String,

    #[command(flatten)]
    pub(crate) traffic: TrafficArgs,

    /// The first rate tried
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) from_rate: u32,

    /// The highest rate tried
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) rate_max: u32,

    /// Seconds measured at each rate; longer where a percentile needs more samples
    #[arg(long, value_name = "S", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub(crate) step_s: u32,

    /// How often each level near the capacity is repeated
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    pub(crate) repeats: u32,

    /// Seconds the search may take: no try begins that would end later, and the result says when this ended it
    #[arg(long, value_name = "S", default_value_t = 1_800, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) budget_s: u32,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// Two result files written with --out: A, then B
    #[arg(
        value_name = "RESULT", num_args = 2, conflicts_with_all = ["a_url", "b_url", "a", "b"],
        required_unless_present_any = ["a_url", "a"]
    )]
    pub(crate) results: Vec<PathBuf>,

    /// A result file of side A; repeated, with as many --b, each is a turn of its side, and 5 a side tell a difference
    #[arg(long, value_name = "FILE", requires = "b", conflicts_with_all = ["a_url", "b_url"])]
    pub(crate) a: Vec<PathBuf>,

    /// A result file of side B
    #[arg(long, value_name = "FILE", requires = "a")]
    pub(crate) b: Vec<PathBuf>,

    /// The first server; then --b-url, --targets and --scenario must be given too
    #[arg(long, value_name = "URL", requires_all = ["b_url", "targets", "scenario"])]
    pub(crate) a_url: Option<String>,

    /// The second server
    #[arg(long, value_name = "URL", requires = "a_url")]
    pub(crate) b_url: Option<String>,

    /// As for `run`
    #[arg(long, value_name = "FILE", requires = "a_url")]
    pub(crate) targets: Option<PathBuf>,

    /// As for `run`
    #[arg(long, value_name = "FILE", requires = "a_url")]
    pub(crate) key_file: Option<PathBuf>,

    /// As for `run`
    #[arg(long, value_name = "FILE", requires = "a_url")]
    pub(crate) ca: Option<PathBuf>,

    /// As for `run`
    #[arg(long, value_name = "NAME|FILE", requires = "a_url")]
    pub(crate) scenario: Option<String>,

    /// How often the servers take turns as A B B A: each time lasts as long as four runs of the scenario, so that 3 take
    /// 7 minutes with record-day and 43 with demand. Fewer than 3 tell no difference
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=50))]
    pub(crate) rounds: u32,

    /// Compare although machine, scenario or mode differ
    #[arg(long)]
    pub(crate) allow_different: bool,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CalibrateArgs {
    /// Sender threads
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) threads: u32,

    /// Connections
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) connections: u32,

    /// The first rate tried
    #[arg(long, value_name = "N", default_value_t = 8_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) from_rate: u32,

    /// The highest rate tried
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) rate_max: u32,

    /// Seconds at each rate
    #[arg(long, value_name = "S", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub(crate) step_s: u32,

    /// The latency goal, in microseconds, for which the ceiling is to hold
    #[arg(long, value_name = "US", default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(10..=10_000_000))]
    pub(crate) goal_us: u32,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(crate) struct MergeArgs {
    /// The workers' results, written with --out
    #[arg(value_name = "RESULT", required = true)]
    pub(crate) results: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}
