//! `extract synth`: a realistic population of any size as a nightly extract, and a sample of inquiries whose
//! answers are known by construction.
//!
//! Flow: `family` makes one family after the other (`ids` numbers, `plan` dates, `mobiles`), `rows` writes it,
//! `targets` samples it with the expectations of `answers`. Memory is constant: nothing is kept of a family
//! that was written, and IDs are distinct because counters are shuffled, not because a set was asked. The same
//! options give the same bytes on every machine; whether targets are written changes nothing in the extract.
//! It never asks `engine::decide`, a clock or the machine's randomness.

mod answers;
mod calendar;
mod draw;
mod family;
mod ids;
mod mobiles;
mod permutation;
mod plan;
mod request;
mod rows;
mod targets;

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use jiff::civil::{Date, date};
use storage::Output;
use thiserror::Error;

use calendar::Calendar;
use draw::{Draw, Purpose};
use family::{Families, Person};
use ids::Registry;
use plan::Planner;
use rows::{HEADER, RowWriter};
use targets::Sampler;

pub use targets::target_kinds;

/// The largest population; the place quotas are proven for it.
pub const PEOPLE_MAX: u64 = 90_000_000;
/// The first as-of date: the oldest people are born in the calendar's first years.
const AS_OF_MIN: Date = date(2000, 1, 1);
/// The last as-of date: today's newborn sons turn 19 in the calendar's last years.
const AS_OF_MAX: Date = date(2058, 12, 31);
/// People who do not exist have no secrets.
const OUTPUT_MODE: u32 = 0o644;
/// Bytes of rows that are written at once.
const BUFFER_LEN: usize = 1 << 20;
/// Second entitlements that come from elsewhere, per mille; their rows stand far from the person's first.
const FROM_ELSEWHERE_PERMILLE: u32 = 600;
/// People between two reports of progress.
const PROGRESS_STEP: u64 = 50_000;

/// What to make.
#[derive(Clone, Debug)]
pub struct SynthOptions {
    /// People, 1 to [`PEOPLE_MAX`]; rows are about 5 % more.
    pub people: u64,
    /// Another seed makes other people.
    pub seed: u64,
    /// The date for which the archetypes hold: who is covered on it, who is not and why.
    pub as_of: Date,
    /// The extract; replaced when it is there.
    pub out: PathBuf,
    /// A sample of inquiries, when wanted.
    pub targets: Option<TargetsOptions>,
}

/// Which sample of inquiries to take.
#[derive(Clone, Debug)]
pub struct TargetsOptions {
    /// The NDJSON file; replaced when it is there.
    pub path: PathBuf,
    /// Lines. From 200 lines and 10,000 people on, every one of [`target_kinds`] appears.
    pub count: u64,
}

/// What was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SynthReport {
    /// People, as asked for.
    pub people: u64,
    /// Rows without the header: one per entitlement.
    pub rows: u64,
    /// Bytes of the extract.
    pub bytes: u64,
    /// Lines of the targets file.
    pub targets: u64,
}

