//! `ledger`: the record of answers, offline. Person IDs are masked, but where they are revealed, which is an entry.

mod acting;
mod acts;
mod csv;
mod export;
mod find;
mod prune;
mod restore;
mod search;
mod segments;
mod ship;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use ::ledger::{Found, LedgerReader, Month, Outcome, RealDisk, Subject};
use clap::{Args, Subcommand, value_parser};
use engine::{Branch, Day, Entitlement, Insurer, Notice};
use jiff::Timestamp;
use serde::Serialize;
use snapshots::GenerationName;

use super::options::{CommandError, LedgerDir, SecretsFile};
use super::output;
use super::progress::Bar;
use super::secrets::Secrets;
use super::serve::{DEFAULT_LEDGER, ledger_disk};

#[derive(Subcommand)]
pub(crate) enum LedgerCommand {
    /// Give an empty folder its ledger number, for life
    Init(InitArgs),
    /// What was asked and answered under a tracking code
    Find(find::FindArgs),
    /// What was asked and answered about a person; that it was searched for is itself an entry
    Search(search::SearchArgs),
    /// Check every entry: checksums, order and chain
    Verify(VerifyArgs),
    /// Inquiries on stdout, or acts; all of them or those of some days
    Export(export::ExportArgs),
    /// Bring sealed segments off this host; the next run goes on where this one ended
    Ship(ship::ShipArgs),
    /// Remove sealed segments whose entries are all old enough
    Prune(prune::PruneArgs),
    /// Make a new folder a ledger that begins with the segments of an earlier one
    Restore(restore::RestoreArgs),
}

#[derive(Args)]
pub(crate) struct Places {
    #[command(flatten)]
    ledger: LedgerDir,
    #[command(flatten)]
    secrets: SecretsFile,
}

#[derive(Args)]
pub(crate) struct InitArgs {
    #[command(flatten)]
    places: Places,
    /// 1 to 9999; a number that no other ledger has or had. After a restore from backup, take a new one
    #[arg(long, value_name = "N", default_value_t = DEFAULT_LEDGER, value_parser = value_parser!(u16).range(1..=9999))]
    number: u16,
}

#[derive(Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    places: Places,
    /// List the segments too: number, entries, first and last sequence and time, digest; to be noted elsewhere
    #[arg(long)]
    segments: bool,
}

pub(super) fn run(command: &LedgerCommand) -> Result<(), CommandError> {
    match command {
        LedgerCommand::Init(args) => init(args),
        LedgerCommand::Find(args) => find::run(args),
        LedgerCommand::Search(args) => search::run(args),
        LedgerCommand::Verify(args) => verify(args),
        LedgerCommand::Export(args) => export::run(args),
        LedgerCommand::Ship(args) => ship::run(args),
        LedgerCommand::Prune(args) => prune::run(args),
        LedgerCommand::Restore(args) => restore::run(args),
    }
}

impl Places {
    fn reader(&self) -> Result<LedgerReader, CommandError> {
        let keys = Arc::new(Secrets::load(&self.secrets.path)?.ledger_keys()?);
        Ok(LedgerReader::open(&RealDisk::new(&self.ledger.dir), keys)?)
    }
}

fn init(args: &InitArgs) -> Result<(), CommandError> {
    let keys = Secrets::load(&args.places.secrets.path)?.ledger_keys()?;
    let disk = ledger_disk(&args.places.ledger.dir)?;
    ::ledger::Ledger::init(&disk, args.number, &keys)?;
    output::line(&format!("{} is ledger {}", args.places.ledger.dir.display(), args.number))
}

fn verify(args: &VerifyArgs) -> Result<(), CommandError> {
    let reader = args.places.reader()?;
    let bar = Bar::new("verifying", reader.len_bytes());
    let (begun, done) = (Instant::now(), AtomicU64::new(0));
    let verified = reader.verify_with(&|bytes| bar.set(done.fetch_add(bytes, Ordering::Relaxed) + bytes));
    bar.finish();
    let report = verified.report;
    let range = report
        .sequences
        .map_or("no sequences".to_owned(), |(first, last)| format!("sequences {first} to {last}"));
    output::line(&format!(
        "ledger {}: {} entries in order ({} inquiries, {} openings, {} closings, {} acts), {range}",
        report.ledger, report.entries, report.inquiries, report.openings, report.closings, report.acts
    ))?;
    let (seconds, gigabytes) = (begun.elapsed().as_secs_f64(), report.bytes as f64 / 1e9);
    output::line(&format!(
        "{} segments, {gigabytes:.3} GB in {seconds:.2} s, {:.2} GB/s",
        report.segments,
        gigabytes / seconds
    ))?;
    if let Some(head) = report.head {
        output::line(&format!("head {head}"))?;
    }
    if args.segments {
        segments::list(&reader, &verified)?;
    }
    if report.unfinished_bytes > 0 {
        output::line(&format!("{} bytes of an unfinished batch at the end", report.unfinished_bytes))?;
    }
    match verified.fault {
        None if report.openings == 0 => Ok(()),
        None if report.closed => output::line("closed clean"),
        None => output::line("not closed: a server is at work on it, or ended unclean"),
        Some(fault) => Err(fault.into()),
    }
}

