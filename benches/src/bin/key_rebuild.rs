//! What idempotency keys cost a start: the time to read the keys of the last day from the ledger, and the memory that
//! they take. Two ledgers of as many entries, all with a key and none with one, in turns; the files are in the page
//! cache, since they were just written.

use std::error::Error;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use benches::ledger_keys;
use clap::Parser;
use engine::{Care, IdKind, PersonId};
use ledger::{Asker, Entry, Ledger, Month, Options, ProviderId, Question, RealDisk};
use server::{Parts, ServeSettings, start};

/// Reads the keys of a ledger again and again.
#[derive(Parser)]
struct Args {
    /// Entries of each ledger
    #[arg(long, default_value_t = 1_000_000)]
    entries: u64,
    /// Starts on each ledger
    #[arg(long, default_value_t = 5)]
    repeats: u32,
    /// An empty folder on the disk to be measured
    #[arg(long)]
    dir: PathBuf,
}

type Failure = Box<dyn Error>;

fn main() -> Result<(), Failure> {
    let args = Args::parse();
    fs::create_dir_all(&args.dir)?;
    fs::write(args.dir.join("providers.toml"), "")?;
    let mut out = std::io::stdout();
    for keyed in [true, false] {
        write_ledger(&args.dir.join(name(keyed)), args.entries, keyed)?;
    }
    for repeat in 1..=args.repeats {
        for keyed in [true, false] {
            let started = start_once(&args, keyed)?;
            writeln!(
                out,
                "{repeat} {}: opened in {} ms, keys known in {} ms, {} held, {:.1} bytes a key",
                name(keyed),
                started.opened.as_millis(),
                started.rebuild_ms,
                started.held,
                started.grown_bytes as f64 / started.held.max(1) as f64
            )?;
        }
    }
    Ok(())
}

fn name(keyed: bool) -> &'static str {
    if keyed { "with-keys" } else { "without" }
}

/// A ledger with so many entries of now.
fn write_ledger(path: &Path, entries: u64, keyed: bool) -> Result<(), Failure> {
    let options = Options { queue_len_max: 1 << 16, ..Options::default() };
    let ledger = Ledger::open_or_init(&RealDisk::create(path)?, 1, Arc::new(ledger_keys()), options)?;
    let (clock_ms, provider) = (ledger.clock_ms(), ProviderId::parse("clinic-1")?);
    let (asker, month) = (Asker::Provider(provider), Month::at(clock_ms()));
    let mut waiting = Vec::new();
    for n in 0..entries {
        let person = PersonId::from_u64(IdKind::National, 499_370_000 + n % 600_000 + 1).ok_or("an ID")?;
        let question = Question { person, care: Care::Outpatient, service_day: None };
        let idempotency = keyed.then(|| ledger.idempotency(month, &asker, &format!("key-{n}"), &question));
        waiting.push(ledger.append(Entry {
            time_ms: clock_ms(),
            provider,
            person: person.into(),
            idempotency,
            ..benches::entry(n)
        })?);
        if waiting.len() == 1 << 14 {
            waiting.drain(..).try_for_each(|pending| pending.wait().map(drop))?;
        }
    }
    waiting.into_iter().try_for_each(|pending| pending.wait().map(drop))?;
    Ok(ledger.close()?)
}

/// One start of the service.
struct Started {
    opened: Duration,
    rebuild_ms: u64,
    held: u64,
    /// By how much the process grew from before the start until the keys were known.
    grown_bytes: u64,
}

fn start_once(args: &Args, keyed: bool) -> Result<Started, Failure> {
    let disk = RealDisk::create(args.dir.join(name(keyed)))?;
    let begun = Instant::now();
    let ledger = Ledger::open(&disk, Arc::new(ledger_keys()), Options::default())?;
    let opened = begun.elapsed();
    let parts = Parts {
        snapshots_dir: args.dir.clone(),
        mobile_keys: Vec::new(),
        ledger,
        providers_file: args.dir.join("providers.toml"),
    };
    // Three quarters of the bound are for providers: room for all, and as full as it gets.
    let idempotency_keys_max = usize::try_from(args.entries * 4 / 3 + 1)?;
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let settings = ServeSettings { listen, idempotency_keys_max, ..Default::default() };
    let before = resident_bytes()?;
    let running = start(&settings, parts, |_| {})?;
    let metrics = loop {
        let metrics = get_metrics(running.address())?;
        if metric(&metrics, "estehqaq_idempotency_keys_known")? == 1 {
            break metrics;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let grown_bytes = resident_bytes()?.saturating_sub(before);
    let held = metric(&metrics, "estehqaq_idempotency_keys{channel=\"general\"}")?;
    let rebuild_ms = metric(&metrics, "estehqaq_idempotency_rebuild_ms")?;
    running.stop()?;
    Ok(Started { opened, rebuild_ms, held, grown_bytes })
}

fn get_metrics(address: SocketAddr) -> Result<String, Failure> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

fn metric(text: &str, name: &str) -> Result<u64, Failure> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(value.ok_or_else(|| format!("no metric {name}"))?.trim().parse()?)
}

/// The process's memory, from the kernel.
fn resident_bytes() -> Result<u64, Failure> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib * 1024)
}
