//! The service's settings as plain checked values. Where they come from (flags, environment, a TOML file) is
//! the command line's business.

use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::Duration;

use engine::MemoryMode;
use ledger::Options;
use snapshots::{GateLimits, PublicKey};

/// Longest drain that may be set. A stop takes 30 s at most in all; the rest is for closing the ledger.
pub const DRAIN_TIMEOUT_S_MAX: u64 = 28;

/// How many days old a snapshot may be for today to be believed, unless set otherwise: nights may fail for weeks, a
/// season without one is a clock that runs ahead.
pub const AS_OF_AGE_DAYS_MAX: u16 = 90;

/// How the service listens and what it bounds.
#[derive(Clone, Debug, PartialEq)]
pub struct ServeSettings {
    /// Where to listen; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Worker threads, 1 to 512.
    pub workers: usize,
    /// How long an idle connection is kept.
    pub keep_alive_s: u64,
    /// Connections that may wait to be accepted.
    pub backlog: u32,
    /// Open connections over all workers; further ones wait in the backlog.
    pub connections_max: usize,
    /// How long the first head on a connection may take to arrive.
    pub head_timeout_ms: u64,
    /// How long a body may take to arrive after its head.
    pub body_timeout_ms: u64,
    /// How long requests under way may take when the service stops; at most [`DRAIN_TIMEOUT_S_MAX`].
    pub drain_timeout_s: u64,
    /// Entries that may wait for the ledger's commit; beyond it inquiries get 503.
    pub ledger_queue_len_max: usize,
    /// The most from the beginning of one sync of the ledger to that of the next, if fewer than 16 entries wait.
    pub ledger_sync_interval_max: Duration,
    /// The longest file of a ledger's segment.
    pub ledger_segment_len_max_bytes: u64,
    /// Searches of the desk under way at once; beyond it the desk gets 503.
    pub desk_searches_max: usize,
    /// Idempotency keys that are held at most, each up to 24 hours; a quarter of them is for personal inquiries.
    pub idempotency_keys_max: usize,
    /// How many days old the serving snapshot may be; beyond it the clock is not believed, and inquiries get 503.
    pub as_of_age_days_max: u16,
    /// How generations are held in memory.
    pub memory_mode: MemoryMode,
    /// Memory that all generations together may take; none leaves it to the machine and its cgroups.
    pub generations_memory_bytes: Option<u64>,
    /// Generations must be signed with one of these; with none, they may be unsigned.
    pub public_keys: Vec<PublicKey>,
    /// Where the admin endpoints listen; none for nowhere.
    pub admin_listen: Option<SocketAddr>,
    /// How the admin endpoints judge what they are to activate.
    pub gate_limits: GateLimits,
}

impl Default for ServeSettings {
    fn default() -> ServeSettings {
        ServeSettings {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            workers: thread::available_parallelism().map_or(2, usize::from),
            keep_alive_s: 75, // Longer than common balancers keep theirs: then the balancer closes first.
            backlog: 2048,
            connections_max: 20_000,
            head_timeout_ms: 5_000,
            body_timeout_ms: 5_000,
            drain_timeout_s: 20,
            ledger_queue_len_max: 65_536,
            ledger_sync_interval_max: Options::default().sync_interval_max,
            ledger_segment_len_max_bytes: 256 << 20,
            desk_searches_max: 4,
            idempotency_keys_max: 9_000_000,
            as_of_age_days_max: AS_OF_AGE_DAYS_MAX,
            memory_mode: MemoryMode::default(),
            generations_memory_bytes: None,
            public_keys: Vec::new(),
            admin_listen: None,
            gate_limits: GateLimits::default(),
        }
    }
}
