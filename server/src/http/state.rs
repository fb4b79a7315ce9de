//! What all handlers share: the serving generation, the providers, the ledger, the clock and the counters.

use std::cell::OnceCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse};
use ledger::{AppendError, Gatherer, Language, Ledger, Record, TrackingCode};
use snapshots::Generation;
use tokio::sync::Semaphore;

use super::Problem;
use crate::clock::{Clock, ClockFault, Moment, plausible};
use crate::idempotency::Keys;
use crate::language::negotiate;
use crate::metrics::{Endpoint, Metrics};
use crate::provider_file::ProviderFile;
use crate::served::Served;
use crate::settings::ServeSettings;
use crate::texts::Code;

thread_local! {
    /// A worker's own end of the ledger, from its first inquiry on. A worker serves one ledger for its life.
    static GATHERER: OnceCell<Gatherer> = const { OnceCell::new() };
}

/// How soon a client may ask again after the queue was full.
const RETRY_AFTER_BUSY_S: u16 = 1;
/// How soon when something has to be put right first.
const RETRY_AFTER_DOWN_S: u16 = 10;

/// The service behind the routes.
pub(crate) struct State {
    pub(crate) served: Arc<Served>,
    pub(crate) providers: Arc<ProviderFile>,
    pub(crate) ledger: Ledger,
    pub(crate) keys: Keys,
    pub(crate) clock: Clock,
    pub(crate) metrics: Metrics,
    pub(crate) body_timeout: Duration,
    /// How old the serving snapshot may be for today to be believed.
    as_of_age_days_max: u16,
    /// Searches of the desk that may be under way at once.
    pub(crate) desk_searches: Arc<Semaphore>,
    stopping: AtomicBool,
    /// So that a failed ledger is logged once, not once for each inquiry.
    ledger_failure_logged: AtomicBool,
    /// The same for a clock that is not believed; it may be set right, and wrong again.
    clock_fault_logged: AtomicBool,
}

impl State {
    pub(crate) fn new(
        served: Arc<Served>,
        providers: Arc<ProviderFile>,
        ledger: Ledger,
        settings: &ServeSettings,
        keys: Keys,
    ) -> State {
        State {
            served,
            providers,
            // One clock: what the ledger has as today is today.
            clock: Clock::reading(ledger.clock_ms()),
            ledger,
            keys,
            metrics: Metrics::default(),
            body_timeout: Duration::from_millis(settings.body_timeout_ms),
            as_of_age_days_max: settings.as_of_age_days_max,
            desk_searches: Arc::new(Semaphore::new(settings.desk_searches_max)),
            stopping: AtomicBool::new(false),
            ledger_failure_logged: AtomicBool::new(false),
            clock_fault_logged: AtomicBool::new(false),
        }
    }

    /// From now on `/readyz` says 503, so that a balancer sends nothing more.
    pub(crate) fn begin_stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// A verified snapshot is in, today is believed, the ledger takes entries, and no stop has begun.
    pub(crate) fn is_ready(&self) -> bool {
        let believed = self.served.load().as_ref().is_some_and(|serving| self.today_beside(serving).is_ok());
        believed && self.ledger.is_writable() && !self.is_stopping()
    }

    /// The present moment, if it can be true beside this generation.
    pub(crate) fn today_beside(&self, serving: &Generation) -> Result<Moment, ClockFault> {
        let now = self.clock.now().ok_or(ClockFault::NotSet);
        now.and_then(|now| plausible(now.day(), serving.name.as_of(), self.as_of_age_days_max).map(|()| now))
    }

    /// Why the clock is not believed beside the serving generation, if it is not.
    pub(crate) fn clock_fault(&self) -> Option<ClockFault> {
        match self.served.load().as_ref() {
            Some(serving) => self.today_beside(serving).err(),
            None => self.clock.now().is_none().then_some(ClockFault::NotSet),
        }
    }

    /// The present moment, for whatever is answered or written.
    pub(crate) fn now(&self) -> Result<Moment, Problem> {
        let fault = match self.clock_fault() {
            None => {
                self.clock_fault_logged.store(false, Ordering::Relaxed);
                return self.clock.now().ok_or_else(|| self.down());
            }
            Some(fault) => fault,
        };
        if !self.clock_fault_logged.swap(true, Ordering::Relaxed) {
            tracing::error!(cause = fault.code(), "answering 503: {}", fault.message());
        }
        Err(self.down())
    }

    /// Writes an entry, of an inquiry or an act, and waits until it is on stable storage. Only then is there a code, and
    /// an answer.
    pub(crate) async fn commit(&self, record: impl Into<Record>) -> Result<TrackingCode, Problem> {
        let gathered = self.gatherer().append(record).map_err(|error| self.not_written(error))?;
        let receipt = gathered.await.map_err(|error| self.not_written(error))?;
        Ok(receipt.tracking_code)
    }

    /// Where this worker appends.
    fn gatherer(&self) -> Gatherer {
        let begin = || {
            let (gatherer, courier) = self.ledger.gather();
            actix_web::rt::spawn(courier);
            gatherer
        };
        GATHERER.with(|gatherer| gatherer.get_or_init(begin).clone())
    }

    pub(super) fn not_written(&self, error: AppendError) -> Problem {
        if matches!(error, AppendError::Full | AppendError::Shortage) {
            return self.busy();
        }
        if !self.ledger_failure_logged.swap(true, Ordering::Relaxed) {
            tracing::error!(%error, "answering 503 from now on");
        }
        self.down()
    }

    /// There is too much to do; soon there may be less.
    pub(crate) fn busy(&self) -> Problem {
        Problem::unavailable(RETRY_AFTER_BUSY_S)
    }

    /// Something has to be put right before there can be an answer.
    pub(crate) fn down(&self) -> Problem {
        Problem::unavailable(RETRY_AFTER_DOWN_S)
    }

    /// Counts a request and puts a problem into words.
    pub(crate) fn finish(
        &self,
        request: &HttpRequest,
        endpoint: Endpoint,
        result: Result<HttpResponse, Problem>,
    ) -> HttpResponse {
        let response = result.unwrap_or_else(|problem| problem.to_response(negotiate(request.headers())));
        self.metrics.count(endpoint, response.status().as_u16());
        response
    }

    /// Counts a request that reached no route, and refuses it. Its language is not known.
    pub(crate) fn refuse(&self, code: Code) -> HttpResponse {
        let response = Problem::from(code).to_response(Language::Persian);
        self.metrics.count(Endpoint::Other, response.status().as_u16());
        response
    }
}
