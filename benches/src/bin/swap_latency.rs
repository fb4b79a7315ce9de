//! What swaps cost those who ask: `loadgen` at a steady rate against the service, with and without swaps, in
//! interleaved pairs. Latency counts from the intended send time. Each swap opens a generation that is not in memory.

use std::error::Error;
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use benches::{Population, SCALES, build_as_of, ledger_keys, mobile_key};
use clap::{Parser, ValueEnum};
use engine::{Day, MemoryMode};
use ledger::{Ledger, Options, RealDisk};
use serde_json::Value;
use server::{
    NewProvider, Ownership, Parts, ProviderKind, Running, Scope, ServeSettings, add_provider, start,
};

/// Measures latency with and without swaps.
#[derive(Parser)]
struct Args {
    /// Inquiries a second
    #[arg(long, default_value_t = 5000)]
    rate: u32,
    /// Seconds of each run
    #[arg(long, default_value_t = 25)]
    seconds: u32,
    /// Pairs of runs; the order within a pair alternates
    #[arg(long, default_value_t = 3)]
    pairs: u32,
    /// Time from one swap to the next
    #[arg(long, default_value_t = 75)]
    swap_every_ms: u64,
    /// How generations are held
    #[arg(long, value_enum, default_value_t = Mode::Resident)]
    memory_mode: Mode,
    /// 10 million people instead of one
    #[arg(long)]
    large: bool,
    /// The load generator
    #[arg(long, default_value = "target/release/loadgen")]
    loadgen: PathBuf,
    /// Folder for the ledger and the generations; must be on a real disk
    #[arg(long, default_value = "target/swap-latency")]
    dir: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum Mode {
    Mapped,
    Resident,
}

type Failure = Box<dyn Error>;

/// The same people as of three days: three generations with the same answers, and never two at a time in memory
/// beside the one to come.
const AS_OF: [&str; 3] = ["2026-11-22", "2026-11-23", "2026-11-24"];

fn main() -> Result<(), Failure> {
    let args = Args::parse();
    let scale = SCALES[usize::from(args.large)];
    let population = Population::of(scale);
    let snapshots = args.dir.join(format!("snapshots-{}", scale.name));
    let names = generations(&population, &snapshots)?;
    let service = Service::start(&args, &population, &snapshots)?;
    let mut out = std::io::stdout();
    writeln!(
        out,
        "{} people, {} MiB, {}, {}/s for {} s a run, a swap every {} ms",
        scale.name,
        service.generation_bytes >> 20,
        memory_mode(args.memory_mode).code(),
        args.rate,
        args.seconds,
        args.swap_every_ms
    )?;
    service.run(&args, None)?; // Warms both sides up.
    for pair in 0..args.pairs {
        for with_swaps in if pair % 2 == 0 { [false, true] } else { [true, false] } {
            let (result, swaps) = service.run(&args, with_swaps.then_some(&names))?;
            writeln!(out, "{}", told(&result, swaps)?)?;
        }
    }
    Ok(service.running.stop()?)
}

fn memory_mode(mode: Mode) -> MemoryMode {
    match mode {
        Mode::Mapped => MemoryMode::Mapped,
        Mode::Resident => MemoryMode::Resident,
    }
}

/// Builds what is not there yet; the names.
fn generations(population: &Population, snapshots: &Path) -> Result<Vec<String>, Failure> {
    AS_OF
        .into_iter()
        .map(|as_of| Ok(build_as_of(&population.extract(), snapshots, Day::parse(as_of)?)))
        .collect()
}

struct Service {
    running: Running,
    snapshots: PathBuf,
    targets: PathBuf,
    key_file: PathBuf,
    result: PathBuf,
    generation_bytes: u64,
}

impl Service {
    fn start(args: &Args, population: &Population, snapshots: &Path) -> Result<Service, Failure> {
        let ledger_dir = args.dir.join("ledger");
        let _ = fs::remove_dir_all(&ledger_dir);
        let keys = Arc::new(ledger_keys());
        let ledger = Ledger::open_or_init(&RealDisk::create(ledger_dir)?, 1, keys, Options::default())?;
        let providers_file = args.dir.join("providers.toml");
        let _ = fs::remove_file(&providers_file);
        let provider = NewProvider {
            id: "bench".to_owned(),
            name: "Bench".to_owned(),
            kind: ProviderKind::Hospital,
            ownership: Ownership::Owned,
            scopes: vec![Scope::Desk],
        };
        let key_file = args.dir.join("bench.key");
        fs::write(&key_file, add_provider(&providers_file, &provider)?.reveal())?;
        let settings = ServeSettings {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            memory_mode: memory_mode(args.memory_mode),
            ..Default::default()
        };
        let snapshots_dir = snapshots.to_owned();
        let parts = Parts { snapshots_dir, mobile_keys: vec![mobile_key()], ledger, providers_file };
        let running = start(&settings, parts, |_| {})?;
        wait_until(|| running.is_ready())?;
        let (targets, result) = (population.targets(), args.dir.join("result.json"));
        let current = snapshots.join(fs::read_to_string(snapshots.join("CURRENT"))?.trim());
        let lens = ["index.bin", "records.bin"].map(|name| fs::metadata(current.join(name)));
        let generation_bytes = lens.into_iter().flatten().map(|metadata| metadata.len()).sum();
        Ok(Service { running, snapshots: snapshots.to_owned(), targets, key_file, result, generation_bytes })
    }

