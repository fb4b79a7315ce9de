//! `ledger export --acts`: who looked into the ledger, took something out or removed something, one JSON object a line.
//! Whom a search was for is masked.

use std::io::{self, BufWriter, Write};

use ::ledger::{Act, Deed, LedgerReader, Placed, Record, Span};
use engine::Day;
use serde::Serialize;

use super::super::options::CommandError;
use super::super::output;
use super::{masked, time};

/// An act as it is shown.
#[derive(Serialize)]
struct ActRow<'a> {
    ledger: u16,
    sequence: u64,
    at: String,
    actor: &'a str,
    #[serde(flatten)]
    deed: DeedRow,
}

#[derive(Serialize)]
#[serde(tag = "deed", rename_all = "snake_case")]
enum DeedRow {
    DeskRead {
        entry_ledger: u16,
        entry_sequence: u64,
        revealed: bool,
    },
    DeskSearch {
        id_kind: &'static str,
        person_id: String,
        from: String,
        to: String,
        shown: u64,
        skipped: u64,
    },
    Export {
        from: Option<String>,
        to: Option<String>,
        entries: u64,
        revealed: bool,
    },
    Prune {
        segment: u32,
        entries: u64,
    },
}

impl From<Deed> for DeedRow {
    fn from(deed: Deed) -> DeedRow {
        let shown = |day: Day| day.iso().to_string();
        match deed {
            Deed::DeskRead { ledger, sequence, revealed } => {
                DeedRow::DeskRead { entry_ledger: ledger, entry_sequence: sequence, revealed }
            }
            Deed::DeskSearch { person, first_day, last_day, shown: count, skipped } => DeedRow::DeskSearch {
                id_kind: person.kind().code(),
                person_id: masked(person),
                from: shown(first_day),
                to: shown(last_day),
                shown: count,
                skipped,
            },
            Deed::Export { first_day, last_day, entries, revealed } => {
                DeedRow::Export { from: first_day.map(shown), to: last_day.map(shown), entries, revealed }
            }
            Deed::Prune { segment, entries } => DeedRow::Prune { segment, entries },
        }
    }
}

/// Writes the acts of a span of days to stdout.
pub(super) fn write(reader: &LedgerReader, span: Span) -> Result<(), CommandError> {
    let mut out = BufWriter::new(io::stdout().lock());
    for placed in reader.records_of(span) {
        let Placed { ledger, sequence, record, .. } = placed?;
        let Record::Act(Act { time_ms, actor, deed }) = record else { continue };
        let (at, actor) = (time(time_ms), actor.as_str());
        let row = ActRow { ledger, sequence, at, actor, deed: deed.into() };
        match writeln!(out, "{}", serde_json::to_string(&row)?) {
            // Whoever reads has enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => output::tolerate_closed_pipe(written)?,
        }
    }
    output::tolerate_closed_pipe(out.flush())
}
