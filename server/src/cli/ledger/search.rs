//! `ledger search`: the inquiries about a person, the newest first, for callers without a code. The ID comes from a file
//! or from standard input, so that it shows neither in the list of processes nor in the shell's history. Each search is
//! an entry, on stable storage before the first line leaves.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::ledger::{Cursor, Deed, LIMIT_DEFAULT, LIMIT_MAX, LedgerReader, RealDisk, Search, Span};
use clap::Args;
use clap::builder::RangedU64ValueParser;
use engine::{Day, IdKind, PersonId};

use super::super::options::{CommandError, day, id_kind};
use super::super::output;
use super::super::secrets::Secrets;
use super::acting::{Actor, act_now, note};
use super::{Places, Row};

/// Bytes of a file with an ID at most.
const ID_LEN_MAX: u64 = 256;

#[derive(Args)]
pub(crate) struct SearchArgs {
    #[command(flatten)]
    places: Places,
    /// File with the person's ID, - for standard input
    #[arg(long, value_name = "FILE")]
    person_id_file: PathBuf,
    /// national or foreign
    #[arg(long, value_name = "KIND", default_value = "national", value_parser = id_kind)]
    id_kind: IdKind,
    /// The first day of the answers, Jalali or Gregorian
    #[arg(long, value_name = "DATE", value_parser = day)]
    from: Option<Day>,
    /// The last day of the answers
    #[arg(long, value_name = "DATE", value_parser = day)]
    to: Option<Day>,
    /// Inquiries shown at most, 1 to 100
    #[arg(long, value_name = "N", default_value_t = LIMIT_DEFAULT, value_parser = limit())]
    limit: usize,
    /// Go on where an earlier search for this person ended
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,
    #[command(flatten)]
    actor: Actor,
}

fn limit() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=LIMIT_MAX as u64)
}

pub(super) fn run(args: &SearchArgs) -> Result<(), CommandError> {
    let person = read_person(&args.person_id_file, args.id_kind)?;
    let keys = Arc::new(Secrets::load(&args.places.secrets.path)?.ledger_keys()?);
    let after = args.after.as_deref().map(|text| Cursor::parse(text, person, &keys)).transpose()?;
    let disk = RealDisk::new(&args.places.ledger.dir);
    let reader = LedgerReader::open(&disk, keys.clone())?;
    let span = Span { first: args.from, last: args.to };
    let page = reader.search(&Search { person, span, limit: args.limit, after })?;
    let deed = Deed::DeskSearch {
        person: person.into(),
        first_day: args.from.unwrap_or(Day::MIN),
        last_day: args.to.unwrap_or(Day::MAX),
        shown: page.found.len() as u64,
        skipped: page.skipped,
    };
    note(&disk, &reader, &keys, &act_now(&args.actor, deed)?)?;
    for found in &page.found {
        output::json(&Row::new(&reader, found))?;
    }
    if page.segments_not_searchable > 0 {
        let segments = page.segments_not_searchable;
        output::note(&format!(
            "{segments} segments cannot be searched any more: their month's key is not here"
        ));
    }
    if let Some(cursor) = page.next {
        output::note(&format!("there are more: --after {cursor}"));
    }
    Ok(())
}

/// Reads an ID. Errors do not quote it.
fn read_person(path: &Path, kind: IdKind) -> Result<PersonId, CommandError> {
    let source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(path).map_err(|error| cannot_read(path, &error))?)
    };
    let mut text = String::new();
    source.take(ID_LEN_MAX).read_to_string(&mut text).map_err(|error| cannot_read(path, &error))?;
    PersonId::parse(kind, text.trim_end()).map_err(|error| {
        CommandError::failed(format!("{}: {error}; it must hold one ID and nothing else", path.display()))
    })
}

fn cannot_read(path: &Path, error: &io::Error) -> CommandError {
    CommandError::failed(format!("cannot read {}: {error}; check --person-id-file", path.display()))
}
