//! What the ledger costs: `wrk` runs of inquiries and of a constant answer of the same body, parsing and
//! length, in one process, in interleaved pairs. Prints each pair, the median ratio and the entries per sync.

use std::error::Error;
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use benches::{Population, SCALES, Scale, ledger_keys, mobile_key};
use clap::Parser;
use ledger::{Ledger, Options, RealDisk};
use server::{
    NewProvider, Ownership, Parts, ProviderKind, Running, Scope, ServeSettings, add_provider, baseline, start,
};

/// Measures inquiries against a constant answer with `wrk`.
#[derive(Parser)]
struct Args {
    /// Pairs of runs; the order within a pair alternates
    #[arg(long, default_value_t = 10)]
    pairs: u32,
    /// Seconds of each run
    #[arg(long, default_value_t = 4)]
    seconds: u32,
    /// Connections of the one load thread
    #[arg(long, default_value_t = 64)]
    connections: u32,
    /// Worker threads of the server
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Folder for the ledger; must be on a real disk
    #[arg(long, default_value = "target/commit-ratio")]
    dir: PathBuf,
}

type Failure = Box<dyn Error>;

fn main() -> Result<(), Failure> {
    let args = Args::parse();
    let Scale { name, .. } = SCALES[0];
    let population = Population::of(SCALES[0]);
    let _ = fs::remove_dir_all(&args.dir);
    fs::create_dir_all(&args.dir)?;
    let (running, script) = start_service(&args, &population)?;
    let address = running.address();
    let mut out = std::io::stdout();
    writeln!(
        out,
        "{name} people, {} workers, {} connections, {} s a run",
        args.workers, args.connections, args.seconds
    )?;
    run(&args, address, "/v1/inquiries", &script)?;
    run(&args, address, "/baseline", &script)?;
    let mut ratios = Vec::new();
    for pair in 0..args.pairs {
        let before = running.ledger_stats();
        let (inquiries, constant) = if pair % 2 == 0 {
            let inquiries = run(&args, address, "/v1/inquiries", &script)?;
            (inquiries, run(&args, address, "/baseline", &script)?)
        } else {
            let constant = run(&args, address, "/baseline", &script)?;
            (run(&args, address, "/v1/inquiries", &script)?, constant)
        };
        let after = running.ledger_stats();
        let per_sync = (after.entries - before.entries) as f64 / (after.batches - before.batches) as f64;
        let ratio = inquiries / constant;
        ratios.push(ratio);
        writeln!(
            out,
            "pair {pair}: {inquiries:.0}/s against {constant:.0}/s, {ratio:.3}, {per_sync:.1} entries a sync"
        )?;
    }
    ratios.sort_by(f64::total_cmp);
    let middle = ratios.len() / 2;
    let median = (ratios[middle] + ratios[(ratios.len() - 1) / 2]) / 2.0;
    writeln!(out, "median ratio {median:.3}")?;
    Ok(running.stop()?)
}

/// The service over the population, with a fresh ledger, and the script that makes `wrk` ask it.
fn start_service(args: &Args, population: &Population) -> Result<(Running, PathBuf), Failure> {
    let disk = RealDisk::create(args.dir.join("ledger"))?;
    let ledger = Ledger::open_or_init(&disk, 1, Arc::new(ledger_keys()), Options::default())?;
    let providers_file = args.dir.join("providers.toml");
    let provider = NewProvider {
        id: "bench".to_owned(),
        name: "Bench".to_owned(),
        kind: ProviderKind::Hospital,
        ownership: Ownership::Owned,
        scopes: vec![Scope::Desk],
    };
    let key = add_provider(&providers_file, &provider)?;
    let script = args.dir.join("inquiries.lua");
    fs::write(&script, wrk_script(population, key.reveal())?)?;
    let settings = ServeSettings {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        workers: args.workers,
        ..Default::default()
    };
    let snapshots_dir = population.snapshots();
    let parts = Parts { snapshots_dir, mobile_keys: vec![mobile_key()], ledger, providers_file };
    let running = start(&settings, parts, baseline)?;
    let deadline = Instant::now() + Duration::from_secs(60);
    while !running.is_ready() {
        if Instant::now() > deadline {
            return Err("the service is not ready after a minute".into());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok((running, script))
}

/// Asks for the people of the targets, one after the other, outpatient and today.
fn wrk_script(population: &Population, key: &str) -> Result<String, Failure> {
    let mut bodies = String::new();
    for line in fs::read_to_string(population.targets())?.lines() {
        let target: serde_json::Value = serde_json::from_str(line)?;
        let request = &target["request"];
        let body = serde_json::json!({ "person_id": request["person_id"], "id_kind": request["id_kind"] });
        bodies.push_str(&format!("  '{body}',\n"));
    }
    Ok(format!(
        "local headers = {{ ['Authorization'] = 'Bearer {key}', ['Content-Type'] = 'application/json' }}\n\
         local bodies = {{\n{bodies}}}\n\
         local requests, next = {{}}, 0\n\
         function init(args)\n\
           for place, body in ipairs(bodies) do requests[place] = wrk.format('POST', nil, headers, body) end\n\
         end\n\
         function request()\n  next = next % #requests + 1\n  return requests[next]\nend\n"
    ))
}

/// One run of `wrk`; tells the answers per second. Any answer that is no success fails the measurement.
fn run(args: &Args, address: SocketAddr, path: &str, script: &std::path::Path) -> Result<f64, Failure> {
    let output = Command::new("wrk")
        .args(["-t1", &format!("-c{}", args.connections), &format!("-d{}s", args.seconds), "-s"])
        .arg(script)
        .arg(format!("http://{address}{path}"))
        .output()
        .map_err(|error| format!("cannot run wrk: {error}; install Debian's package of that name"))?;
    let text = String::from_utf8(output.stdout)?;
    if !output.status.success() || text.contains("Non-2xx") || text.contains("Socket errors") {
        return Err(format!("wrk failed on {path}:\n{text}").into());
    }
    let rate = text.lines().find_map(|line| line.strip_prefix("Requests/sec:"));
    Ok(rate.ok_or("wrk printed no rate")?.trim().parse()?)
}
