//! `serve`: settings from flags, the environment and a TOML file, in that order of rank, and the start of the
//! service. The same struct names a setting in all three places.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ::ledger::{Ledger, Options, RealDisk};
use clap::{Args, ValueEnum};
use engine::MemoryMode;
use serde::Deserialize;
use tracing::level_filters::LevelFilter;

use super::gates::GateSettings;
use super::options::{self, CommandError};
use super::secrets::Secrets;
use crate::{DRAIN_TIMEOUT_S_MAX, Parts, ServeSettings, StopSignals};

/// The ledger that an empty folder becomes.
pub(super) const DEFAULT_LEDGER: u16 = 1;

#[derive(Args)]
pub(crate) struct ServeArgs {
    /// TOML file with any of the settings below, named as the flags with _ for -
    #[arg(long, value_name = "FILE", env = "ESTEHQAQ_CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: RawSettings,
}

/// Settings as they are given; what is not given falls to the next source, then to the default.
#[derive(Args, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawSettings {
    /// Folder of the generations
    #[arg(long, value_name = "DIR", env = "ESTEHQAQ_SNAPSHOTS")]
    snapshots: Option<PathBuf>,
    /// Ledger folder; an empty one becomes ledger 1
    #[arg(long, value_name = "DIR", env = "ESTEHQAQ_LEDGER")]
    ledger: Option<PathBuf>,
    /// Providers file; read again when it changes
    #[arg(long, value_name = "FILE", env = "ESTEHQAQ_PROVIDERS")]
    providers: Option<PathBuf>,
    /// Secrets file, mode 0600
    #[arg(long, value_name = "FILE", env = "ESTEHQAQ_SECRETS")]
    secrets: Option<PathBuf>,
    /// Address and port, such as 127.0.0.1:8080
    #[arg(long, value_name = "ADDR:PORT", env = "ESTEHQAQ_LISTEN")]
    listen: Option<SocketAddr>,
    /// Worker threads, 1 to 512 [default: one for each core]
    #[arg(long, value_name = "N", env = "ESTEHQAQ_WORKERS")]
    workers: Option<usize>,
    /// How long an idle connection is kept, in seconds [default: 75]
    #[arg(long, value_name = "S", env = "ESTEHQAQ_KEEP_ALIVE_S")]
    keep_alive_s: Option<u64>,
    /// Connections that may wait to be accepted [default: 2048]
    #[arg(long, value_name = "N", env = "ESTEHQAQ_BACKLOG")]
    backlog: Option<u32>,
    /// Open connections at most [default: 20000]
    #[arg(long, value_name = "N", env = "ESTEHQAQ_CONNECTIONS_MAX")]
    connections_max: Option<usize>,
    /// How long a request's head may take to arrive, in milliseconds [default: 5000]
    #[arg(long, value_name = "MS", env = "ESTEHQAQ_HEAD_TIMEOUT_MS")]
    head_timeout_ms: Option<u64>,
    /// How long a request's body may take to arrive, in milliseconds [default: 5000]
    #[arg(long, value_name = "MS", env = "ESTEHQAQ_BODY_TIMEOUT_MS")]
    body_timeout_ms: Option<u64>,
    /// How long requests under way may take after SIGTERM, in seconds, at most 28 [default: 20]
    #[arg(long, value_name = "S", env = "ESTEHQAQ_DRAIN_TIMEOUT_S")]
    drain_timeout_s: Option<u64>,
    /// Entries that may wait for the ledger; beyond it inquiries get 503 [default: 65536]
    #[arg(long, value_name = "N", env = "ESTEHQAQ_LEDGER_QUEUE_LEN_MAX")]
    ledger_queue_len_max: Option<usize>,
    /// Syncs of fewer than 16 entries of the ledger begin five times as far apart as one takes, so many microseconds at most:
    /// fewer syncs cost less processor time; 0 syncs as often as the disk can [default: 1000]
    #[arg(long, value_name = "US", env = "ESTEHQAQ_LEDGER_SYNC_INTERVAL_MAX_US")]
    ledger_sync_interval_max_us: Option<u64>,
    /// Length of the ledger's segment files at most, in KiB: shorter ones are shipped and pruned sooner [default: 262144]
    #[arg(long, value_name = "KIB", env = "ESTEHQAQ_LEDGER_SEGMENT_KIB")]
    ledger_segment_kib: Option<u64>,
    /// Searches of the desk under way at once; beyond it the desk gets 503 [default: 4]
    #[arg(long, value_name = "N", env = "ESTEHQAQ_DESK_SEARCHES_MAX")]
    desk_searches_max: Option<usize>,
    /// Idempotency keys that are held at most, each for 24 hours [default: 9000000]
    #[arg(long, value_name = "N", env = "ESTEHQAQ_IDEMPOTENCY_KEYS_MAX")]
    idempotency_keys_max: Option<usize>,
    /// How many days old the current snapshot may be; beyond it the clock is not believed, and inquiries get 503 [default: 90]
    #[arg(long, value_name = "DAYS", env = "ESTEHQAQ_AS_OF_AGE_DAYS_MAX")]
    as_of_age_days_max: Option<u16>,
    /// Public key file: only generations signed with a key in it are taken [default: also unsigned ones]
    #[arg(long, value_name = "FILE", env = "ESTEHQAQ_PUBLIC_KEY")]
    public_key: Option<PathBuf>,
    /// Where the admin endpoints listen; a port alone is one of this machine's loopback [default: nowhere]
    #[arg(long, value_name = "[ADDR:]PORT", env = "ESTEHQAQ_ADMIN_LISTEN")]
    admin_listen: Option<String>,
    /// How generations are held in memory: a copy that nothing can change, or the mapped files [default: resident]
    #[arg(long, value_name = "MODE", env = "ESTEHQAQ_MEMORY_MODE")]
    memory_mode: Option<RawMemoryMode>,
    /// Memory that all generations together may take, in MiB [default: what the machine and its cgroups allow]
    #[arg(long, value_name = "MIB", env = "ESTEHQAQ_GENERATIONS_MEMORY_MIB")]
    generations_memory_mib: Option<u64>,
    /// off, error, warn, info, debug or trace [default: info]
    #[arg(long, value_name = "LEVEL", env = "ESTEHQAQ_LOG_LEVEL")]
    log_level: Option<String>,
    // The last one, since the heading stands above all that follows.
    #[command(
        flatten,
        next_help_heading = "Gates of the admin endpoints' activate; in the file a table [gates]"
    )]
    gates: GateSettings,
}

