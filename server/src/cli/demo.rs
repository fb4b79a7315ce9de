//! `demo`: on a fresh checkout, everything from a population to a serving service; the second time, what is
//! there already. Prints what to try once the service is ready.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Deserialize;
use snapshots::{BuildOptions, build};
use synth::{SynthOptions, TargetsOptions, synthesize};
use tracing::level_filters::LevelFilter;

use super::options::{self, CommandError};
use super::output;
use super::progress::{Bar, BuildBars};
use super::secrets::{self, Secrets};
use super::serve::{Places, open_parts};
use crate::{NewProvider, Ownership, ProviderKind, Scope, ServeSettings, StopSignals, add_provider};

const SEED: u64 = 1405;
const TARGETS: u64 = 10_000;
const PEOPLE: u64 = 1_000_000;
/// A demo is tried by hand and by one load generator; it must start also where a shell may open few files.
const CONNECTIONS_MAX: usize = 2000;

#[derive(Args)]
pub(crate) struct DemoArgs {
    /// Where the data lies; made if it is not there
    #[arg(long, value_name = "DIR", default_value = "demo-data")]
    dir: PathBuf,
    /// How many people; with data that is there, the number it was made with [default: 1000000]
    #[arg(long, value_name = "N", value_parser = options::people())]
    people: Option<u64>,
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

    fn load_key(&self) -> PathBuf {
        self.path("load-key.txt")
    }

    fn targets(&self) -> PathBuf {
        self.path("targets.ndjson")
    }

    /// Written last: with it, all the rest is there. Holds the number of people.
    fn complete(&self) -> PathBuf {
        self.path("complete")
    }

    /// How many people the data has; none when it is not all there.
    fn people_made(&self) -> Option<u64> {
        fs::read_to_string(self.complete()).ok()?.trim().parse().ok()
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
    match (layout.people_made(), args.people) {
        (None, people) => make(&layout, people.unwrap_or(PEOPLE))?,
        (Some(made), Some(asked)) if made != asked => {
            return Err(CommandError::Usage(format!(
                "--people is {asked}, but {} holds a demo of {made} people; leave --people out to use it, or \
                 choose another --dir",
                layout.dir.display()
            )));
        }
        (Some(_), _) => {}
    }
    if !layout.load_key().exists() {
        write_load_key(&layout)?;
    }
    let settings = ServeSettings {
        listen: args.listen,
        connections_max: CONNECTIONS_MAX,
        // A demo made long ago still serves: its people are made up, and so is their day.
        as_of_age_days_max: u16::MAX,
        ..ServeSettings::default()
    };
    let signals = StopSignals::catch()?;
    let parts = open_parts(layout.places(), &settings)?;
    let guide = Guide::load(&layout)?;
    Ok(crate::serve(&settings, parts, signals, move |address| {
        let _ = output::line(&guide.text(address)); // The service goes on without a reader.
    })?)
}

/// Makes everything anew; what an interrupted run left behind is of no use.
fn make(layout: &Layout, people: u64) -> Result<(), CommandError> {
    let as_of = options::day_or_today(None)?;
    let dir = &layout.dir;
    let failed = |error| {
        CommandError::failed(format!("cannot make {}: {error}; choose another with --dir", dir.display()))
    };
    clear_unfinished(dir)?;
    fs::create_dir_all(dir).map_err(failed)?;
    let places = layout.places();
    secrets::init(&places.secrets)?;
    write_key(layout)?;
    let extract = layout.path("extract.csv");
    let targets = TargetsOptions { path: layout.targets(), count: TARGETS };
    let synth = SynthOptions {
        people,
        seed: SEED,
        as_of: options::civil(as_of),
        out: extract.clone(),
        targets: Some(targets),
    };
    let bar = Bar::new("making people", people);
    synthesize(&synth, &|done| bar.set(done))?;
    bar.finish();
    let bars = BuildBars::default();
    let secrets = Secrets::load(&places.secrets)?;
    let key = secrets.current_mobile_key()?;
    let show = |progress| bars.show(progress);
    let built = build(&BuildOptions {
        // The demo is what the operator asked for, whatever few people look like to the gates.
        accept: Some("demo".to_owned()),
        by: "demo".to_owned(),
        progress: &show,
        ..BuildOptions::new(&extract, &places.snapshots, key, as_of)
    });
    bars.finish();
    built?;
    Guide::load(layout)?; // Too few people to show everything: told now, and not taken for a demo later.
    fs::write(layout.complete(), format!("{people}\n")).map_err(failed)
}

/// Removes an unfinished demo, and nothing else.
fn clear_unfinished(dir: &Path) -> Result<(), CommandError> {
    const OURS: [&str; 10] = [
        "complete",
        "demo-key.txt",
        "extract.csv",
        "ledger",
        "load-key.txt",
        "providers.toml",
        "report.html",
        "secrets.toml",
        "snapshots",
        "targets.ndjson",
    ];
    let failed = |error| {
        CommandError::failed(format!(
            "cannot clear {}: {error}; remove it, or choose another --dir",
            dir.display()
        ))
    };
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(failed)?,
    };
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        if !OURS.iter().any(|ours| name == *ours) {
            return Err(CommandError::failed(format!(
                "{} is there and is no demo's folder; choose another with --dir",
                dir.display()
            )));
        }
    }
    remove(dir).map_err(failed)
}

