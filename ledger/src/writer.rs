//! The only writer of entries: packs, chains and writes a batch, syncs it, and goes on to the next segment when one
//! is full or its day is over.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use zerocopy::IntoBytes;

use crate::chain::SegmentInfo;
use crate::commit::Shared;
use crate::disk::{Disk, write_all_at};
use crate::format::{
    BATCH_LEN_MAX, HEADER_LEN, KIND_CLOSED, KIND_INQUIRY, KIND_OPENED, SLOT_LEN, Seal, Slot, segment_name,
    slot_offset,
};
use crate::keys::Tag;
use crate::mark::Mark;
use crate::month::{Month, MonthKey, tehran_day};
use crate::prepare::{Preparer, Ready, unfinished};
use crate::record::Record;
use crate::segment::{Cause, Link, NewSegment, Segment, slots_max};
use crate::totals::Totals;

/// How long segments are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lengths {
    pub(crate) min_bytes: u64,
    pub(crate) max_bytes: u64,
}

/// Writes at the end of the chain.
pub(crate) struct Writer {
    disk: Arc<dyn Disk>,
    shared: Arc<Shared>,
    preparer: Preparer,
    lengths: Lengths,
    clock_ms: fn() -> u64,
    segment: Arc<Segment>,
    month: Arc<MonthKey>,
    totals: Totals,
    /// The last entry's tag.
    tag: Tag,
    /// The sequence of the next entry.
    sequence: u64,
    /// How long the next segment's file is to be.
    next_len: u64,
    buffer: Vec<Slot>,
}

/// Where a writer begins.
pub(crate) struct Place {
    pub(crate) previous: Option<Link>,
    pub(crate) segment: u32,
    pub(crate) sequence: u64,
}

impl Writer {
    /// Begins a segment, which holds no entry yet.
    pub(crate) fn begin(
        disk: Arc<dyn Disk>,
        shared: Arc<Shared>,
        preparer: Preparer,
        lengths: Lengths,
        clock_ms: fn() -> u64,
        place: &Place,
    ) -> io::Result<Writer> {
        preparer.want(place.segment, lengths.min_bytes);
        let ready = preparer.take()?;
        let month = month_key(&shared, clock_ms());
        let segment = begin_segment(disk.as_ref(), &shared, ready, place, clock_ms(), &month)?;
        let (totals, tag) = (Totals::new(&segment.header), segment.header.tag);
        let next_len = lengths.min_bytes;
        preparer.want(place.segment + 1, next_len);
        shared.began(segment.clone(), None);
        let buffer = Vec::with_capacity(BATCH_LEN_MAX as usize);
        Ok(Writer {
            disk,
            shared,
            preparer,
            lengths,
            clock_ms,
            segment,
            month,
            totals,
            tag,
            sequence: place.sequence,
            next_len,
            buffer,
        })
    }

    /// Writes records, each as a batch of its own as far as a segment has room, and syncs; tells after each batch
    /// how far it is.
    pub(crate) fn write(&mut self, mut records: &[Record], mut tell: impl FnMut(u64)) -> io::Result<()> {
        while !records.is_empty() {
            self.roll_if_due()?;
            let (now, later) = records.split_at(self.room().min(records.len()));
            for record in now {
                let slot = record.encode(self.shared.ledger, self.sequence, &self.month);
                self.link(slot);
            }
            self.commit()?;
            tell(self.sequence - 1);
            records = later;
        }
        Ok(())
    }

    /// Marks the opening, and tells that the ledger has got here.
    pub(crate) fn open(&mut self) -> io::Result<()> {
        self.write_mark_entry(KIND_OPENED)?;
        self.preparer.mark(&self.mark(0))
    }

    /// Marks the end, seals the segment, and ends what is done beside the commits.
    pub(crate) fn close(mut self) -> io::Result<()> {
        if self.room() == 0 {
            self.roll(Cause::Full)?;
        }
        self.write_mark_entry(KIND_CLOSED)?;
        let seal = self.seal(Cause::Closed)?;
        self.preparer.mark(&self.mark(1))?;
        self.shared.sealed(SegmentInfo::new(&self.segment, &seal));
        self.preparer.trim(self.segment.clone(), slot_offset(self.totals.slots + 1))?;
        self.preparer.end();
        Ok(())
    }

