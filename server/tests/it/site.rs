//! A service in its own temporary folder: the extract's snapshot, one key of each kind, a ledger.

use std::collections::HashSet;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use engine::{Day, MobileKey};
use ledger::{Ledger, LedgerKeys, Month, Options, RealDisk};
use serde_json::Value;
use server::{NewProvider, Ownership, Parts, ProviderKind, Running, Scope, ServeSettings, add_provider};
use snapshots::{BuildOptions, SigningKey};
use tempfile::TempDir;

use crate::client::Client;
use crate::disk::{MoodyDisk, Switch, Syncs};

/// The date of the extract: 1405/09/01.
pub(crate) const AS_OF: &str = "2026-11-22";

/// What a test may have otherwise than usual.
pub(crate) struct Setup {
    pub(crate) settings: ServeSettings,
    pub(crate) snapshot: bool,
    pub(crate) ledger_number: u16,
    pub(crate) queue_len_max: usize,
    pub(crate) ledger_keys: Arc<LedgerKeys>,
    pub(crate) clock_ms: fn() -> u64,
}

pub(crate) struct Site {
    running: Option<Running>,
    pub(crate) client: Client,
    pub(crate) keys: Keys,
    pub(crate) disk: Switch,
    folder: TempDir,
}

/// One key of each kind.
pub(crate) struct Keys {
    pub(crate) hospital: String,
    pub(crate) clinic: String,
    pub(crate) pharmacy: String,
    pub(crate) claims: String,
    pub(crate) desk: String,
    pub(crate) ops: String,
}

impl Setup {
    pub(crate) fn usual() -> Setup {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        // The extract is of one day, and the tests run on any later one.
        let settings =
            ServeSettings { listen, workers: 2, as_of_age_days_max: u16::MAX, ..ServeSettings::default() };
        let (ledger_keys, clock_ms) = (ledger_keys(), Options::default().clock_ms);
        Setup { settings, snapshot: true, ledger_number: 1, queue_len_max: 1000, ledger_keys, clock_ms }
    }

    /// Starts it; with a snapshot, returns once it is ready.
    pub(crate) fn start(self) -> Site {
        note_logs();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let keys = Keys::make(&path.join("providers.toml"));
        if self.snapshot {
            publish(&path.join("snapshots"), AS_OF);
        }
        let disk = Switch::new();
        let running = self.run(path, disk.clone());
        let client = Client::new(running.address());
        let site = Site { running: Some(running), client, keys, disk, folder };
        site.wait(&self);
        site
    }

    fn run(&self, path: &Path, disk: Switch) -> Running {
        let parts = Parts {
            snapshots_dir: path.join("snapshots"),
            mobile_keys: vec![mobile_key()],
            ledger: open_ledger(path, disk, self),
            providers_file: path.join("providers.toml"),
        };
        server::start(&self.settings, parts, |_| {}).unwrap()
    }
}

impl Site {
    pub(crate) fn usual() -> Site {
        Setup::usual().start()
    }

    /// Stops the service and starts it again in the same folder.
    pub(crate) fn restart(&mut self, setup: &Setup) {
        self.restart_unready(setup);
        self.wait(setup);
    }

    /// The same, without waiting until it is ready.
    pub(crate) fn restart_unready(&mut self, setup: &Setup) {
        self.take().stop().unwrap();
        let running = setup.run(self.folder.path(), self.disk.clone());
        self.client = Client::new(running.address());
        self.running = Some(running);
    }

    fn wait(&self, setup: &Setup) {
        if setup.snapshot {
            wait_until("the service is ready", || self.running().is_ready());
            wait_until("the keys are known", || self.metric("estehqaq_idempotency_keys_known") == 1);
        }
    }

    /// The value of a metric, with its labels if it has any.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let text = self.client.get("/metrics", &[]).text;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no metric {name}: {text}")).parse().unwrap()
    }

    pub(crate) fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.running().address()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Takes the service out, to stop it on another thread.
    pub(crate) fn take(&mut self) -> Running {
        self.running.take().unwrap()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.disk.set(Syncs::Work);
        self.running = None;
        if !std::thread::panicking() {
            let log = LOG.lock().unwrap().clone();
            assert_no_ids(&String::from_utf8(log).unwrap());
        }
    }
}

impl Keys {
    fn make(path: &Path) -> Keys {
        let key = |id: &str, kind, scope| {
            let (id, name) = (id.to_owned(), format!("the {id}"));
            let new = NewProvider { id, name, kind, ownership: Ownership::Contracted, scopes: vec![scope] };
            add_provider(path, &new).unwrap().reveal().to_owned()
        };
        Keys {
            hospital: key("hospital.1", ProviderKind::Hospital, Scope::Inquire),
            clinic: key("clinic-1", ProviderKind::Clinic, Scope::Inquire),
            pharmacy: key("pharmacy-1", ProviderKind::Pharmacy, Scope::Inquire),
            claims: key("claims-1", ProviderKind::Paraclinic, Scope::Claims),
            desk: key("desk-1420", ProviderKind::Clinic, Scope::Desk),
            ops: key("ops-1", ProviderKind::Hospital, Scope::Ops),
        }
    }
}

