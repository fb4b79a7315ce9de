//! `ledger restore`: makes a new folder a ledger that begins with the segments of an earlier one, under a new number.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::Arc;

use ::ledger::{FolderSource, RealDisk, RestorePlan, Source, restore};
use clap::{Args, value_parser};

use super::super::options::CommandError;
use super::super::output;
use super::super::progress::Bar;
use super::super::secrets::Secrets;
use super::super::serve::ledger_disk;
use super::super::store::{Store, StoreAddress};
use super::Places;

#[derive(Args)]
pub(crate) struct RestoreArgs {
    #[command(flatten)]
    places: Places,
    /// Where the segments are: a place that they were shipped to, or the copy of a whole ledger folder
    #[arg(long, value_name = "PLACE", value_parser = StoreAddress::parse)]
    from: StoreAddress,
    /// The new ledger's number, 1 to 9999: one that no ledger has or had
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..=9999))]
    number: u16,
    /// The last segment to restore; those after it, and one without a seal, are left out [default: all]
    #[arg(long, value_name = "SEGMENT")]
    up_to: Option<u32>,
}

pub(super) fn run(args: &RestoreArgs) -> Result<(), CommandError> {
    let keys = Arc::new(Secrets::load(&args.places.secrets.path)?.ledger_keys()?);
    let disk = ledger_disk(&args.places.ledger.dir)?;
    let plan = RestorePlan { number: args.number, last_segment: args.up_to };
    let store;
    let source: Box<dyn Source + '_> = match &args.from {
        StoreAddress::Folder(folder) => {
            let from = RealDisk::new(folder);
            if args.up_to.is_some() {
                Box::new(FolderSource::sealed_only(&from))
            } else {
                Box::new(FolderSource::open(&from, &keys)?)
            }
        }
        StoreAddress::Bucket { .. } => {
            store = Store::open_existing(&args.from)?;
            Box::new(StoreSource { there: store.list()?, store: &store })
        }
    };
    let wanted = |number: &u32| args.up_to.is_none_or(|last| *number <= last);
    let numbers = source.segments().unwrap_or_default().into_iter().filter(wanted); // A failure is told by `restore`.
    let bar = Bar::new("restoring", numbers.filter_map(|number| source.len_bytes(number).ok()).sum());
    let restored = restore(&disk, source.as_ref(), plan, &keys, &|bytes| bar.add(bytes));
    bar.finish();
    let restored = restored?;
    let (ledger, sequence) = restored.end;
    output::line(&format!(
        "{} is ledger {}, with {} segments of {} entries up to ledger {ledger}, sequence {sequence}",
        args.places.ledger.dir.display(),
        args.number,
        restored.segments,
        restored.entries
    ))?;
    match restored.digest {
        Some(digest) => {
            output::line(&format!("the last seal's digest: {}", blake3::Hash::from_bytes(digest).to_hex()))
        }
        None => output::line("the last segment has no seal yet: the next start seals it"),
    }
}

/// Segments in a bucket.
struct StoreSource<'a> {
    store: &'a Store,
    there: BTreeMap<String, u64>,
}

impl StoreSource<'_> {
    fn number_of(name: &str) -> Option<u32> {
        name.strip_prefix("segment-")?.strip_suffix(".led")?.parse().ok()
    }
}

impl Source for StoreSource<'_> {
    fn segments(&self) -> io::Result<Vec<u32>> {
        Ok(self.there.keys().filter_map(|name| StoreSource::number_of(name)).collect())
    }

    fn segment(&self, number: u32) -> io::Result<Box<dyn Read + '_>> {
        let name = format!("segment-{number:08}.led");
        Ok(Box::new(self.store.read(&name, self.len_bytes(number)?)))
    }

    fn len_bytes(&self, number: u32) -> io::Result<u64> {
        let len_bytes = self.there.get(&format!("segment-{number:08}.led"));
        len_bytes.copied().ok_or(io::ErrorKind::NotFound.into())
    }

    fn pruned(&self) -> io::Result<Option<Vec<u8>>> {
        self.store.get("PRUNED").map_err(io::Error::other)
    }

    fn describe(&self, number: u32) -> String {
        self.store.describe(&format!("segment-{number:08}.led"))
    }
}
