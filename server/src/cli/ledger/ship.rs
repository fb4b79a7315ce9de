//! `ledger ship`: brings sealed segments off this host, each checked on arrival; the next run goes on where this one ended.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::Arc;

use ::ledger::{FolderSource, LedgerReader, ReadError, RealDisk, SegmentInfo, Source};
use clap::Args;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::super::options::CommandError;
use super::super::output;
use super::super::progress::Bar;
use super::super::secrets::Secrets;
use super::super::store::{Store, StoreAddress, StoreError};
use super::Places;

/// Bytes of a seal, which its own digest leaves out.
const SEAL_LEN: u64 = 144;

#[derive(Args)]
pub(crate) struct ShipArgs {
    #[command(flatten)]
    places: Places,
    /// A folder, or s3://BUCKET/PREFIX with the usual AWS_ variables; each ledger needs a place of its own
    #[arg(long, value_name = "PLACE", value_parser = StoreAddress::parse)]
    to: StoreAddress,
    /// Read back the copies of earlier runs too
    #[arg(long)]
    check: bool,
}

pub(super) fn run(args: &ShipArgs) -> Result<(), CommandError> {
    let keys = Arc::new(Secrets::load(&args.places.secrets.path)?.ledger_keys()?);
    let disk = RealDisk::new(&args.places.ledger.dir);
    let reader = LedgerReader::open(&disk, keys)?;
    let store = Store::open(&args.to)?;
    let shipping = Shipping::open(&store)?;
    let (mut sending, mut there) = (Vec::new(), Vec::new());
    for info in reader.segments() {
        let arrived = shipping.has(info)?;
        (if arrived { &mut there } else { &mut sending }).push(info);
    }
    let checking = if args.check { &there[..] } else { &[] };
    let sent_bytes: u64 = sending.iter().map(|info| info.len_bytes).sum();
    let checked_bytes: u64 = checking.iter().map(|info| info.len_bytes).sum();
    // What is sent is read twice: here, and there.
    let bar = Bar::new("shipping", sent_bytes * 2 + checked_bytes);
    let heard = |bytes| bar.add(bytes);
    sending.iter().try_for_each(|info| shipping.send(&reader, info, &heard))?;
    checking.iter().try_for_each(|info| shipping.check(info, &heard))?;
    bar.finish();
    if let Some(pruned) = FolderSource::sealed_only(&disk).pruned()? {
        store.put("PRUNED", pruned)?;
    }
    let place = store.describe("");
    output::line(&format!(
        "ledger {}: {} segments of {sent_bytes} bytes sent to {place}, {} were there",
        reader.number(),
        sending.len(),
        there.len()
    ))
}

/// Why a segment is not off this host.
#[derive(Debug, Error)]
pub(super) enum ShipError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(
        "{0} is of another ledger or another state of this one: each ledger needs a place of its own; choose another one"
    )]
    Other(String),
    #[error("{0} has not arrived there: run `estehqaq ledger ship` first")]
    Missing(String),
    #[error("cannot read {place}: {source}")]
    ReadBack { place: String, source: io::Error },
    #[error(
        "{0} is not what was sent: its bytes were changed on the way or there; keep the local segment, look at the store, \
         remove that object and ship again"
    )]
    Changed(String),
}

/// What is noted of a segment once its copy was read back.
#[derive(Serialize, Deserialize, PartialEq)]
struct Receipt {
    ledger: u16,
    segment: u32,
    len_bytes: u64,
    seal_digest: String,
    file_digest: String,
}

/// Segments and a store to hold them against.
pub(super) struct Shipping<'a> {
    store: &'a Store,
    there: BTreeMap<String, u64>,
}

