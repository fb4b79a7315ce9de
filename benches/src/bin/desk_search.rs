//! Searching by person: what making an index takes, what it adds to a segment, and what a search takes by the indexes and
//! without them. A ledger of inquiries about people at random, in segments of full length.

use std::error::Error;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use benches::{Random, entry, ledger_keys};
use clap::Parser;
use engine::{IdKind, PersonId};
use ledger::{Entry, Ledger, LedgerReader, Options, Pending, RealDisk, Search, Span};

/// Measures searches by person.
#[derive(Parser)]
struct Args {
    /// Inquiries that are appended
    #[arg(long, default_value_t = 4_000_000)]
    entries: u64,
    /// Persons that they are about
    #[arg(long, default_value_t = 60_000_000)]
    people: u64,
    /// Searches of each kind
    #[arg(long, default_value_t = 2_000)]
    searches: u64,
    /// Rounds
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// In which folder the ledger is made, and removed again
    #[arg(long, default_value = "target")]
    dir: PathBuf,
}

type Failure = Box<dyn Error>;

/// Entries under way at once.
const IN_FLIGHT: usize = 4096;
/// Kept behind the sealed segments, in the one that is written.
const OPEN_SHARE: u64 = 4;

fn main() -> Result<(), Failure> {
    let args = Args::parse();
    let mut out = std::io::stdout();
    let folder = tempfile::tempdir_in(&args.dir)?;
    let dir = folder.path();
    let disk = RealDisk::new(dir);
    let mut random = Random(1);
    append(&disk, &args, args.entries, &mut random)?;
    remove_indexes(dir)?;
    let ledger = Ledger::open(&disk, Arc::new(ledger_keys()), options(false))?;
    let bytes: u64 = ledger.segments().iter().map(|info| info.len_bytes).sum();
    let begun = Instant::now();
    let made = ledger.index_segments()?;
    let (seconds, indexes) = (begun.elapsed().as_secs_f64(), index_bytes(dir)?);
    writeln!(
        out,
        "{} inquiries in {made} segments of {} MB: indexes of {} MB made in {seconds:.2} s",
        args.entries,
        bytes / 1_000_000,
        indexes / 1_000_000
    )?;
    let more = args.entries / OPEN_SHARE;
    append_to(&ledger, &args, more, &mut random)?;
    let begun = Instant::now();
    ledger.search(&search(person(&mut random, &args)?))?;
    writeln!(
        out,
        "open segment of {more} inquiries taken into memory in {:.2} s",
        begun.elapsed().as_secs_f64()
    )?;
    for _ in 0..args.rounds {
        let times = timed(
            args.searches,
            |_| person(&mut random, &args),
            |search| Ok(ledger.search(search)?.found.len()),
        )?;
        writeln!(out, "by index: {times}")?;
    }
    ledger.close()?;
    drop(ledger);
    remove_indexes(dir)?;
    let reader = LedgerReader::open(&disk, Arc::new(ledger_keys()))?;
    let times = timed(3, |_| person(&mut random, &args), |search| Ok(reader.search(search)?.found.len()))?;
    writeln!(out, "every segment read whole: {times}")?;
    Ok(())
}

/// Segments of full length from the first one on; `ahead` says whether anything is done beside.
fn options(ahead: bool) -> Options {
    Options { ahead, segment_len_min_bytes: 256 << 20, queue_len_max: IN_FLIGHT, ..Options::default() }
}

fn append(disk: &RealDisk, args: &Args, count: u64, random: &mut Random) -> Result<(), Failure> {
    let ledger = Ledger::open_or_init(disk, 1, Arc::new(ledger_keys()), options(true))?;
    append_to(&ledger, args, count, random)?;
    Ok(ledger.close()?)
}

fn append_to(ledger: &Ledger, args: &Args, count: u64, random: &mut Random) -> Result<(), Failure> {
    let mut left = count;
    while left > 0 {
        let some = left.min(IN_FLIGHT as u64);
        let pending: Result<Vec<Pending>, Failure> =
            (0..some).map(|n| Ok(ledger.append(about(person(random, args)?, n))?)).collect();
        for pending in pending? {
            pending.wait()?;
        }
        left -= some;
    }
    Ok(())
}

fn about(person: PersonId, number: u64) -> Entry {
    Entry { person: person.into(), ..entry(number) }
}

/// One of the persons at random; their numbers are spread over all nine-digit ones.
fn person(random: &mut Random, args: &Args) -> Result<PersonId, Failure> {
    let step = 900_000_000 / args.people.max(1);
    // Some numbers are no ID's, such as those whose last six digits are zero.
    let ids = std::iter::repeat_with(|| 1_000_000 + random.next_u64() % args.people.max(1) * step)
        .find_map(|number| PersonId::from_u64(IdKind::National, number));
    ids.ok_or_else(|| "no number is an ID's".into())
}

fn search(person: PersonId) -> Search {
    Search { person, span: Span::default(), limit: 20, after: None }
}

/// Times so many searches; in words.
fn timed(
    count: u64,
    mut person: impl FnMut(u64) -> Result<PersonId, Failure>,
    mut find: impl FnMut(&Search) -> Result<usize, Failure>,
) -> Result<String, Failure> {
    let (mut times, mut found) = (Vec::new(), 0);
    for n in 0..count {
        let search = search(person(n)?);
        let begun = Instant::now();
        found += find(&search)?;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    let at = |share: usize| times.get((times.len() * share / 100).min(times.len() - 1)).copied();
    let us = |time: Option<Duration>| time.unwrap_or_default().as_micros();
    Ok(format!("{count} searches, {found} found, p50 {} us, p99 {} us", us(at(50)), us(at(99))))
}

fn indexes(dir: &Path) -> Result<Vec<PathBuf>, Failure> {
    let names: Result<Vec<_>, _> = fs::read_dir(dir)?.map(|item| item.map(|item| item.path())).collect();
    Ok(names?.into_iter().filter(|path| path.extension().is_some_and(|end| end == "idx")).collect())
}

fn index_bytes(dir: &Path) -> Result<u64, Failure> {
    indexes(dir)?.into_iter().map(|path| Ok(fs::metadata(path)?.len())).sum()
}

fn remove_indexes(dir: &Path) -> Result<(), Failure> {
    indexes(dir)?.into_iter().try_for_each(|path| Ok(fs::remove_file(path)?))
}
