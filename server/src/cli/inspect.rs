//! `snapshot inspect`: all of one generation in words or as JSON, and how each gate judges it. Changes nothing.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use snapshots::{Event, GateReport, InspectedFile, Inspection, JournalLine, Publication};

use super::gates::GateSettings;
use super::generations::store;
use super::options::{self, CommandError, SnapshotsDir, WhichGeneration};
use super::output;

#[derive(Args)]
pub(crate) struct InspectArgs {
    #[command(flatten)]
    snapshots: SnapshotsDir,
    /// The generation: its name, `current`, or `previous`, where a rollback would lead
    #[arg(value_name = "GENERATION", default_value = "current")]
    generation: WhichGeneration,
    #[command(flatten)]
    gates: GateSettings,
    /// Check its signatures with the keys in this file, one a line
    #[arg(long, value_name = "FILE", env = "ESTEHQAQ_PUBLIC_KEY")]
    public_key: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &InspectArgs) -> Result<(), CommandError> {
    let store = store(&args.snapshots);
    let name = args.generation.name(&store)?;
    let keys = args.public_key.as_deref().map_or(Ok(Vec::new()), options::read_public_keys)?;
    let inspection = store.inspect(&name, &args.gates.limits(), &keys)?;
    if args.json { output::json(&inspection) } else { output::line(told(&inspection).trim_end()) }
}

fn told(inspection: &Inspection) -> String {
    let mut text = String::new();
    let mut tell = |label: &str, value: &str| {
        // Only a text that cannot grow fails.
        let _ = writeln!(text, "{label:<12}{value}");
    };
    tell("generation", &inspection.generation.to_string());
    tell("state", &state(inspection));
    tell("as of", &inspection.as_of);
    let counts = &inspection.counts;
    tell(
        "rows",
        &format!(
            "{}: {} entitlements, {} duplicates, {} rejected{}",
            counts.rows,
            counts.entitlements,
            counts.duplicates,
            counts.rejected,
            inspection
                .rejects_path
                .as_ref()
                .map_or(String::new(), |path| format!(" (see {})", path.display()))
        ),
    );
    tell(
        "people",
        &format!(
            "{}, {} incomplete; {} covered on the as-of date",
            counts.people, counts.incomplete, counts.covered
        ),
    );
    tell("categories", &listed(&inspection.categories));
    tell("relations", &listed(&inspection.relations));
    tell("warnings", &listed(&inspection.warnings));
    tell("mobile key", &format!("{}, digest {}", inspection.mobile_key.id, inspection.mobile_key.digest));
    inspection.files.iter().for_each(|one| tell("file", &file(one)));
    for one in &inspection.signatures {
        let key = one.key.as_ref().map_or(String::new(), |key| format!(" (key {key})"));
        tell("signature", &format!("{}: {}{key}", one.file, one.state.told()));
    }
    publication(&inspection.publication).iter().for_each(|(label, value)| tell(label, value));
    inspection.journal.iter().for_each(|line| tell("journal", &journal_line(line)));
    let beside = inspection.compared_with.map_or("no other generation".to_owned(), |name| name.to_string());
    tell("judged now", &format!("beside {beside}"));
    inspection.gates.iter().for_each(|report| tell("gate", &gate(report)));
    tell("next", &inspection.next);
    text
}

fn state(inspection: &Inspection) -> String {
    let current = if inspection.current { ", current" } else { "" };
    let since = inspection.since.map_or(String::new(), |since| format!(", since {since}"));
    let by = inspection.by.as_ref().map_or(String::new(), |by| format!(", by {by}"));
    let why = inspection.why.as_ref().map_or(String::new(), |why| format!(": {why}"));
    format!("{}{current}{since}{by}{why}", inspection.state.code())
}

fn listed(counts: &BTreeMap<String, u64>) -> String {
    let counts: Vec<_> = counts.iter().map(|(code, count)| format!("{code} {count}")).collect();
    if counts.is_empty() { "none".to_owned() } else { counts.join(", ") }
}

fn file(file: &InspectedFile) -> String {
    let length = file.length.map_or("missing".to_owned(), |length| format!("{length} bytes"));
    let damaged = match file.listed_length {
        Some(listed) if !file.whole => format!(", DAMAGED: {listed} bytes were written"),
        _ => String::new(),
    };
    let digest = file.blake3.as_deref().unwrap_or("-");
    format!("{}: {length}, BLAKE3 {digest}{damaged}", file.name)
}

fn publication(publication: &Publication) -> Vec<(&'static str, String)> {
    let Publication { program_version, started_at, verified_at, source, .. } = publication;
    let mut told = vec![
        ("source", format!("{}: {} bytes, BLAKE3 {}", source.file_name, source.length, source.blake3)),
        ("built", format!("from {started_at} to {verified_at}, by version {program_version}")),
    ];
    let verdict = |passed| if passed { "passed" } else { "refused" };
    told.extend(publication.gates.iter().map(|outcome| {
        ("judged then", format!("{} {}: {}", verdict(outcome.passed), outcome.gate.code(), outcome.found))
    }));
    told.extend(publication.accepted.iter().map(|accepted| {
        let gates: Vec<_> = accepted.gates.iter().map(|gate| gate.code()).collect();
        let (by, at) = (&accepted.by, accepted.at);
        ("accepted", format!("{} ({}) by {by} at {at}", accepted.reason, gates.join(", ")))
    }));
    told
}

fn journal_line(line: &JournalLine) -> String {
    let what = match &line.event {
        Event::Built { generation } => format!("built {generation}"),
        Event::Published { generation, before, overrode, .. } => {
            let before = before.map_or(String::new(), |before| format!(" in the place of {before}"));
            let gates: Vec<_> = overrode.iter().map(|gate| gate.code()).collect();
            let gates =
                if gates.is_empty() { String::new() } else { format!(", overriding {}", gates.join(", ")) };
            format!("published {generation}{before}{gates}")
        }
        Event::RolledBack { generation, to } => format!("rolled back {generation} to {to}"),
        Event::Pruned { generation } => format!("pruned {generation}"),
        Event::Abandoned { of } => format!("line {of} did not come true"),
    };
    let why = line.why.as_ref().map_or(String::new(), |why| format!(": {why}"));
    format!("{} {} {} {what}{why}", line.seq, line.at, line.by)
}

fn gate(report: &GateReport) -> String {
    let verdict = match report.outcome {
        None => "not asked",
        Some(_) if report.refuses() => "REFUSES",
        Some(_) => "passes",
    };
    format!("{} {verdict}: {}", report.gate.code(), report.sentence())
}