pub(crate) fn mobile_key() -> MobileKey {
    MobileKey::new(1, [7; 32])
}

pub(crate) fn ledger_keys() -> Arc<LedgerKeys> {
    Arc::new(
        LedgerKeys::new(0, &[1; 32], 1, &[2; 32])
            .with_month(Month::parse("2026-11").expect("a month"), &[3; 32]),
    )
}

fn open_ledger(folder: &Path, switch: Switch, setup: &Setup) -> Ledger {
    let real = RealDisk::create(folder.join("ledger")).unwrap();
    let options =
        Options { queue_len_max: setup.queue_len_max, clock_ms: setup.clock_ms, ..Options::default() };
    let disk = MoodyDisk { real, switch };
    Ledger::open_or_init(&disk, setup.ledger_number, setup.ledger_keys.clone(), options).unwrap()
}

/// Builds the extract's snapshot as of a date and makes it current; its name.
pub(crate) fn publish(snapshots: &Path, as_of: &str) -> String {
    build(snapshots, as_of, None)
}

/// The same with a signature.
pub(crate) fn publish_signed(snapshots: &Path, as_of: &str, key: &SigningKey) -> String {
    build(snapshots, as_of, Some(key.clone()))
}

fn build(snapshots: &Path, as_of: &str, signing_key: Option<SigningKey>) -> String {
    let (extract, key) = (data("extract.csv"), mobile_key());
    let as_of = Day::parse(as_of).unwrap();
    let mut options = BuildOptions::new(&extract, snapshots, &key, as_of);
    options.accept = Some("the extract of the tests is messy on purpose".to_owned());
    options.signing_key = signing_key;
    snapshots::build(&options).unwrap().generation
}

pub(crate) fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../snapshots/tests/data/extract").join(name)
}

/// The requests of the extract with what is expected of them.
pub(crate) fn inquiries() -> Vec<Value> {
    let lines = std::fs::read_to_string(data("inquiries.ndjson")).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[track_caller]
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(20), "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What the service logged in this process, at every level.
static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// How many lines of the log hold all of these texts.
pub(crate) fn logged(texts: &[&str]) -> usize {
    let log = String::from_utf8(LOG.lock().unwrap().clone()).unwrap();
    log.lines().filter(|line| texts.iter().all(|text| line.contains(text))).count()
}

struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn note_logs() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        let lines = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE);
        let ours = |metadata: &tracing::Metadata<'_>| !metadata.target().starts_with("actix");
        let ours = tracing_subscriber::filter::filter_fn(ours);
        let lines = lines.with_writer(|| LogWriter).finish();
        let lines = tracing_subscriber::layer::SubscriberExt::with(lines, ours);
        tracing::subscriber::set_global_default(lines).unwrap();
    });
}

/// Asserts that a log holds no ID and no mobile number of the requests: no run of digits in it is one.
#[track_caller]
pub(crate) fn assert_no_ids(log: &str) {
    static IDS: OnceLock<HashSet<String>> = OnceLock::new();
    let ids = IDS.get_or_init(|| {
        let texts = inquiries().into_iter().flat_map(|line| {
            [&line["request"]["person_id"], &line["request"]["mobile"]]
                .map(|text| text.as_str().unwrap().to_owned())
        });
        let plain = texts.map(|text| engine::clean_cell(&text).replace([' ', '-', '+'], ""));
        plain.flat_map(|text| [text.trim_start_matches('0').to_owned(), text]).collect()
    });
    for line in log.lines() {
        let plain = engine::clean_cell(line);
        let mut runs = plain.split(|c: char| !c.is_ascii_digit()).filter(|run| run.len() >= 7);
        assert!(!runs.any(|run| ids.contains(run)), "the log holds an ID or a mobile number: {line}");
    }
}

/// An entry, when it does not matter which.
pub(crate) fn some_entry() -> ledger::Entry {
    ledger::Entry {
        time_ms: 0,
        channel: ledger::Channel::Personal,
        provider: ledger::ProviderId::NONE,
        person: engine::PersonId::parse(engine::IdKind::National, "5742616694").unwrap().into(),
        care: engine::Care::Outpatient,
        service_day: Day::MIN,
        language: ledger::Language::Persian,
        outcome: ledger::Outcome::Covered,
        reason: engine::Reason::Active,
        notices: engine::Notices::default(),
        end: None,
        open_ended: true,
        generation: [0; 6],
        as_of: Day::MIN,
        decided_by: None,
        rules_version: ledger::RULES_VERSION,
        idempotency: None,
    }
}
