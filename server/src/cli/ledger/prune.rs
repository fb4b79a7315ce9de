//! `ledger prune`: removes sealed segments whose entries are all old enough, after an entry that says so.

use std::sync::Arc;

use ::ledger::{Deed, LedgerReader, RealDisk, prunable};
use clap::Args;

use super::super::options::CommandError;
use super::super::output;
use super::super::secrets::Secrets;
use super::super::store::{Store, StoreAddress};
use super::Places;
use super::acting::{Actor, act, act_now};
use super::ship::Shipping;
use crate::clock::system_ms;

#[derive(Args)]
pub(crate) struct PruneArgs {
    #[command(flatten)]
    places: Places,
    /// Keep segments with an entry of the last N days; days count back from the latest entry, or from today if the
    /// clock is behind it
    #[arg(long, value_name = "N")]
    keep_days: u32,
    /// Prune only what has arrived there: each copy is read back before
    #[arg(long, value_name = "PLACE", value_parser = StoreAddress::parse)]
    shipped_to: Option<StoreAddress>,
    /// Tell what would go, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    actor: Actor,
}

pub(super) fn run(args: &PruneArgs) -> Result<(), CommandError> {
    let keys = Arc::new(Secrets::load(&args.places.secrets.path)?.ledger_keys()?);
    let disk = RealDisk::new(&args.places.ledger.dir);
    let reader = LedgerReader::open(&disk, keys.clone())?;
    let going = prunable(reader.segments(), args.keep_days, system_ms());
    if let Some(address) = &args.shipped_to {
        let store = Store::open_existing(address)?;
        let shipping = Shipping::open(&store)?;
        for info in going {
            shipping.check(info, &|_| ())?;
        }
    }
    let entries: u64 = going.iter().map(|info| info.entries).sum();
    let bytes: u64 = going.iter().map(|info| info.len_bytes).sum();
    let told = |verb: &str| match going {
        [] => "nothing is old enough to be pruned".to_owned(),
        [.., last] => {
            format!("{} segments up to {} {verb}: {entries} entries, {bytes} bytes", going.len(), last.number)
        }
    };
    if args.dry_run {
        return output::line(&told("would be pruned"));
    }
    // Also with nothing new to prune: an earlier pruning may have been cut short.
    let last = going.last().map(|info| info.number);
    let request = act_now(&args.actor, Deed::Prune { segment: last.unwrap_or(0), entries })?;
    act(&disk, reader.number(), &keys, &request, |ledger| {
        ledger.prune(last, request.actor)?;
        Ok(())
    })?;
    output::line(&told("pruned"))
}
