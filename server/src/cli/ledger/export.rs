//! `ledger export`: entries as CSV or NDJSON on stdout. IDs are masked; to reveal them is an act, whose entry is on stable
//! storage before the first line leaves.

use std::io::{self, BufWriter, Write};
use std::sync::Arc;

use ::ledger::{Deed, Found, LedgerReader, Placed, ReadError, RealDisk, Span};
use clap::{Args, ValueEnum};
use engine::Day;

use super::super::options::{CommandError, day};
use super::super::output;
use super::super::progress::Bar;
use super::super::secrets::Secrets;
use super::acting::{Actor, act_now, note};
use super::{Places, Row, acts, csv};

#[derive(Args)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    places: Places,
    #[arg(long, value_enum, default_value = "ndjson")]
    format: Format,
    /// The first day of the answers, Jalali or Gregorian
    #[arg(long, value_name = "DATE", value_parser = day)]
    from: Option<Day>,
    /// The last day of the answers
    #[arg(long, value_name = "DATE", value_parser = day)]
    to: Option<Day>,
    /// Show the IDs in full; that is itself an entry of the ledger
    #[arg(long)]
    reveal: bool,
    /// Tell of acts instead of inquiries: who read, searched, exported or pruned what
    #[arg(long, conflicts_with = "reveal")]
    acts: bool,
    #[command(flatten)]
    actor: Actor,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// One JSON object a line
    Ndjson,
    /// RFC 4180 with a header; lists are joined by spaces, and a text that a spreadsheet would take for a formula begins
    /// with an apostrophe
    Csv,
}

pub(super) fn run(args: &ExportArgs) -> Result<(), CommandError> {
    args.actor.goes_with_reveal(args.reveal)?;
    let keys = Arc::new(Secrets::load(&args.places.secrets.path)?.ledger_keys()?);
    let disk = RealDisk::new(&args.places.ledger.dir);
    let reader = LedgerReader::open(&disk, keys.clone())?;
    let span = Span { first: args.from, last: args.to };
    if args.acts {
        return match args.format {
            Format::Ndjson => acts::write(&reader, span),
            Format::Csv => {
                Err(CommandError::Usage("--acts has no --format csv: acts differ in kind".to_owned()))
            }
        };
    }
    if !args.reveal {
        let bar = Bar::beside_results("exporting", reader.entries_max(span));
        return write(args.format, &reader, inquiries(&reader, span).inspect(|_| bar.add(1)), false);
    }
    let bar = Bar::beside_results("exporting", reader.entries_max(span) * 2);
    // The whole of it is read before: what cannot be read is told before anything is revealed.
    let mut entries = 0;
    for found in inquiries(&reader, span) {
        found?;
        bar.add(1);
        entries += 1;
    }
    let deed = Deed::Export { first_day: args.from, last_day: args.to, entries, revealed: true };
    note(&disk, &reader, &keys, &act_now(&args.actor, deed)?)?;
    // No more than the entry tells of, whatever has been appended since.
    let bounded = inquiries(&reader, span).take(usize::try_from(entries).unwrap_or(usize::MAX));
    write(args.format, &reader, bounded.inspect(|_| bar.add(1)), true)
}

fn inquiries(reader: &LedgerReader, span: Span) -> impl Iterator<Item = Result<Found, ReadError>> {
    reader.records_of(span).filter_map(|placed| placed.map(Placed::inquiry).transpose())
}

fn write(
    format: Format,
    reader: &LedgerReader,
    entries: impl Iterator<Item = Result<Found, ReadError>>,
    reveal: bool,
) -> Result<(), CommandError> {
    let mut out = BufWriter::new(io::stdout().lock());
    if matches!(format, Format::Csv) {
        output::tolerate_closed_pipe(write!(out, "{}\r\n", csv::header()))?;
    }
    for found in entries {
        let found = found?;
        let mut row = Row::new(reader, &found);
        if reveal && let Some(person) = found.entry.person.person() {
            row.person_id = person.reveal();
        }
        let written = match format {
            Format::Ndjson => writeln!(out, "{}", serde_json::to_string(&row)?),
            Format::Csv => write!(out, "{}\r\n", csv::line(&serde_json::to_value(&row)?)),
        };
        match written {
            // Whoever reads has enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => output::tolerate_closed_pipe(written)?,
        }
    }
    output::tolerate_closed_pipe(out.flush())
}
