//! A ledger of many entries: how fast it is written, what an entry takes on disk, how fast it is verified, and how
//! long an opening takes. Written through the ledger's own door, by one thread. The folder stays, so that it can be
//! written at one time and measured at another.

use std::collections::VecDeque;
use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Write, stdout};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use benches::{entry, ledger_keys};
use clap::Parser;
use ledger::{Ledger, LedgerReader, Options, RealDisk};
use rustix::fs::{Advice, fadvise};

/// Writes, opens and verifies a ledger of many entries.
#[derive(Parser)]
struct Args {
    /// Entries of 144 bytes to begin with, if there is no such folder yet
    #[arg(long, default_value_t = 10_000_000)]
    entries: u64,
    /// Entries under way at a time
    #[arg(long, default_value_t = 8192)]
    in_flight: usize,
    /// Openings to be timed, after an unclean end each; none, and nothing is verified either
    #[arg(long, default_value_t = 3)]
    openings: u32,
    /// Entries that are written before each opening but the first
    #[arg(long, default_value_t = 1_500_000)]
    tail: u64,
    /// Folder for the ledger; must be on a real disk
    #[arg(long, default_value = "target/ledger-scale")]
    dir: PathBuf,
}

type Failure = Box<dyn Error>;

fn main() -> Result<(), Failure> {
    let args = Args::parse();
    let disk = RealDisk::new(&args.dir);
    if !args.dir.exists() {
        Ledger::init(&RealDisk::create(&args.dir)?, 1, &ledger_keys())?;
        append(&disk, args.entries, args.in_flight)?;
    }
    if args.openings > 0 { measure(&args, &disk) } else { Ok(()) }
}

fn measure(args: &Args, disk: &RealDisk) -> Result<(), Failure> {
    for opening in 0..args.openings {
        if opening > 0 {
            append(disk, args.tail, args.in_flight)?;
        }
        // The first one as after a restart of the machine, the others as after one of the process.
        open(disk, &args.dir, opening == 0)?;
    }
    index(disk, &args.dir)?;
    for threads in [1, 2] {
        for cold in [false, true] {
            verify(disk, &args.dir, threads, cold)?;
        }
    }
    Ok(())
}

/// Appends that many, and ends as a killed process does: without a closing entry.
fn append(disk: &RealDisk, entries: u64, in_flight: usize) -> Result<(), Failure> {
    let ledger = Ledger::open(disk, Arc::new(ledger_keys()), Options::default())?;
    let begun = Instant::now();
    let mut under_way = VecDeque::with_capacity(in_flight);
    for number in 0..entries {
        if under_way.len() == in_flight {
            under_way
                .drain(..in_flight / 2)
                .try_for_each(|pending: ledger::Pending| pending.wait().map(drop))?;
        }
        under_way.push_back(ledger.append(entry(number))?);
    }
    under_way.into_iter().try_for_each(|pending| pending.wait().map(drop))?;
    let (seconds, stats) = (begun.elapsed().as_secs_f64(), ledger.stats());
    let (rate, per_sync) = (entries as f64 / seconds, entries as f64 / stats.batches as f64);
    writeln!(stdout(), "appended {entries} in {seconds:.1} s: {rate:.0}/s, {per_sync:.0} a sync")?;
    Ok(())
}

fn open(disk: &RealDisk, dir: &Path, cold: bool) -> Result<(), Failure> {
    if cold {
        forget_pages(dir)?;
    }
    let begun = Instant::now();
    let ledger = Ledger::open(disk, Arc::new(ledger_keys()), Options::default())?;
    let ms = begun.elapsed().as_secs_f64() * 1e3;
    let segments = ledger.segments();
    let last = segments.last().map_or(0, |info| info.entries);
    let all: u64 = segments.iter().map(|info| info.entries).sum();
    let count = segments.len();
    let pages = temperature(cold);
    writeln!(
        stdout(),
        "opened in {ms:.0} ms, {pages}: {all} entries in {count} segments, {last} in the last"
    )?;
    ledger.close()?;
    Ok(())
}

/// Makes the indexes that are not there yet, and tells what an entry takes with its share of all files.
fn index(disk: &RealDisk, dir: &Path) -> Result<(), Failure> {
    let ledger = Ledger::open(disk, Arc::new(ledger_keys()), Options { ahead: false, ..Options::default() })?;
    let begun = Instant::now();
    let made = ledger.index_segments()?;
    let seconds = begun.elapsed().as_secs_f64();
    let entries: u64 = ledger.segments().iter().map(|info| info.entries).sum();
    ledger.close()?;
    let lengths: Result<Vec<u64>, io::Error> =
        fs::read_dir(dir)?.map(|item| Ok(item?.metadata()?.len())).collect();
    let per_entry = lengths?.iter().sum::<u64>() as f64 / entries as f64;
    writeln!(
        stdout(),
        "{made} segments indexed in {seconds:.1} s; all files: {per_entry:.2} bytes an entry"
    )?;
    Ok(())
}

fn verify(disk: &RealDisk, dir: &Path, threads: usize, cold: bool) -> Result<(), Failure> {
    if cold {
        forget_pages(dir)?;
    }
    let reader = LedgerReader::open(disk, Arc::new(ledger_keys()))?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    let begun = Instant::now();
    let verified = pool.install(|| reader.verify());
    let seconds = begun.elapsed().as_secs_f64();
    if let Some(fault) = verified.fault {
        return Err(fault.into());
    }
    let report = verified.report;
    let gigabytes = report.bytes as f64 / 1e9;
    let (rate, pages) = (gigabytes / seconds, temperature(cold));
    let per_entry = report.bytes as f64 / report.entries as f64;
    writeln!(
        stdout(),
        "verified {gigabytes:.2} GB with {threads} threads, {pages}: {rate:.2} GB/s; {per_entry:.2} bytes an entry"
    )?;
    Ok(())
}

fn temperature(cold: bool) -> &'static str {
    if cold { "pages dropped before" } else { "pages as they were" }
}

/// Drops the folder's pages from memory, so that they are read from the disk.
fn forget_pages(dir: &Path) -> io::Result<()> {
    for item in fs::read_dir(dir)? {
        let file = File::open(item?.path())?;
        file.sync_all()?;
        fadvise(&file, 0, None, Advice::DontNeed)?;
    }
    Ok(())
}