/// [`MemoryMode`] as it is given.
#[derive(Clone, Copy, Debug, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
enum RawMemoryMode {
    Mapped,
    Resident,
}

impl From<RawMemoryMode> for MemoryMode {
    fn from(raw: RawMemoryMode) -> MemoryMode {
        match raw {
            RawMemoryMode::Mapped => MemoryMode::Mapped,
            RawMemoryMode::Resident => MemoryMode::Resident,
        }
    }
}

/// Where things lie that the service works with.
pub(super) struct Places {
    pub(super) snapshots: PathBuf,
    pub(super) ledger: PathBuf,
    pub(super) providers: PathBuf,
    pub(super) secrets: PathBuf,
}

pub(super) fn run(args: &ServeArgs) -> Result<(), CommandError> {
    let raw = merged(args)?;
    crate::init_log(log_level(raw.log_level.as_deref())?);
    let settings = checked(&raw)?;
    let places = Places {
        snapshots: required(raw.snapshots, "snapshots")?,
        ledger: required(raw.ledger, "ledger")?,
        providers: required(raw.providers, "providers")?,
        secrets: required(raw.secrets, "secrets")?,
    };
    // Before the ledger is opened, which may have to be read whole: a stop must not look like a crash.
    let signals = StopSignals::catch()?;
    let ready = |address| tracing::info!(%address, "ready");
    Ok(crate::serve(&settings, open_parts(places, &settings)?, signals, ready)?)
}

fn required<T>(given: Option<T>, name: &str) -> Result<T, CommandError> {
    given.ok_or_else(|| {
        let variable = name.to_uppercase();
        CommandError::Usage(format!(
            "--{name} is missing; give it as a flag, as ESTEHQAQ_{variable}, or as `{name}` in the --config file"
        ))
    })
}