    /// Slots that the segment has left.
    fn room(&self) -> usize {
        let left = self.segment.header.slots_max.get().saturating_sub(self.totals.slots);
        usize::try_from(left).unwrap_or(usize::MAX)
    }

    /// Writes the entry that marks an opening or a closing, as a batch of its own.
    fn write_mark_entry(&mut self, kind: u8) -> io::Result<()> {
        let mut slot = Slot::new(kind, self.sequence);
        slot.time_ms = (self.clock_ms)().into();
        slot.month = self.month.month().number().into();
        self.link(slot);
        self.commit()
    }

    /// Puts a slot behind the others of its batch and into the chain.
    fn link(&mut self, mut slot: Slot) {
        let key = self.shared.keys.current();
        slot.batch_index = u16::try_from(self.buffer.len()).expect("a batch has 4096 entries at most").into();
        slot.key_id = key.id().into();
        let tag = key.tag(&self.tag, slot.tagged());
        slot.seal(tag);
        self.tag = tag;
        self.sequence += 1;
        self.buffer.push(slot);
    }

    /// Writes and syncs what is in the buffer.
    fn commit(&mut self) -> io::Result<()> {
        let offset = slot_offset(self.totals.slots);
        self.write_and_sync(self.buffer.as_bytes(), offset)?;
        self.buffer.iter().for_each(|slot| self.totals.count(slot));
        self.totals.digest(&self.buffer);
        let inquiries = self.buffer.iter().filter(|slot| slot.kind == KIND_INQUIRY).count() as u64;
        self.shared.counts.committed(self.buffer.len() as u64, inquiries, self.totals.slots);
        self.buffer.clear();
        self.preparer.note(self.mark(0), false)?;
        self.want_more();
        Ok(())
    }

    /// Brings bytes to their place on stable storage, and counts how long it takes.
    fn write_and_sync(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let begun = Instant::now();
        write_all_at(self.segment.file.as_ref(), bytes, offset)?;
        self.segment.file.sync_data()?;
        self.shared.counts.synced(begun.elapsed());
        Ok(())
    }

    /// Once half of the segment is full the next one is to be twice as long, up to the most.
    fn want_more(&mut self) {
        let own_len = slot_offset(self.segment.header.slots_max.get() + 1);
        let wanted = (own_len * 2).min(self.lengths.max_bytes);
        if self.totals.slots * 2 >= self.segment.header.slots_max.get() && self.next_len < wanted {
            self.next_len = wanted;
            self.preparer.want(self.segment.number + 1, wanted);
        }
    }

    fn roll_if_due(&mut self) -> io::Result<()> {
        if self.room() == 0 {
            return self.roll(Cause::Full);
        }
        // A day that ends while the next file cannot be made goes on in its segment, rather than waiting.
        let can_roll = !self.preparer.shortage().load(Ordering::Relaxed);
        if can_roll && self.totals.slots > 0 && day_is_over(self.segment.header.day.get(), (self.clock_ms)())
        {
            return self.roll(Cause::Day);
        }
        Ok(())
    }

    /// Seals the segment and begins the next one.
    fn roll(&mut self, cause: Cause) -> io::Result<()> {
        // First the file, so that nothing is written before the next segment can follow.
        let ready = self.preparer.take_patiently(|| self.shared.is_stopping())?;
        let seal = self.seal(cause)?;
        let info = SegmentInfo::new(&self.segment, &seal);
        let place =
            Place { previous: Some(info.link), segment: self.segment.number + 1, sequence: self.sequence };
        let (now_ms, old, begun) = ((self.clock_ms)(), self.segment.clone(), Instant::now());
        self.month = month_key(&self.shared, now_ms);
        self.segment = begin_segment(self.disk.as_ref(), &self.shared, ready, &place, now_ms, &self.month)?;
        self.shared.counts.synced(begun.elapsed());
        (self.totals, self.tag) = (Totals::new(&self.segment.header), self.segment.header.tag);
        self.next_len = slot_offset(self.segment.header.slots_max.get() + 1).min(self.lengths.max_bytes);
        self.preparer.want(place.segment + 1, self.next_len);
        let len_bytes = info.len_bytes;
        self.shared.began(self.segment.clone(), Some(info));
        self.preparer.note(self.mark(0), true)?;
        self.preparer.trim(old, len_bytes)
    }

