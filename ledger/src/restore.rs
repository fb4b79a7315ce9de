//! Restoring: segments of an earlier ledger are copied into a new folder, which takes a number of its own. Each one is
//! checked on arrival, every entry and the seal, and against the one before.
//!
//! Power may fail at any step: until the number is written, which comes last, the folder is no ledger, and `RESTORING`
//! tells the next run that what lies there is its own. That run checks what has arrived and goes on.

use std::io::{self, Read};
use std::sync::Arc;

use crate::disk::{Disk, write_all_at};
use crate::error::{InitError, NumberFileError, OpenError, ReadError};
use crate::folder::{self, Identity, RESTORING_FILE, UNFINISHED, fresh, publish};
use crate::format::{segment_name, segment_of};
use crate::keys::LedgerKeys;
use crate::mark::{MARK_FILE, Mark};
use crate::pruned::{self, PRUNED_FILE};
use crate::reader::LedgerReader;
use crate::restore_error::RestoreError;
use crate::segment::{Link, Segment};
use crate::walk::{Tail, Walk};

mod source;

pub use source::{FileBytes, FolderSource, Source};

/// Bytes copied at once.
const STEP_LEN: usize = 1 << 20;

/// What was restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Segments that are in the folder now.
    pub segments: u64,
    /// Those of them that an earlier run had brought.
    pub brought_before: u64,
    /// All their entries.
    pub entries: u64,
    /// The last one's number, which the next one follows.
    pub last_segment: u32,
    /// The last ledger there, and its last sequence.
    pub end: (u16, u64),
    /// The digest in the last seal; none when the last segment had none yet.
    pub digest: Option<[u8; 32]>,
}

/// What is to be restored, and as what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestorePlan {
    /// The folder's number from now on, 1 to 9999: one that no ledger has or had.
    pub number: u16,
    /// The last segment to bring; none for all there are.
    pub last_segment: Option<u32>,
}

/// Makes an empty folder a new ledger that begins with the segments of an earlier one. `copied` hears of bytes.
///
/// # Errors
/// [`RestoreError`]. What has arrived stays for the next run.
pub fn restore(
    disk: &dyn Disk,
    source: &dyn Source,
    plan: RestorePlan,
    keys: &Arc<LedgerKeys>,
    copied: &dyn Fn(u64),
) -> Result<Restored, RestoreError> {
    if !(1..=9999).contains(&plan.number) {
        return Err(InitError::BadNumber(plan.number).into());
    }
    let _lock = folder::lock(disk)?;
    let mut work = Work { disk, source, plan, keys, copied, link: None, ledgers: Vec::new() };
    if work.is_finished()? {
        let reader = LedgerReader::open(disk, keys.clone())?;
        work.tidy()?;
        return Ok(work.already(&reader));
    }
    let numbers = work.numbers()?;
    work.begin(&numbers)?;
    let mut restored = Restored::default();
    let mut mark = None;
    for number in numbers {
        let brought = work.bring(number, &mut restored);
        if matches!(brought, Err(RestoreError::SameNumber { .. })) && work.ledgers.is_empty() {
            work.tidy()?; // Nothing has come: another number may be taken.
        }
        match brought? {
            Some(end) => mark = Some(end),
            None => break,
        }
    }
    let mark = mark.ok_or(RestoreError::Nothing)?;
    work.finish(&mark)?;
    Ok(restored)
}

struct Work<'a> {
    disk: &'a dyn Disk,
    source: &'a dyn Source,
    plan: RestorePlan,
    keys: &'a Arc<LedgerKeys>,
    copied: &'a dyn Fn(u64),
    /// The end of what has been brought.
    link: Option<Link>,
    /// Whose segments have been brought, each with the last one.
    ledgers: Vec<(u16, u32)>,
}