impl Shipping<'_> {
    pub(super) fn open(store: &Store) -> Result<Shipping<'_>, StoreError> {
        Ok(Shipping { store, there: store.list()? })
    }

    /// Whether a segment arrived there before, as its receipt tells.
    fn has(&self, info: &SegmentInfo) -> Result<bool, ShipError> {
        let Some(receipt) = self.receipt(info)? else { return Ok(false) };
        let is_same = receipt.ledger == info.ledger && receipt.seal_digest == hex(&info.digest);
        if !is_same {
            return Err(ShipError::Other(self.store.describe(&info.file_name())));
        }
        Ok(self.there.get(&info.file_name()) == Some(&info.len_bytes))
    }

    fn receipt(&self, info: &SegmentInfo) -> Result<Option<Receipt>, ShipError> {
        let name = receipt_name(info);
        if !self.there.contains_key(&name) {
            return Ok(None);
        }
        let bytes = self.store.get(&name)?;
        // One that cannot be read is as none: the copy itself counts.
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// Sends a segment, reads it back, and notes that it arrived. A copy that is there without a receipt is read only.
    /// `heard` hears of bytes.
    fn send(&self, reader: &LedgerReader, info: &SegmentInfo, heard: &dyn Fn(u64)) -> Result<(), ShipError> {
        let name = info.file_name();
        let file_digest = if self.there.get(&name) == Some(&info.len_bytes) {
            let copy = self.read_back(info, heard)?;
            self.store.settle(&name)?;
            let mut here = Hashed::new(reader.bytes(info)?, info, &|_| ());
            let read = io::copy(&mut here, &mut io::sink());
            read.map_err(|source| ShipError::ReadBack { place: name.clone(), source })?;
            let here = here.whole.finalize();
            copy.filter(|copy| *copy == here).ok_or_else(|| ShipError::Other(self.store.describe(&name)))?
        } else {
            let mut bytes = Hashed::new(reader.bytes(info)?, info, heard);
            self.store.upload(&name, &mut bytes, info.len_bytes)?;
            let sent = bytes.whole.finalize();
            if self.read_back(info, heard)? != Some(sent) {
                self.store.remove(&name)?;
                return Err(ShipError::Changed(self.store.describe(&name)));
            }
            sent
        };
        let receipt = Receipt {
            ledger: info.ledger,
            segment: info.number,
            len_bytes: info.len_bytes,
            seal_digest: hex(&info.digest),
            file_digest: file_digest.to_hex().to_string(),
        };
        let text = serde_json::to_vec(&receipt).expect("texts and numbers become JSON");
        Ok(self.store.put(&receipt_name(info), text)?)
    }

    /// Reads a copy back and holds it against its receipt and the seal here.
    pub(super) fn check(&self, info: &SegmentInfo, heard: &dyn Fn(u64)) -> Result<(), ShipError> {
        let place = || self.store.describe(&info.file_name());
        if !self.has(info)? {
            return Err(ShipError::Missing(place()));
        }
        let receipt = self.receipt(info)?.ok_or_else(|| ShipError::Missing(place()))?;
        match self.read_back(info, heard)? {
            Some(digest) if digest.to_hex().as_str() == receipt.file_digest => Ok(()),
            _ => Err(ShipError::Changed(place())),
        }
    }

    /// The digest of a whole copy; none when its seal's digest is not that of the segment here.
    fn read_back(&self, info: &SegmentInfo, heard: &dyn Fn(u64)) -> Result<Option<blake3::Hash>, ShipError> {
        let name = info.file_name();
        let mut bytes = Hashed::new(self.store.read(&name, info.len_bytes), info, heard);
        let copied = io::copy(&mut bytes, &mut io::sink());
        match copied {
            Ok(_) => Ok(Some(bytes.whole.finalize())),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
            Err(source) => Err(ShipError::ReadBack { place: self.store.describe(&name), source }),
        }
    }
}

/// Bytes of a segment on their way, which must agree with the digest in its seal.
struct Hashed<'a, R> {
    bytes: R,
    heard: &'a dyn Fn(u64),
    whole: blake3::Hasher,
    before_seal: u64,
    at: u64,
    digest: [u8; 32],
}

impl<'a, R: Read> Hashed<'a, R> {
    fn new(bytes: R, info: &SegmentInfo, heard: &'a dyn Fn(u64)) -> Hashed<'a, R> {
        let before_seal = info.len_bytes.saturating_sub(SEAL_LEN);
        Hashed { bytes, heard, whole: blake3::Hasher::new(), before_seal, at: 0, digest: info.digest }
    }
}

impl<R: Read> Read for Hashed<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        // Up to the seal first, so that the digest before it can be taken.
        let bound = if self.at < self.before_seal { self.before_seal - self.at } else { u64::MAX };
        let len = usize::try_from(bound).unwrap_or(usize::MAX).min(buf.len());
        let read = self.bytes.read(&mut buf[..len])?;
        self.whole.update(&buf[..read]);
        self.at += read as u64;
        (self.heard)(read as u64);
        if read > 0 && self.at == self.before_seal && *self.whole.finalize().as_bytes() != self.digest {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "its bytes do not agree with its seal"));
        }
        Ok(read)
    }
}

fn receipt_name(info: &SegmentInfo) -> String {
    format!("{}.json", info.file_name())
}

fn hex(digest: &[u8; 32]) -> String {
    blake3::Hash::from_bytes(*digest).to_hex().to_string()
}
