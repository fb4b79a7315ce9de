//! Mapped or resident: what opening takes, what look-ups take, what memory and page faults either costs. A generation
//! of made-up people, compiled straight to the two files, since what is measured does not depend on an extract.

use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use benches::Random;
use clap::{Parser, ValueEnum};
use engine::{
    Category, Compiler, Day, Entitlement, EntitlementRecord, FileDigest, INDEX_FILE, IdKind, MemoryMode,
    Person, PersonId, RECORDS_FILE, Relation, Snapshot, SnapshotFiles,
};

/// Measures both ways to hold a generation in memory.
#[derive(Parser)]
struct Args {
    /// People; they are made once and found again by later runs
    #[arg(long, default_value_t = 60_000_000)]
    people: u64,
    /// Look-ups of people at random, in each round
    #[arg(long, default_value_t = 4_000_000)]
    lookups: u32,
    /// Rounds; the modes take turns
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// One mode only
    #[arg(long)]
    only: Option<Mode>,
    /// Folder for the files
    #[arg(long, default_value = "target/memory-modes")]
    dir: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum Mode {
    Mapped,
    Resident,
}

type Failure = Box<dyn Error>;

/// IDs are spread evenly: one at random of each so many numbers.
const STEP: u64 = 16;

fn main() -> Result<(), Failure> {
    let args = Args::parse();
    let dir = args.dir.join(args.people.to_string());
    if !dir.join("done").exists() {
        make(&dir, args.people)?;
    }
    let files =
        SnapshotFiles { index: digest(&dir.join(INDEX_FILE))?, records: digest(&dir.join(RECORDS_FILE))? };
    let mut out = std::io::stdout();
    writeln!(
        out,
        "{} people, index {} MB, records {} MB, {} look-ups\n\
         mode     open ms  find ns  faults opening  faults finding (major)  anon MB  file MB  huge MB  drop ms",
        args.people,
        files.index.len / 1_000_000,
        files.records.len / 1_000_000,
        args.lookups
    )?;
    for _ in 0..args.rounds {
        for mode in [Mode::Mapped, Mode::Resident] {
            if args.only.is_none_or(|only| only as u8 == mode as u8) {
                measure(&args, &dir, &files, mode, &mut out)?;
            }
        }
    }
    Ok(())
}

fn measure(
    args: &Args,
    dir: &Path,
    files: &SnapshotFiles,
    mode: Mode,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let memory = match mode {
        Mode::Mapped => MemoryMode::Mapped,
        Mode::Resident => MemoryMode::Resident,
    };
    let before = faults()?;
    let began = Instant::now();
    let snapshot = Snapshot::open_in(dir, files, memory, &mut |_| {})?;
    let open_ms = began.elapsed().as_millis();
    let opened = faults()?;
    let mut random = Random(7);
    let wanted: Vec<PersonId> = std::iter::repeat_with(|| person(random.next_u64() % args.people))
        .flatten()
        .take(args.lookups as usize)
        .collect();
    let ready = faults()?;
    let began = Instant::now();
    for &person in &wanted {
        let Person::Entitled(records) = snapshot.find(person) else {
            return Err("a person is not found".into());
        };
        black_box(records[0].unpack());
    }
    let find_ns = began.elapsed().as_nanos() / u128::from(args.lookups);
    let found = faults()?;
    let [anon, file, huge] = ["Anonymous:", "Rss:", "AnonHugePages:"].map(rollup_mb);
    let (anon, file, huge) = (anon?, file?, huge?);
    let began = Instant::now();
    drop(snapshot);
    let drop_ms = began.elapsed().as_secs_f64() * 1000.0;
    writeln!(
        out,
        "{:8} {open_ms:7}  {find_ns:7}  {:14}  {:14} ({:5})  {anon:7}  {:7}  {huge:7}  {drop_ms:7.1}",
        memory.code(),
        opened.0 - before.0,
        found.0 - ready.0,
        found.1 - ready.1,
        file - anon,
    )?;
    Ok(())
}

/// Minor and major page faults of this process.
fn faults() -> Result<(u64, u64), Failure> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit_once(") ").ok_or("no stat")?.1.split(' ').collect();
    Ok((fields[7].parse()?, fields[9].parse()?))
}

fn rollup_mb(name: &str) -> Result<u64, Failure> {
    let text = fs::read_to_string("/proc/self/smaps_rollup")?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)).ok_or("no such line")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024 / 1_000_000)
}

/// The person of that place, if the number is one that an ID may have.
fn person(place: u64) -> Option<PersonId> {
    let offset = Random(place).next_u64() % STEP;
    PersonId::from_u64(IdKind::National, place * STEP + offset)
}

fn make(dir: &Path, people: u64) -> Result<(), Failure> {
    let _ = fs::remove_dir_all(dir);
    fs::create_dir_all(dir)?;
    let day = |number: u64| Day::from_number((number % 40_000) as u16).ok_or("no such day");
    let mut compiler = Compiler::create(dir)?;
    for place in 0..people {
        let Some(person) = person(place) else { continue };
        let entitlement = |start| {
            EntitlementRecord::pack(&Entitlement {
                category: Category::INSURED,
                relation: Relation::Itself,
                start,
                end: None,
                turns_19: None,
                student_until: None,
                document_due: None,
                other_insurer: None,
                branch: None,
                mobile: None,
            })
        };
        let records = [entitlement(day(place)?), entitlement(day(place % 39_000 + 500)?)];
        // One in twenty has two entitlements.
        let two = place % 20 == 0
            && records[0].unpack().zip(records[1].unpack()).is_some_and(|(a, b)| a.start < b.start);
        compiler.add(person, if two { &records } else { &records[..1] })?;
    }
    compiler.finish()?;
    fs::write(dir.join("done"), "")?;
    Ok(())
}

fn digest(path: &Path) -> Result<FileDigest, Failure> {
    let mut hasher = blake3::Hasher::new();
    let len = std::io::copy(&mut fs::File::open(path)?, &mut hasher)?;
    Ok(FileDigest { len, blake3: *hasher.finalize().as_bytes() })
}