/// Opens what the service works with.
pub(super) fn open_parts(places: Places, settings: &ServeSettings) -> Result<Parts, CommandError> {
    let secrets = Secrets::load(&places.secrets)?;
    secrets.current_mobile_key()?;
    let keys = Arc::new(secrets.server_keys()?);
    let disk = ledger_disk(&places.ledger)?;
    let default = Options::default();
    let segment_len_max_bytes = settings.ledger_segment_len_max_bytes;
    let options = Options {
        queue_len_max: settings.ledger_queue_len_max,
        segment_len_min_bytes: default.segment_len_min_bytes.min(segment_len_max_bytes),
        segment_len_max_bytes,
        sync_interval_max: settings.ledger_sync_interval_max,
        ..default
    };
    let ledger = Ledger::open_or_init(&disk, DEFAULT_LEDGER, keys, options)?;
    Ok(Parts {
        snapshots_dir: places.snapshots,
        mobile_keys: secrets.mobile_keys().to_vec(),
        ledger,
        providers_file: places.providers,
    })
}

/// The ledger folder, made if it is not there.
pub(super) fn ledger_disk(path: &Path) -> Result<RealDisk, CommandError> {
    RealDisk::create(path).map_err(|error| {
        CommandError::failed(format!(
            "cannot make the ledger folder {}: {error}; check its path and permissions",
            path.display()
        ))
    })
}

/// Flags and environment laid over the file.
fn merged(args: &ServeArgs) -> Result<RawSettings, CommandError> {
    let given = args.settings.clone();
    Ok(match &args.config {
        Some(path) => given.over(read_config(path)?),
        None => given,
    })
}

impl RawSettings {
    /// What is not given here is taken from `lower`.
    fn over(self, lower: RawSettings) -> RawSettings {
        RawSettings {
            snapshots: self.snapshots.or(lower.snapshots),
            ledger: self.ledger.or(lower.ledger),
            providers: self.providers.or(lower.providers),
            secrets: self.secrets.or(lower.secrets),
            listen: self.listen.or(lower.listen),
            workers: self.workers.or(lower.workers),
            keep_alive_s: self.keep_alive_s.or(lower.keep_alive_s),
            backlog: self.backlog.or(lower.backlog),
            connections_max: self.connections_max.or(lower.connections_max),
            head_timeout_ms: self.head_timeout_ms.or(lower.head_timeout_ms),
            body_timeout_ms: self.body_timeout_ms.or(lower.body_timeout_ms),
            drain_timeout_s: self.drain_timeout_s.or(lower.drain_timeout_s),
            ledger_queue_len_max: self.ledger_queue_len_max.or(lower.ledger_queue_len_max),
            ledger_sync_interval_max_us: self
                .ledger_sync_interval_max_us
                .or(lower.ledger_sync_interval_max_us),
            ledger_segment_kib: self.ledger_segment_kib.or(lower.ledger_segment_kib),
            desk_searches_max: self.desk_searches_max.or(lower.desk_searches_max),
            idempotency_keys_max: self.idempotency_keys_max.or(lower.idempotency_keys_max),
            as_of_age_days_max: self.as_of_age_days_max.or(lower.as_of_age_days_max),
            public_key: self.public_key.or(lower.public_key),
            admin_listen: self.admin_listen.or(lower.admin_listen),
            memory_mode: self.memory_mode.or(lower.memory_mode),
            generations_memory_mib: self.generations_memory_mib.or(lower.generations_memory_mib),
            gates: self.gates.over(lower.gates),
            log_level: self.log_level.or(lower.log_level),
        }
    }
}

fn read_config(path: &Path) -> Result<RawSettings, CommandError> {
    let text = fs::read_to_string(path).map_err(|error| {
        CommandError::failed(format!("cannot read {}: {error}; check --config", path.display()))
    })?;
    toml::from_str(&text).map_err(|error| CommandError::Usage(format!("{}: {error}", path.display())))
}

fn log_level(given: Option<&str>) -> Result<LevelFilter, CommandError> {
    let level = given.unwrap_or("info");
    level
        .parse()
        .map_err(|_| CommandError::Usage(format!("--log-level: `{level}` is none; give info, for example")))
}

