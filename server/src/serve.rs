//! Starting and stopping: bind, serve on worker threads, watch for new generations and providers, and on
//! SIGTERM or SIGINT drain what is under way, then close the ledger.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::web::{Data, ServiceConfig};
use actix_web::{App, HttpResponse};
use engine::{MemoryMode, MobileKey};
use ledger::Ledger;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use storage::Seen;
use thiserror::Error;

use crate::clock::Clock;
use crate::edge::{self, DescriptorsError, Fault, Listening};
use crate::http::{Admin, State, configure, configure_admin};
use crate::idempotency::{Keys, Upkeep};
use crate::listener::Listener;
use crate::mapped_fault;
use crate::provider_file::ProviderFile;
use crate::providers::ProvidersError;
use crate::served::Served;
use crate::settings::{DRAIN_TIMEOUT_S_MAX, ServeSettings};
use crate::swap::{Keeper, Memory, Source};
use crate::texts::Code;
use crate::watch::{Look, Watcher};

/// How often it is looked at `CURRENT`: a rollback by whichever way takes effect in less than a second.
const LOOK_AT_CURRENT: Duration = Duration::from_millis(500);
const LOOK_AT_PROVIDERS: Duration = Duration::from_secs(1);
const LOOK_AT_REQUESTS: Duration = Duration::from_secs(1);
const ADMIN_CONNECTIONS_MAX: usize = 16;
/// Nobody's treatment waits for an operator's answer.
const ADMIN_DRAIN_TIMEOUT_S: u64 = 1;

/// How often it is looked whether inquiries can be answered, until they can.
const LOOK_READY: Duration = Duration::from_millis(10);
const LOOK_READY_NO_MORE: Duration = Duration::from_secs(3600);

/// What the service works with.
pub struct Parts {
    /// Where generations are published.
    pub snapshots_dir: PathBuf,
    /// The mobile keys of the secrets file.
    pub mobile_keys: Vec<MobileKey>,
    /// Open for appending.
    pub ledger: Ledger,
    /// Who may ask.
    pub providers_file: PathBuf,
}