/// Removes the folder; the generations in it, being read-only, would resist anybody but the superuser.
fn remove(dir: &Path) -> io::Result<()> {
    if let Ok(entries) = fs::read_dir(dir.join("snapshots")) {
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                fs::set_permissions(entry.path(), Permissions::from_mode(0o700))?;
            }
        }
    }
    fs::remove_dir_all(dir)
}

/// The demo's provider is a hospital, so that it may ask about inpatient care too.
fn write_key(layout: &Layout) -> Result<(), CommandError> {
    add_with_key(layout, "demo-hospital", "Demo Hospital", Scope::Inquire, &layout.key())
}

/// The targets ask about other days than today as well, which takes a desk's key.
fn write_load_key(layout: &Layout) -> Result<(), CommandError> {
    add_with_key(layout, "demo-load", "Demo load tests", Scope::Desk, &layout.load_key())
}

fn add_with_key(
    layout: &Layout,
    id: &str,
    name: &str,
    scope: Scope,
    path: &Path,
) -> Result<(), CommandError> {
    let provider = NewProvider {
        id: id.to_owned(),
        name: name.to_owned(),
        kind: ProviderKind::Hospital,
        ownership: Ownership::Owned,
        scopes: vec![scope],
    };
    let key = add_provider(&layout.places().providers, &provider)?;
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    opened.and_then(|mut file| writeln!(file, "{}", key.reveal())).map_err(|error| {
        CommandError::failed(format!("cannot write {}: {error}; check the free space", path.display()))
    })
}

/// A line of the targets file, as far as it is needed here.
#[derive(Deserialize)]
struct Target {
    kind: String,
    request: Request,
}

#[derive(Clone, Deserialize)]
struct Request {
    person_id: String,
    id_kind: String,
    mobile: String,
}

/// What to try, with people whose answers are known by construction and stay so on later days.
struct Guide {
    dir: PathBuf,
    key: String,
    covered: Request,
    existing_rules: Request,
    inpatient: Request,
    mismatch: Request,
}

impl Guide {
    fn load(layout: &Layout) -> Result<Guide, CommandError> {
        let targets = read(&layout.targets())?;
        let targets: Vec<Target> = targets.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        let find = |kind: &str| {
            let found = targets.iter().find(|target| target.kind == kind);
            found.map(|target| target.request.clone()).ok_or_else(|| {
                CommandError::failed(format!(
                    "the demo has no {kind} person; make it anew with more --people"
                ))
            })
        };
        Ok(Guide {
            dir: layout.dir.clone(),
            key: read(&layout.key())?.trim().to_owned(),
            covered: find("covered_open")?,
            existing_rules: find("student_certificate_missing")?,
            inpatient: find("inpatient")?,
            mismatch: find("mobile_mismatch")?,
        })
    }

    fn text(&self, address: SocketAddr) -> String {
        let Guide { key, .. } = self;
        let lines = [
            ("covered", self.general(address, &self.covered, "")),
            ("not covered, served under the existing rules", self.general(address, &self.existing_rules, "")),
            ("inpatient", self.general(address, &self.inpatient, r#","care":"inpatient""#)),
            ("personal", personal(address, &self.covered)),
            ("a mobile number that is not theirs", personal(address, &self.mismatch)),
        ];
        let mut text = format!(
            "Estehqaq serves on http://{address} (Ctrl-C ends it). The data lies in {}.\nDemo key: {key}\n",
            self.dir.display()
        );
        for (what, line) in lines {
            let _ = write!(text, "\n# {what}\n{line}\n");
        }
        let _ =
            write!(text, "\n# load it at 10,000 a second, from the checkout\n{}\n", self.load_line(address));
        text
    }

    fn load_line(&self, address: SocketAddr) -> String {
        let layout = Layout { dir: self.dir.clone() };
        format!(
            "cargo run --release -p loadgen -- run --scenario record-day --url http://{address} --targets {} \
             --key-file {} --report {}",
            layout.targets().display(),
            layout.load_key().display(),
            layout.path("report.html").display()
        )
    }

    fn general(&self, address: SocketAddr, request: &Request, care: &str) -> String {
        let Request { person_id, id_kind, .. } = request;
        let authorization = format!(" -H 'Authorization: Bearer {}'", self.key);
        let body = format!(r#"{{"person_id":"{person_id}","id_kind":"{id_kind}"{care}}}"#);
        curl(address, "inquiries", &authorization, &body)
    }
}

fn personal(address: SocketAddr, request: &Request) -> String {
    let Request { person_id, id_kind, mobile } = request;
    let body = format!(r#"{{"person_id":"{person_id}","id_kind":"{id_kind}","mobile":"{mobile}"}}"#);
    curl(address, "personal-inquiries", "", &body)
}

/// A line to paste; the line break behind the answer keeps the prompt off it.
fn curl(address: SocketAddr, path: &str, authorization: &str, body: &str) -> String {
    format!(
        "curl -sS -w '\\n' http://{address}/v1/{path}{authorization} -H 'Content-Type: application/json' -d '{body}'"
    )
}

fn read(path: &Path) -> Result<String, CommandError> {
    fs::read_to_string(path).map_err(|error| {
        CommandError::failed(format!(
            "cannot read {}: {error}; remove its folder to make it anew",
            path.display()
        ))
    })
}