/// An entry as it is shown.
#[derive(Serialize)]
struct Row {
    tracking_code: String,
    sequence: u64,
    answered_at: String,
    channel: &'static str,
    provider: String,
    id_kind: &'static str,
    person_id: String,
    care: &'static str,
    service_date: String,
    language: &'static str,
    status: &'static str,
    reason: &'static str,
    notices: Vec<&'static str>,
    end_date: Option<String>,
    open_ended: bool,
    snapshot: String,
    rules_version: u8,
    ledger: u16,
    /// Where it stands, as an auditor looks for its bytes.
    segment: Option<u32>,
    entry: Option<u64>,
    /// The id of the month key that hides its person.
    month_key: Option<u32>,
    decided_by: Option<Terms>,
}

/// What was stored of the entitlement that decided.
#[derive(Serialize)]
struct Terms {
    category: &'static str,
    relation: &'static str,
    coverage_start: String,
    coverage_end: Option<String>,
    turns_19: Option<String>,
    student_until: Option<String>,
    document_due: Option<String>,
    other_insurer: Option<&'static str>,
    branch: Option<u16>,
}

impl Terms {
    fn new(entitlement: &Entitlement) -> Terms {
        let shown = |day: Option<Day>| day.map(|day| day.iso().to_string());
        Terms {
            category: entitlement.category.code(),
            relation: entitlement.relation.code(),
            coverage_start: entitlement.start.iso().to_string(),
            coverage_end: shown(entitlement.end),
            turns_19: shown(entitlement.turns_19),
            student_until: shown(entitlement.student_until),
            document_due: shown(entitlement.document_due),
            other_insurer: entitlement.other_insurer.map(Insurer::code),
            branch: entitlement.branch.map(Branch::number),
        }
    }
}

impl Row {
    fn new(reader: &LedgerReader, found: &Found) -> Row {
        let Found { ledger, sequence, entry, .. } = found;
        let home = reader.home(*ledger, *sequence);
        Row {
            // A mismatch's code goes to nobody.
            tracking_code: match entry.outcome {
                Outcome::MobileMismatch => String::new(),
                _ => reader.code_given(found).to_string(),
            },
            sequence: *sequence,
            answered_at: time(entry.time_ms),
            channel: entry.channel.code(),
            provider: entry.provider.as_str().to_owned(),
            id_kind: entry.person.kind().code(),
            person_id: masked(entry.person),
            care: entry.care.code(),
            service_date: entry.service_day.iso().to_string(),
            language: entry.language.code(),
            status: entry.outcome.code(),
            reason: entry.reason.code(),
            notices: entry.notices.iter().map(Notice::code).collect(),
            end_date: entry.end.map(|end| end.iso().to_string()),
            open_ended: entry.open_ended,
            snapshot: GenerationName::from_parts(entry.as_of, entry.generation).to_string(),
            rules_version: entry.rules_version,
            ledger: *ledger,
            segment: home.map(|home| home.segment),
            entry: home.and_then(|home| home.slot),
            month_key: home.and_then(|home| home.month).map(Month::number),
            decided_by: entry.decided_by.map(|terms| Terms::new(&terms.entitlement())),
        }
    }
}

/// A time of the ledger, in UTC.
fn time(unix_ms: u64) -> String {
    let milliseconds = i64::try_from(unix_ms).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::MAX).to_string()
}

/// The last three digits, enough to compare with a card at hand; nothing once the month's key was destroyed.
fn masked(person: Subject) -> String {
    let Some(person) = person.person() else { return String::new() };
    let digits = person.reveal();
    let shown = digits.len() - 3;
    format!("{}{}", "*".repeat(shown), &digits[shown..])
}