/// Why the service did not start, or did not end as it should.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The providers file is not taken.
    #[error(transparent)]
    Providers(#[from] ProvidersError),
    /// The address cannot be had.
    #[error("cannot listen on {listen}: {source}; stop what listens there or choose another --{flag}")]
    Listen {
        /// What it was set with.
        flag: &'static str,
        /// The address.
        listen: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Connections would take the descriptors that files need.
    #[error(transparent)]
    Descriptors(#[from] DescriptorsError),
    /// Threads or signal handlers cannot be had.
    #[error("cannot start: {0}; look at the limits of this process")]
    Start(io::Error),
    /// The HTTP server ended by itself.
    #[error("the HTTP server ended unexpectedly: {0}; see the log, then start it again")]
    Http(String),
    /// The last entries may be missing.
    #[error("the ledger did not close cleanly: {0}")]
    Ledger(#[from] ledger::AppendError),
}

/// Serves until SIGTERM or SIGINT, then drains. SIGHUP looks for a new generation at once. `ready` is called
/// once inquiries can be answered, with the address that it listens on.
///
/// # Errors
/// [`ServeError`] when it does not start, or when the ledger does not close cleanly.
pub fn serve(
    settings: &ServeSettings,
    parts: Parts,
    signals: StopSignals,
    ready: impl FnOnce(SocketAddr),
) -> Result<(), ServeError> {
    let StopSignals { events, next_event } = signals;
    let running = start_with_events(settings, parts, |_| {}, Some(events))?;
    let asked_to_stop = wait_for_stop(&running, &next_event, ready);
    let stopped = running.stop();
    tracing::info!("stopped");
    stopped?;
    if asked_to_stop { Ok(()) } else { Err(ServeError::Http("nobody had asked it to".to_owned())) }
}

/// SIGTERM, SIGINT and SIGHUP, caught from when this is made. A signal that comes while the ledger is still
/// being opened takes effect once it is.
pub struct StopSignals {
    events: Sender<Event>,
    next_event: Receiver<Event>,
}

impl StopSignals {
    /// Catches the signals from now on.
    ///
    /// # Errors
    /// [`ServeError::Start`].
    pub fn catch() -> Result<StopSignals, ServeError> {
        let (events, next_event) = channel();
        forward_signals(events.clone()).map_err(ServeError::Start)?;
        Ok(StopSignals { events, next_event })
    }
}

fn forward_signals(events: Sender<Event>) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    let forward = move || {
        let sent = |signal| events.send(Event::Signal(signal)).is_ok();
        signals.forever().take_while(|&signal| sent(signal)).for_each(drop);
    };
    thread::Builder::new().name("signals".to_owned()).spawn(forward).map(drop)
}

/// Waits for a signal to stop, and calls `ready` meanwhile. False when the HTTP server ended by itself.
fn wait_for_stop(running: &Running, next_event: &Receiver<Event>, ready: impl FnOnce(SocketAddr)) -> bool {
    let mut ready = Some(ready);
    loop {
        if let Some(ready) = ready.take_if(|_| running.is_ready()) {
            ready(running.address());
        }
        let wait = if ready.is_some() { LOOK_READY } else { LOOK_READY_NO_MORE };
        match next_event.recv_timeout(wait) {
            Ok(Event::Signal(SIGHUP)) => running.look_now(),
            Ok(Event::Signal(signal)) => {
                tracing::info!(signal, "draining");
                return true;
            }
            Ok(Event::HttpEnded) | Err(RecvTimeoutError::Disconnected) => return false,
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// What ends the waiting of [`serve`].
enum Event {
    Signal(i32),
    HttpEnded,
}

/// Starts the service on threads of its own and returns once it listens. `extra` may add routes beside the
/// service's, in the same workers.
///
/// # Errors
/// [`ServeError`].
pub fn start<F>(settings: &ServeSettings, parts: Parts, extra: F) -> Result<Running, ServeError>
where
    F: Fn(&mut ServiceConfig) + Clone + Send + 'static,
{
    start_with_events(settings, parts, extra, None)
}

fn start_with_events<F>(
    settings: &ServeSettings,
    parts: Parts,
    extra: F,
    events: Option<Sender<Event>>,
) -> Result<Running, ServeError>
where
    F: Fn(&mut ServiceConfig) + Clone + Send + 'static,
{
    if settings.memory_mode == MemoryMode::Mapped {
        mapped_fault::diagnose().map_err(ServeError::Start)?;
    }
    let admin_connections = settings.admin_listen.map_or(0, |_| ADMIN_CONNECTIONS_MAX);
    let connections_max = edge::connections_that_fit(settings.connections_max, admin_connections)?;
    let settings = &ServeSettings { connections_max, ..settings.clone() };
    let (providers, seen) = ProviderFile::open(&parts.providers_file)?;
    let (served, providers) = (Arc::new(Served::default()), Arc::new(providers));
    let keys = Keys::new(settings.idempotency_keys_max);
    let state = State::new(served.clone(), providers.clone(), parts.ledger, settings, keys);
    let state = Data::new(state);
    let keys = Upkeep::start(state.clone().into_inner()).map_err(ServeError::Start)?;
    let http = start_http(settings.clone(), state.clone(), extra, events)?;
    let source = Source {
        snapshots_dir: parts.snapshots_dir.clone(),
        mobile_keys: parts.mobile_keys,
        public_keys: settings.public_keys.clone(),
        memory_mode: settings.memory_mode,
        clock: Clock::reading(state.ledger.clock_ms()),
        as_of_age_days_max: settings.as_of_age_days_max,
    };
    let keeper = Keeper::new(served, source, Memory::new(settings.generations_memory_bytes));
    let generations = follow_current(keeper).map_err(ServeError::Start)?;
    let providers = follow_providers(providers, seen).map_err(ServeError::Start)?;
    let admin = Admin {
        snapshots_dir: parts.snapshots_dir,
        waker: generations.waker().clone(),
        gate_limits: settings.gate_limits.clone(),
    };
    let admin = start_admin(settings, state.clone(), admin)?;
    let requests = serve_requests(&state).map_err(ServeError::Start)?;
    Ok(Running { http, admin, state, generations, providers, _requests: requests, _keys: keys })
}

fn follow_current(mut keeper: Keeper) -> io::Result<Watcher> {
    Watcher::start("generations", LOOK_AT_CURRENT, move |why, waker| keeper.look(why, waker))
}

fn follow_providers(providers: Arc<ProviderFile>, seen: Seen) -> io::Result<Watcher> {
    let mut seen = Some(seen);
    Watcher::start("providers", LOOK_AT_PROVIDERS, move |_, _| providers.look(&mut seen))
}

/// Acts that commands ask for while this server holds the ledger: reveals and prunings.
fn serve_requests(state: &Data<State>) -> io::Result<Watcher> {
    // Weak: the ledger must be free once the service has stopped.
    let state = Arc::downgrade(&state.clone().into_inner());
    Watcher::start("requests", LOOK_AT_REQUESTS, move |_, _| {
        if let Some(state) = state.upgrade()
            && let Err(error) = state.ledger.serve_requests()
        {
            tracing::warn!(%error, "requests of ledger commands cannot be served; look at the ledger folder");
        }
    })
}

/// Starts the service's own listener.
fn start_http<F>(
    settings: ServeSettings,
    state: Data<State>,
    extra: F,
    events: Option<Sender<Event>>,
) -> Result<Listener, ServeError>
where
    F: Fn(&mut ServiceConfig) + Clone + Send + 'static,
{
    let at_end = move || {
        if let Some(events) = events {
            let _ = events.send(Event::HttpEnded); // Nobody waits any more: the service stops.
        }
    };
    let http =
        Listener::start("http", "listen", settings.listen, move || bind(&settings, state, extra), at_end)?;
    tracing::info!(address = %http.address(), "listening");
    Ok(http)
}

/// Starts the admin endpoints' listener, if there is to be one.
fn start_admin(
    settings: &ServeSettings,
    state: Data<State>,
    admin: Admin,
) -> Result<Option<Listener>, ServeError> {
    let Some(listen) = settings.admin_listen else { return Ok(None) };
    let (admin, settings) = (Data::new(admin), settings.clone());
    let listener = Listener::start(
        "admin",
        "admin-listen",
        listen,
        move || bind_admin(&settings, listen, state, admin),
        || {},
    )?;
    tracing::info!(address = %listener.address(), "listening for operators");
    Ok(Some(listener))
}

/// One thread: operators are few, and what they ask must not take processors from inquiries.
fn bind_admin(
    settings: &ServeSettings,
    address: SocketAddr,
    state: Data<State>,
    admin: Data<Admin>,
) -> io::Result<(SocketAddr, Server)> {
    let on_fault = answer_faults(state.clone());
    let app = move || {
        let (state, admin) = (state.clone(), admin.clone());
        App::new().configure(|config| configure_admin(config, state, admin))
    };
    let listening = Listening {
        address,
        workers: 1,
        connections_max: ADMIN_CONNECTIONS_MAX,
        drain_timeout_s: ADMIN_DRAIN_TIMEOUT_S,
        ..listening(settings)
    };
    edge::listen(listening, app, on_fault)
}

fn bind<F>(settings: &ServeSettings, state: Data<State>, extra: F) -> io::Result<(SocketAddr, Server)>
where
    F: Fn(&mut ServiceConfig) + Clone + Send + 'static,
{
    let on_fault = answer_faults(state.clone());
    let app = move || {
        let state = state.clone();
        App::new().configure(|config| configure(config, state)).configure(extra.clone())
    };
    edge::listen(listening(settings), app, on_fault)
}

fn listening(settings: &ServeSettings) -> Listening {
    Listening {
        address: settings.listen,
        workers: settings.workers,
        backlog: settings.backlog,
        connections_max: settings.connections_max,
        keep_alive: Duration::from_secs(settings.keep_alive_s),
        head_timeout: Duration::from_millis(settings.head_timeout_ms),
        drain_timeout_s: settings.drain_timeout_s.min(DRAIN_TIMEOUT_S_MAX),
    }
}

/// Problem documents for requests that never reach a route.
fn answer_faults(state: Data<State>) -> impl Fn(Fault) -> HttpResponse + Clone + Send + 'static {
    move |fault| {
        let code = match fault {
            Fault::Malformed => Code::MalformedRequest,
            Fault::HeadTooLarge => Code::HeadTooLarge,
            Fault::HeadTimeout => Code::RequestTimeout,
        };
        state.refuse(code)
    }
}

/// A service that runs. Dropping it without [`Running::stop`] cuts its connections.
pub struct Running {
    http: Listener,
    admin: Option<Listener>,
    state: Data<State>,
    generations: Watcher,
    providers: Watcher,
    /// Looks for acts that commands ask for, as long as the service runs.
    _requests: Watcher,
    /// Reads the keys of the last day from the ledger, and lets old ones go.
    _keys: Upkeep,
}

impl Running {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.http.address()
    }

    /// Where the admin endpoints listen, if they do.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(Listener::address)
    }

    /// Whether inquiries can be answered.
    pub fn is_ready(&self) -> bool {
        self.state.is_ready()
    }

    /// The name of the generation that serves.
    pub fn generation(&self) -> Option<String> {
        self.state.served.name().map(|name| name.to_string())
    }

    /// The ledger's totals, for measurements.
    pub fn ledger_stats(&self) -> ledger::Stats {
        self.state.ledger.stats()
    }

    /// Looks for a new generation and changed providers at once.
    pub fn look_now(&self) {
        [&self.generations, &self.providers]
            .into_iter()
            .for_each(|watcher| watcher.waker().look(Look::Asked));
    }

    /// Stops accepting, lets requests under way end within the drain time-out, then closes the ledger.
    ///
    /// # Errors
    /// [`ServeError`] when the server or the ledger had failed.
    pub fn stop(mut self) -> Result<(), ServeError> {
        self.state.begin_stop();
        let admin = self.admin.as_mut().map_or(Ok(()), |admin| admin.end(true));
        let http = self.http.end(true);
        self.state.ledger.close()?;
        http.and(admin)
    }
}