    /// Writes the seal behind the last entry, and syncs it.
    fn seal(&mut self, cause: Cause) -> io::Result<Seal> {
        let (key, month) = (self.shared.keys.current(), self.segment.header.month.get());
        let seal = self.totals.seal(cause, (self.clock_ms)(), key.id(), month);
        let mut slot = seal.expect("there are entries").to_slot();
        slot.seal(key.tag(&self.tag, slot.tagged()));
        self.tag = slot.tag;
        self.write_and_sync(slot.as_bytes(), slot_offset(self.totals.slots))?;
        Ok(Seal::of_slot(&slot))
    }

    /// How far the ledger is on stable storage; `seals` more slots than entries.
    fn mark(&self, seals: u64) -> Mark {
        Mark {
            segment: self.segment.number,
            slots: self.totals.slots + seals,
            sequence: self.sequence - 1,
            tag: self.tag,
        }
    }
}

/// The key for person IDs that are written now.
fn month_key(shared: &Shared, now_ms: u64) -> Arc<MonthKey> {
    let month = Month::at(now_ms);
    let key = shared.keys.months.for_writing(month).expect("an opening without month keys is refused");
    if key.month() != month {
        tracing::warn!(%month, key = %key.month(), "there is no key for this month: is the clock right?");
    }
    key
}

/// Whether a segment of that day is to be sealed: another day has begun, or the clock was put back by one.
fn day_is_over(day: u16, now_ms: u64) -> bool {
    let today = tehran_day(now_ms).number();
    // A clock that is put back a little around midnight must not make a segment each time.
    today > day || today + 1 < day
}

/// Gives a prepared file its header and its name.
fn begin_segment(
    disk: &dyn Disk,
    shared: &Shared,
    ready: Ready,
    place: &Place,
    now_ms: u64,
    month: &MonthKey,
) -> io::Result<Arc<Segment>> {
    let Ready { file, number, len_bytes } = ready;
    let new = NewSegment {
        ledger: shared.ledger,
        number,
        first_sequence: place.sequence,
        previous: place.previous,
        len_bytes,
        time_ms: now_ms,
        month: Some(month),
    };
    debug_assert!(number == place.segment && slots_max(len_bytes) > 0);
    let header = new.header(&shared.keys);
    write_all_at(file.as_ref(), header.as_bytes(), 0)?;
    file.sync_data()?;
    let name = segment_name(number);
    disk.rename(&unfinished(number), &name)?;
    disk.sync_dir()?;
    shared.counts.began.store(now_ms, Ordering::Relaxed);
    Ok(Arc::new(Segment::begun(file, disk.describe(&name), header)))
}

const _: () = assert!(SLOT_LEN as u64 * BATCH_LEN_MAX < 1 << 20, "a batch is written from one buffer");
/// The shortest file for a segment: two marks, an entry and the seal.
pub(crate) const LEN_MIN: u64 = HEADER_LEN + 4 * SLOT_LEN as u64;

#[cfg(test)]
mod tests {
    use super::day_is_over;
    use crate::month::tehran_day;

    #[test]
    fn a_day_ends_at_midnight_and_when_the_clock_is_put_back_by_one() {
        let midnight_ms = 1_796_070_600_000;
        let day = tehran_day(midnight_ms - 1).number();
        assert!(!day_is_over(day, midnight_ms - 1) && day_is_over(day, midnight_ms));
        assert!(!day_is_over(day + 1, midnight_ms - 3_600_000), "put back by an hour");
        assert!(day_is_over(day + 1, midnight_ms - 86_400_001), "put back by more than a day");
    }
}