/// Why no population was made.
#[derive(Debug, Error)]
pub enum SynthError {
    /// A number of people outside of 1..=[`PEOPLE_MAX`].
    #[error("cannot make {0} people: ask for 1 to {PEOPLE_MAX}")]
    People(u64),
    /// An as-of date for which births or birthdays would lie outside of the calendar.
    #[error("cannot make a population as of {0}: choose a date within 2000-01-01..2058-12-31")]
    AsOf(Date),
    /// The extract and the targets would be one file.
    #[error("the targets would overwrite the extract {}: give them another file", .0.display())]
    SameFile(PathBuf),
    /// A file could not be written.
    #[error("cannot write {}: {source}; check the folder, its permissions and the free space", path.display())]
    Write {
        /// The extract or the targets file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Writes the extract, and the targets when wanted; `progress` hears the number of people written so far.
///
/// # Errors
/// [`SynthError`], before anything is written when the options are at fault.
pub fn synthesize(
    options: &SynthOptions,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<SynthReport, SynthError> {
    check(options)?;
    let calendar = Calendar::new();
    let as_of = calendar::number(options.as_of);
    let mut families = Families {
        draw: Draw::new(options.seed, Purpose::Population),
        registry: Registry::new(&mut Draw::new(options.seed, Purpose::Identifiers)),
        planner: Planner { calendar: &calendar, as_of },
    };
    let mut extract = Extract::create(&options.out, &calendar)?;
    let mut sample =
        options.targets.as_ref().map(|wanted| Sample::create(options, wanted, &calendar)).transpose()?;
    let (mut people, mut reported) = (0, 0);
    let mut family = Vec::new();
    while people < options.people {
        families.next_into(&mut family, options.people - people);
        for person in &family {
            extract.add(person, &mut families.draw).map_err(failed(&options.out))?;
            if let Some(sample) = &mut sample {
                sample.sampler.offer(people, person, &families.registry).map_err(failed(sample.path))?;
            }
            people += 1;
        }
        if people - reported >= PROGRESS_STEP {
            reported = people;
            progress(people);
        }
    }
    progress(people);
    let targets = sample.map_or(Ok(0), |sample| sample.finish())?;
    let (rows, bytes) = extract.finish().map_err(failed(&options.out))?;
    Ok(SynthReport { people, rows, bytes, targets })
}

/// The targets while they are written.
struct Sample<'a> {
    sampler: Sampler<'a, BufWriter<Output>>,
    path: &'a Path,
}

impl<'a> Sample<'a> {
    fn create(
        options: &SynthOptions,
        wanted: &'a TargetsOptions,
        calendar: &'a Calendar,
    ) -> Result<Self, SynthError> {
        let out = BufWriter::new(open(&wanted.path)?);
        let draw = Draw::new(options.seed, Purpose::Targets);
        let as_of = calendar::number(options.as_of);
        let sampler = Sampler::new(out, draw, calendar, as_of, options.people, wanted.count);
        Ok(Sample { sampler, path: &wanted.path })
    }

    /// Writes what is left; gives the number of targets.
    fn finish(self) -> Result<u64, SynthError> {
        let (out, count) = self.sampler.finish().map_err(failed(self.path))?;
        let named = out.into_inner().map_err(io::IntoInnerError::into_error).and_then(Output::finish);
        named.map(|()| count).map_err(failed(self.path))
    }
}

fn check(options: &SynthOptions) -> Result<(), SynthError> {
    if !(1..=PEOPLE_MAX).contains(&options.people) {
        return Err(SynthError::People(options.people));
    }
    if !(AS_OF_MIN..=AS_OF_MAX).contains(&options.as_of) {
        return Err(SynthError::AsOf(options.as_of));
    }
    if options.targets.as_ref().is_some_and(|targets| targets.path == options.out) {
        return Err(SynthError::SameFile(options.out.clone()));
    }
    Ok(())
}

fn open(path: &Path) -> Result<Output, SynthError> {
    Output::open(path, OUTPUT_MODE)
        .map_err(|error| SynthError::Write { path: error.path, source: error.source })
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> SynthError + '_ {
    move |source| SynthError::Write { path: path.to_owned(), source }
}

/// The extract while it is written.
struct Extract<'a> {
    out: Output,
    writer: RowWriter<'a>,
    buffer: Vec<u8>,
    /// Rows that come later in the file than their person's family.
    elsewhere: Vec<u8>,
    rows: u64,
    bytes: u64,
}

impl<'a> Extract<'a> {
    fn create(path: &Path, calendar: &'a Calendar) -> Result<Self, SynthError> {
        let mut buffer = Vec::with_capacity(BUFFER_LEN + 4096);
        buffer.extend_from_slice(HEADER);
        let elsewhere = Vec::with_capacity(BUFFER_LEN + 4096);
        Ok(Extract { out: open(path)?, writer: RowWriter { calendar }, buffer, elsewhere, rows: 0, bytes: 0 })
    }

    fn add(&mut self, person: &Person, draw: &mut Draw) -> io::Result<()> {
        self.writer.write_first(&mut self.buffer, person, draw);
        self.rows += 1;
        if let Some(own) = &person.plan.own() {
            let far = draw.permille(FROM_ELSEWHERE_PERMILLE);
            let out = if far { &mut self.elsewhere } else { &mut self.buffer };
            self.writer.write_own(out, person, own, draw);
            self.rows += 1;
        }
        if self.elsewhere.len() >= BUFFER_LEN {
            self.buffer.append(&mut self.elsewhere);
        }
        if self.buffer.len() >= BUFFER_LEN { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.write_all(&self.buffer)?;
        self.bytes += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Writes what is left; gives rows and bytes.
    fn finish(mut self) -> io::Result<(u64, u64)> {
        self.buffer.append(&mut self.elsewhere);
        self.flush()?;
        // Synced now, not by the kernel half a minute later, in the way of a ledger on the same disk.
        self.out.finish()?;
        Ok((self.rows, self.bytes))
    }
}