fn checked(raw: &RawSettings) -> Result<ServeSettings, CommandError> {
    let default = ServeSettings::default();
    let settings = ServeSettings {
        listen: required(raw.listen, "listen")?,
        workers: raw.workers.unwrap_or(default.workers),
        keep_alive_s: raw.keep_alive_s.unwrap_or(default.keep_alive_s),
        backlog: raw.backlog.unwrap_or(default.backlog),
        connections_max: raw.connections_max.unwrap_or(default.connections_max),
        head_timeout_ms: raw.head_timeout_ms.unwrap_or(default.head_timeout_ms),
        body_timeout_ms: raw.body_timeout_ms.unwrap_or(default.body_timeout_ms),
        drain_timeout_s: raw.drain_timeout_s.unwrap_or(default.drain_timeout_s),
        ledger_queue_len_max: raw.ledger_queue_len_max.unwrap_or(default.ledger_queue_len_max),
        ledger_sync_interval_max: raw
            .ledger_sync_interval_max_us
            .map_or(default.ledger_sync_interval_max, Duration::from_micros),
        ledger_segment_len_max_bytes: raw
            .ledger_segment_kib
            .map_or(default.ledger_segment_len_max_bytes, |kib| kib.saturating_mul(1 << 10)),
        desk_searches_max: raw.desk_searches_max.unwrap_or(default.desk_searches_max),
        idempotency_keys_max: raw.idempotency_keys_max.unwrap_or(default.idempotency_keys_max),
        as_of_age_days_max: raw.as_of_age_days_max.unwrap_or(default.as_of_age_days_max),
        memory_mode: raw.memory_mode.map_or(default.memory_mode, MemoryMode::from),
        generations_memory_bytes: raw.generations_memory_mib.map(|mib| mib.saturating_mul(1 << 20)),
        public_keys: raw.public_key.as_deref().map_or(Ok(Vec::new()), options::read_public_keys)?,
        admin_listen: raw.admin_listen.as_deref().map(admin_address).transpose()?,
        gate_limits: raw.gates.limits(),
    };
    check_bounds(&settings, raw)?;
    Ok(settings)
}

/// The admin endpoints are reached from elsewhere only if that is said.
fn admin_address(text: &str) -> Result<SocketAddr, CommandError> {
    let port = text.parse().map(|port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    port.or_else(|_| text.parse()).map_err(|_| {
        CommandError::Usage(format!("--admin-listen: `{text}` is no address; give 8081, or 127.0.0.1:8081"))
    })
}

/// Values that would make the service useless, or break a promise, are wrong usage.
fn check_bounds(settings: &ServeSettings, raw: &RawSettings) -> Result<(), CommandError> {
    let bounds = [
        ("workers", settings.workers as u64, 1, 512),
        ("keep-alive-s", settings.keep_alive_s, 1, 3600),
        ("backlog", settings.backlog.into(), 1, 65_535),
        ("connections-max", settings.connections_max as u64, 1, 1_000_000),
        ("head-timeout-ms", settings.head_timeout_ms, 1, 60_000),
        ("body-timeout-ms", settings.body_timeout_ms, 1, 60_000),
        ("drain-timeout-s", settings.drain_timeout_s, 0, DRAIN_TIMEOUT_S_MAX),
        ("ledger-queue-len-max", settings.ledger_queue_len_max as u64, 1, 10_000_000),
        ("ledger-sync-interval-max-us", raw.ledger_sync_interval_max_us.unwrap_or(0), 0, 10_000),
        ("ledger-segment-kib", raw.ledger_segment_kib.unwrap_or(8), 8, 4 << 20),
        ("desk-searches-max", settings.desk_searches_max as u64, 1, 64),
        ("idempotency-keys-max", settings.idempotency_keys_max as u64, 2, 100_000_000),
        ("generations-memory-mib", raw.generations_memory_mib.unwrap_or(1), 1, 1 << 30),
    ];
    match bounds.into_iter().find(|(_, value, low, high)| !(low..=high).contains(&value)) {
        None => Ok(()),
        Some((name, value, low, high)) => {
            Err(CommandError::Usage(format!("--{name} is {value}; give a number from {low} to {high}")))
        }
    }
}
