//! `ledger find`: the entry of a tracking code, without a lock. The person's ID is masked; to reveal it is a read of the
//! desk, whose entry is on stable storage before the ID leaves.

use std::sync::Arc;

use ::ledger::{Deed, LedgerReader, RealDisk, TrackingCode};
use clap::Args;

use super::super::options::CommandError;
use super::super::output;
use super::super::secrets::Secrets;
use super::acting::{Actor, act_now, note};
use super::{Places, Row};

#[derive(Args)]
pub(crate) struct FindArgs {
    #[command(flatten)]
    places: Places,
    /// 16 digits, in groups or not
    #[arg(value_name = "TRACKING_CODE", required = true, num_args = 1..=16)]
    code: Vec<String>,
    /// Show the ID in full; that is itself an entry of the ledger
    #[arg(long)]
    reveal: bool,
    #[command(flatten)]
    actor: Actor,
}

pub(super) fn run(args: &FindArgs) -> Result<(), CommandError> {
    args.actor.goes_with_reveal(args.reveal)?;
    let code = TrackingCode::parse(&args.code.join(" "))?;
    let keys = Arc::new(Secrets::load(&args.places.secrets.path)?.ledger_keys()?);
    let disk = RealDisk::new(&args.places.ledger.dir);
    let reader = LedgerReader::open(&disk, keys.clone())?;
    let found = reader.find(&code)?.ok_or_else(|| {
        CommandError::failed("no entry has this tracking code; compare it with the receipt")
    })?;
    let mut row = Row::new(&reader, &found);
    // As on the receipt: of an entry in format version 1 nothing tells under which key its code was.
    if !row.tracking_code.is_empty() {
        row.tracking_code = code.to_string();
    }
    if args.reveal {
        let deed = Deed::DeskRead { ledger: found.ledger, sequence: found.sequence, revealed: true };
        note(&disk, &reader, &keys, &act_now(&args.actor, deed)?)?;
        row.person_id = found.entry.person.person().map_or_else(String::new, |person| person.reveal());
    }
    output::json(&row)
}