impl Work<'_> {
    fn io(&self, name: &str) -> impl FnOnce(io::Error) -> RestoreError {
        let path = self.disk.describe(name);
        move |source| RestoreError::Io { path, source }
    }

    fn intent(&self) -> String {
        format!("estehqaq restore as ledger {:04}\n", self.plan.number)
    }

    /// What an earlier run meant to make of the folder, if it is a restore that was cut short.
    fn earlier_intent(&self) -> Result<Option<String>, RestoreError> {
        let file = match self.disk.open_read(RESTORING_FILE) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.io(RESTORING_FILE)(error)),
        };
        let mut text = String::new();
        FileBytes::new(file, STEP_LEN as u64).read_to_string(&mut text).map_err(self.io(RESTORING_FILE))?;
        Ok(Some(text))
    }

    /// Whether only the tidying is left of an earlier run.
    fn is_finished(&self) -> Result<bool, RestoreError> {
        if folder::is_new(self.disk)? {
            return Ok(false);
        }
        let existing = folder::identity(self.disk)?.number;
        if existing == self.plan.number && self.earlier_intent()? == Some(self.intent()) {
            return Ok(true);
        }
        let path = self.disk.describe(folder::NUMBER_FILE);
        Err(InitError::AlreadyInitialised { path, existing, asked: self.plan.number }.into())
    }

    fn already(&self, reader: &LedgerReader) -> Restored {
        let (sealed, open) = (reader.segments(), reader.chain.open.as_ref());
        let last = sealed.last();
        let open_slots = open.and_then(|segment| crate::lookup::end(segment).ok()).unwrap_or(0);
        let end = match (open, last) {
            (Some(segment), _) => (segment.ledger, segment.first_sequence() + open_slots - 1),
            (None, Some(info)) => (info.ledger, info.last_sequence),
            (None, None) => (self.plan.number, 0),
        };
        let segments = sealed.len() as u64 + u64::from(open.is_some());
        Restored {
            segments,
            brought_before: segments,
            entries: sealed.iter().map(|info| info.entries).sum::<u64>() + open_slots,
            last_segment: open.map_or(last.map_or(0, |info| info.number), |segment| segment.number),
            end,
            digest: if open.is_some() { None } else { last.map(|info| info.digest) },
        }
    }

    /// The segments to be brought: all that are there up to the last one wanted, without a gap.
    fn numbers(&self) -> Result<Vec<u32>, RestoreError> {
        let failed = |source| RestoreError::Source { from: self.source.describe(1), source };
        let mut numbers = self.source.segments().map_err(failed)?;
        if let Some(last) = self.plan.last_segment {
            if !numbers.contains(&last) {
                return Err(RestoreError::Missing { from: self.source.describe(last) });
            }
            numbers.retain(|number| *number <= last);
        }
        let first = *numbers.first().ok_or(RestoreError::Nothing)?;
        if let Some((_, missing)) = numbers.iter().zip(first..).find(|(there, number)| *there != number) {
            return Err(RestoreError::Missing { from: self.source.describe(missing) });
        }
        if first > 1 {
            let pruned = self.source.pruned().map_err(failed)?;
            let link = pruned.and_then(|bytes| pruned::parse(&bytes, self.keys));
            if link.is_none_or(|link| link.segment < first - 1) {
                return Err(RestoreError::Missing { from: self.source.describe(first - 1) });
            }
        }
        Ok(numbers)
    }

    /// Makes sure that the folder is empty, or what an earlier run of the same left, and says that it is one.
    fn begin(&self, numbers: &[u32]) -> Result<(), RestoreError> {
        let names = self.disk.list().map_err(self.io(""))?;
        let intent = self.earlier_intent()?;
        let begun = match intent {
            Some(text) if text == self.intent() => true,
            Some(_) => return Err(RestoreError::OtherNumber { path: self.disk.describe(RESTORING_FILE) }),
            None => false,
        };
        for name in names {
            let is_own = segment_of(&name).is_some()
                || [MARK_FILE, PRUNED_FILE, RESTORING_FILE].contains(&name.as_str());
            let is_neutral = folder::is_neutral(&name);
            if !(is_neutral || begun && is_own) {
                return Err(InitError::NotEmpty { path: self.disk.describe(&name) }.into());
            }
            // From another source, which had more than this one.
            if segment_of(&name).is_some_and(|number| !numbers.contains(&number)) || name == PRUNED_FILE {
                self.disk.remove(&name).map_err(self.io(&name))?;
            }
        }
        if begun {
            return Ok(());
        }
        let intent = self.intent();
        let published = publish(self.disk, RESTORING_FILE, |file| {
            write_all_at(file, intent.as_bytes(), 0)?;
            file.sync_data()
        });
        published.map_err(self.io(RESTORING_FILE))
    }

    /// Brings one segment, or checks the one that an earlier run brought; how far it goes. None when it holds no entry,
    /// as the one that is being written may: it is left out.
    fn bring(&mut self, number: u32, restored: &mut Restored) -> Result<Option<Mark>, RestoreError> {
        let name = segment_name(number);
        let there = self.disk.list().map_err(self.io(""))?.contains(&name);
        let kept = if there { self.check(number).ok() } else { None };
        let was_kept = kept.is_some();
        let checked = match kept {
            Some(checked) => checked,
            None => {
                self.copy(number)?;
                self.check(number).map_err(|error| self.refused(number, error))?
            }
        };
        let Some(arrived) = checked else {
            self.disk.remove(&name).and_then(|()| self.disk.sync_dir()).map_err(self.io(&name))?;
            return Ok(None);
        };
        restored.segments += 1;
        restored.brought_before += u64::from(was_kept);
        restored.entries += arrived.entries;
        restored.last_segment = number;
        restored.end = (arrived.ledger, arrived.mark.sequence);
        restored.digest = arrived.link.map(|link| link.digest);
        if number > 1 && self.link.is_none() {
            self.publish_pruned(&arrived.before)?;
        }
        self.link = arrived.link;
        match self.ledgers.last_mut() {
            Some((ledger, last)) if *ledger == arrived.ledger => *last = number,
            _ => self.ledgers.push((arrived.ledger, number)),
        }
        Ok(Some(arrived.mark))
    }

    fn copy(&self, number: u32) -> Result<(), RestoreError> {
        let name = segment_name(number);
        let unfinished = format!("{name}{UNFINISHED}");
        let failed = |source| RestoreError::Source { from: self.source.describe(number), source };
        let mut from = self.source.segment(number).map_err(failed)?;
        let file = fresh(self.disk, &unfinished).map_err(self.io(&unfinished))?;
        let mut bytes = vec![0; STEP_LEN];
        let mut at = 0;
        loop {
            let read = read_step(from.as_mut(), &mut bytes).map_err(failed)?;
            write_all_at(file.as_ref(), &bytes[..read], at).map_err(self.io(&unfinished))?;
            at += read as u64;
            (self.copied)(read as u64);
            if read < bytes.len() {
                break;
            }
        }
        file.sync_data().map_err(self.io(&unfinished))?;
        let named = self.disk.rename(&unfinished, &name).and_then(|()| self.disk.sync_dir());
        named.map_err(self.io(&name))
    }

    /// Checks every entry of a segment that has arrived, its seal, and that it goes on where the last one ended.
    fn check(&self, number: u32) -> Result<Option<Arrived>, RestoreError> {
        let ledger = Segment::ledger_in(self.disk, number)?;
        if ledger == self.plan.number
            || self.ledgers.iter().rev().skip(1).any(|(before, _)| *before == ledger)
        {
            return Err(RestoreError::SameNumber { number: ledger });
        }
        let identity = Identity { number: ledger, restored: Vec::new() };
        let segment = Arc::new(Segment::open(self.disk, false, &identity, number, self.keys)?);
        let before = self.link.unwrap_or_else(|| segment.link_before());
        let follows = if number > 1 { segment.follows(&before) } else { segment.begins_chain() };
        if !follows {
            return Err(segment.follows_not(number - 1).into());
        }
        let mut walk = Walk::new(segment.clone(), self.keys);
        let tail = walk.run_to_end()?;
        let entries = walk.slots();
        let Some(last) = walk.last else { return Ok(None) };
        let mark = |slots, tag| Mark { segment: number, slots, sequence: last.sequence, tag };
        let (mark, link) = match tail {
            Tail::Sealed(seal) => (mark(entries + 1, seal.tag), Some(segment.link(&seal))),
            _ if self.source.open_segment() == Some(number) => (mark(entries, walk.tag), None),
            _ => return Err(RestoreError::Unsealed { from: self.source.describe(number) }),
        };
        Ok(Some(Arrived { ledger, entries, before, mark, link }))
    }

    /// A segment that did not arrive as it was does not stay either.
    fn refused(&self, number: u32, error: RestoreError) -> RestoreError {
        let _ = self.disk.remove(&segment_name(number)); // If it stays, the next run checks it again.
        match error {
            RestoreError::Open(fault) => RestoreError::Arrived { from: self.source.describe(number), fault },
            other => other,
        }
    }

    fn publish_pruned(&self, before: &Link) -> Result<(), RestoreError> {
        pruned::publish(self.disk, before, 0, self.keys).map_err(self.io(PRUNED_FILE))
    }

    /// Makes the folder a ledger.
    fn finish(&self, mark: &Mark) -> Result<(), RestoreError> {
        let Work { disk, plan: RestorePlan { number, .. }, keys, .. } = *self;
        folder::publish_mark(disk, number, mark, keys).map_err(self.io(MARK_FILE))?;
        let identity = Identity { number, restored: self.ledgers.clone() };
        folder::publish_identity(disk, &identity).map_err(self.io(folder::NUMBER_FILE))?;
        // Through the eyes of whoever opens it next.
        LedgerReader::open(disk, keys.clone())?;
        self.tidy()
    }

    fn tidy(&self) -> Result<(), RestoreError> {
        let removed = self.disk.remove(RESTORING_FILE).and_then(|()| self.disk.sync_dir());
        removed.map_err(self.io(RESTORING_FILE))
    }
}

/// A segment that arrived in order.
struct Arrived {
    ledger: u16,
    entries: u64,
    /// What it says of the segment before it.
    before: Link,
    mark: Mark,
    /// None while it is not sealed.
    link: Option<Link>,
}

impl From<NumberFileError> for RestoreError {
    fn from(error: NumberFileError) -> RestoreError {
        OpenError::NumberFile(error).into()
    }
}

impl From<ReadError> for RestoreError {
    fn from(error: ReadError) -> RestoreError {
        OpenError::Read(error).into()
    }
}

/// Fills `buf` as far as there are bytes.
fn read_step(from: &mut dyn Read, buf: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buf.len() {
        match from.read(&mut buf[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
