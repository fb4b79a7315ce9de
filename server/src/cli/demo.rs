//! `demo`: on a fresh checkout, everything from a population to a serving service; the second time, what is
//! there already. Prints what to try once the service is ready.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Deserialize;
use snapshots::synth::{SynthOptions, TargetsOptions, synthesize};
use snapshots::{BuildOptions, build};
use tracing::level_filters::LevelFilter;

use super::options::{self, CommandError};
use super::output;
use super::progress::{Bar, BuildBars};
use super::secrets::{self, Secrets};
use super::serve::{Places, open_parts};
use crate::{NewProvider, Ownership, ProviderKind, Scope, ServeSettings, add_provider};

const SEED: u64 = 1405;
const TARGETS: u64 = 10_000;

#[derive(Args)]
pub(crate) struct DemoArgs {
    /// Where the data lies; made if it is not there
    #[arg(long, value_name = "DIR", default_value = "demo-data")]
    dir: PathBuf,
    /// How many people, when the data is made
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    people: u64,
    /// Where to listen
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
}

/// Where each part of the demo's data lies.
struct Layout {
    dir: PathBuf,
}

impl Layout {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn key(&self) -> PathBuf {
        self.path("demo-key.txt")
    }

    fn targets(&self) -> PathBuf {
        self.path("targets.ndjson")
    }

    /// Written last: with it, all the rest is there.
    fn complete(&self) -> PathBuf {
        self.path("complete")
    }

    fn places(&self) -> Places {
        Places {
            snapshots: self.path("snapshots"),
            ledger: self.path("ledger"),
            providers: self.path("providers.toml"),
            secrets: self.path("secrets.toml"),
        }
    }
}

pub(super) fn run(args: &DemoArgs) -> Result<(), CommandError> {
    crate::init_log(LevelFilter::WARN);
    let layout = Layout { dir: args.dir.clone() };
    if !layout.complete().exists() {
        make(&layout, args.people)?;
    }
    let settings = ServeSettings { listen: args.listen, ..ServeSettings::default() };
    let parts = open_parts(layout.places(), &settings)?;
    let guide = guide(&layout, args.listen)?;
    Ok(crate::serve(&settings, parts, move |_| {
        let _ = output::line(&guide);
    })?)
}

/// Makes everything anew; what an interrupted run left behind is of no use.
fn make(layout: &Layout, people: u64) -> Result<(), CommandError> {
    let as_of = options::day_or_today(None)?;
    let dir = &layout.dir;
    let failed = |error| CommandError::failed(format!("cannot make {}: {error}", dir.display()));
    clear_unfinished(dir)?;
    fs::create_dir_all(dir).map_err(failed)?;
    let places = layout.places();
    secrets::init(&places.secrets)?;
    write_key(layout)?;
    let extract = layout.path("extract.csv");
    let targets = TargetsOptions { path: layout.targets(), count: TARGETS };
    let synth = SynthOptions { people, seed: SEED, as_of, out: extract.clone(), targets: Some(targets) };
    let bar = Bar::new("making people", people);
    synthesize(&synth, &|done| bar.set(done))?;
    bar.finish();
    let bars = BuildBars::default();
    let built = build(&BuildOptions {
        extract: &extract,
        snapshots: &places.snapshots,
        mobile_key: Secrets::load(&places.secrets)?.current_mobile_key()?,
        as_of,
        max_rejected: 0.0,
        progress: &|progress| bars.show(progress),
    });
    bars.finish();
    built?;
    fs::write(layout.complete(), "").map_err(failed)
}

/// Removes an unfinished demo, and nothing else.
fn clear_unfinished(dir: &Path) -> Result<(), CommandError> {
    if !dir.exists() {
        return Ok(());
    }
    let foreign = fs::read_dir(dir)?.filter_map(Result::ok).map(|entry| entry.file_name()).find(|name| {
        let ours = [
            "secrets.toml",
            "demo-key.txt",
            "providers.toml",
            "extract.csv",
            "targets.ndjson",
            "snapshots",
            "ledger",
        ];
        !ours.iter().any(|ours| name == ours)
    });
    match foreign {
        Some(_) => Err(CommandError::failed(format!(
            "{} is there and is no demo's folder; choose another with --dir",
            dir.display()
        ))),
        None => Ok(fs::remove_dir_all(dir)?),
    }
}

/// The demo's provider is a hospital, so that it may ask about inpatient care too.
fn write_key(layout: &Layout) -> Result<(), CommandError> {
    let provider = NewProvider {
        id: "demo-hospital".to_owned(),
        name: "Demo Hospital".to_owned(),
        kind: ProviderKind::Hospital,
        ownership: Ownership::Owned,
        scopes: vec![Scope::Inquire],
    };
    let key = add_provider(&layout.places().providers, &provider)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(layout.key())?;
    Ok(writeln!(file, "{}", key.reveal())?)
}

/// A line of the targets file, as far as it is needed here.
#[derive(Deserialize)]
struct Target {
    kind: String,
    request: Request,
}

#[derive(Deserialize)]
struct Request {
    person_id: String,
    id_kind: String,
    mobile: Option<String>,
}

/// What to try, with people whose answers are known by construction and stay so on later days.
fn guide(layout: &Layout, listen: SocketAddr) -> Result<String, CommandError> {
    let key = fs::read_to_string(layout.key())?;
    let key = key.trim();
    let targets = fs::read_to_string(layout.targets())?;
    let targets: Vec<Target> = targets.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let find = |kind: &str| {
        let found = targets.iter().find(|target| target.kind == kind);
        found.ok_or_else(|| {
            CommandError::failed(format!("the demo has no {kind} person; make it anew with more --people"))
        })
    };
    let general = |target: &Target, care: &str| {
        let Request { person_id, id_kind, .. } = &target.request;
        let body = format!(r#"{{"person_id":"{person_id}","id_kind":"{id_kind}"{care}}}"#);
        format!(
            "curl -sS -w '\\n' http://{listen}/v1/inquiries -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' -d '{body}'"
        )
    };
    let personal = |target: &Target| {
        let Request { person_id, id_kind, mobile } = &target.request;
        let mobile = mobile.as_deref().unwrap_or_default();
        let body = format!(r#"{{"person_id":"{person_id}","id_kind":"{id_kind}","mobile":"{mobile}"}}"#);
        format!(
            "curl -sS -w '\\n' http://{listen}/v1/personal-inquiries -H 'Content-Type: application/json' -d '{body}'"
        )
    };
    let covered = find("covered_open")?;
    let lines = [
        ("covered", general(covered, "")),
        ("not covered, served under the existing rules", general(find("student_certificate_missing")?, "")),
        ("inpatient", general(find("inpatient")?, r#","care":"inpatient""#)),
        ("personal", personal(covered)),
        ("a mobile number that is not theirs", personal(find("mobile_mismatch")?)),
    ];
    let mut text = format!(
        "Estehqaq serves on http://{listen} (Ctrl-C ends it). The data lies in {}.\nDemo key: {key}\n",
        layout.dir.display()
    );
    for (what, line) in lines {
        let _ = write!(text, "\n# {what}\n{line}\n");
    }
    Ok(text)
}