    /// One run of `loadgen`, with swaps among these generations if any; its result and how many there were.
    fn run(&self, args: &Args, names: Option<&Vec<String>>) -> Result<(Value, u64), Failure> {
        let mut loadgen = Loadgen(self.load(args)?);
        let mut swaps = 0;
        let began = Instant::now();
        while loadgen.0.try_wait()?.is_none() {
            let Some(names) = names else {
                sleep(Duration::from_millis(20));
                continue;
            };
            let due = began + Duration::from_millis(args.swap_every_ms) * (swaps as u32 + 1);
            sleep(due.saturating_duration_since(Instant::now()));
            self.swap(&names[swaps as usize % names.len()])?;
            swaps += 1;
        }
        Ok((serde_json::from_slice(&fs::read(&self.result)?)?, swaps))
    }

    fn load(&self, args: &Args) -> Result<Child, Failure> {
        let _ = fs::remove_file(&self.result);
        let mut command = Command::new(&args.loadgen);
        command.args(["run", "--url", &format!("http://{}", self.running.address())]);
        command.args(["--rate", &args.rate.to_string(), "--duration-s", &args.seconds.to_string()]);
        command.arg("--targets").arg(&self.targets).arg("--key-file").arg(&self.key_file);
        command.arg("--out").arg(&self.result).stdout(Stdio::null()).stderr(Stdio::null());
        let started = command.spawn();
        Ok(started.map_err(|error| format!("{}: {error}; build it in release", args.loadgen.display()))?)
    }

    fn swap(&self, name: &str) -> Result<(), Failure> {
        fs::write(self.snapshots.join("beside"), format!("{name}\n"))?;
        fs::rename(self.snapshots.join("beside"), self.snapshots.join("CURRENT"))?;
        self.running.look_now();
        wait_until(|| self.running.generation().as_deref() == Some(name))
    }
}

/// Ended also when a measurement fails.
struct Loadgen(Child);

impl Drop for Loadgen {
    fn drop(&mut self) {
        let _ = self.0.kill(); // It may have ended.
        let _ = self.0.wait();
    }
}

fn wait_until(condition: impl Fn() -> bool) -> Result<(), Failure> {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        if Instant::now() > deadline {
            return Err("waited for a minute in vain".into());
        }
        sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// A line of a run. Whatever went wrong stands in it.
fn told(result: &Value, swaps: u64) -> Result<String, Failure> {
    let latency = &result["latency_us"];
    let [p50, p99, p99_9, max] = ["p50", "p99", "p99_9", "max"].map(|name| latency[name].to_string());
    let [right, wrong, errors] = ["right", "wrong_answers", "errors"].map(|name| result[name].to_string());
    let lateness = &result["lateness_us"]["p99"];
    let verdict = result["verdict"]["verdict"].as_str().ok_or("no verdict")?;
    Ok(format!(
        "{swaps:4} swaps: p50 {p50} us, p99 {p99}, p99.9 {p99_9}, max {max}; {right} right, {wrong} wrong, {errors} errors; \
         lateness p99 {lateness}; {verdict}"
    ))
}
