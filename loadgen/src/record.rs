//! What senders tell the collector: small records, a fifth of a second's worth at a time. A sender only
//! appends to a list; histograms are filled on another thread.

use serde::Serialize;

use crate::answer::WrongKind;
use crate::vocabulary::Endpoint;

/// How often a sender reports.
pub(crate) const BATCH_NS: u64 = 200_000_000;

/// Why a request got no complete answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LinkError {
    ConnectFailed,
    /// The connection ended before the first byte of the answer.
    ClosedBeforeAnswer,
    ClosedMidAnswer,
    Timeout,
    /// No connection became free before the timeout: it was never sent.
    TimeoutUnsent,
    MalformedAnswer,
    AnswerTooLarge,
    /// Bytes after the answer that nobody asked for.
    SurplusBytes,
    TlsFailed,
}

/// What one request came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Right,
    Unchecked,
    Wrong(WrongKind),
    HttpError(u16),
    LinkError(LinkError),
    /// The run was ended early, before this was answered or even sent. Nobody's fault.
    InFlight,
}

impl Outcome {
    /// Answers, right or wrong, and timeouts, which took at least that long: to leave those out would flatter
    /// the server. Of error statuses and broken connections only those slower than this are timed: a quick refusal would
    /// flatter it too, and so would a slow one that is left out.
    pub(crate) fn is_timed(self, latency_us: u32, slow_error_us: u64) -> bool {
        match self {
            Outcome::Right | Outcome::Unchecked | Outcome::Wrong(_) => true,
            Outcome::LinkError(LinkError::Timeout | LinkError::TimeoutUnsent) => true,
            Outcome::HttpError(_) | Outcome::LinkError(_) => u64::from(latency_us) > slow_error_us,
            Outcome::InFlight => false,
        }
    }

    pub(crate) fn is_error(self) -> bool {
        matches!(self, Outcome::HttpError(_) | Outcome::LinkError(_))
    }

    /// A whole answer came, right or wrong.
    pub(crate) fn is_answer(self) -> bool {
        matches!(self, Outcome::Right | Outcome::Unchecked | Outcome::Wrong(_))
    }
}

/// One request that has ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record {
    pub(crate) due_ns: u64,
    pub(crate) stage: u32,
    /// From the intended send time to the end.
    pub(crate) latency_us: u32,
    /// From the actual send to the end; absent when it was never sent.
    pub(crate) service_us: Option<u32>,
    /// From due to sent, as far as the client caused it.
    pub(crate) lateness_us: u32,
    pub(crate) endpoint: Endpoint,
    pub(crate) outcome: Outcome,
    /// Its times count in the histograms.
    pub(crate) is_timed: bool,
    /// The first on its connection.
    pub(crate) first_on_connection: bool,
    pub(crate) is_retry: bool,
}

/// Whether a TLS handshake began a session or took up an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handshake {
    Full,
    Resumed,
}

/// How a connection came to be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opened {
    pub(crate) tcp_us: u32,
    /// The TLS handshake: how long, and of which kind.
    pub(crate) tls: Option<(u32, Handshake)>,
    /// After the start of the run.
    pub(crate) is_reconnect: bool,
}

/// Requests that fell due in one interval of the timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Intended {
    pub(crate) interval: u32,
    pub(crate) stage: u32,
    pub(crate) general: u32,
    pub(crate) personal: u32,
}

/// The first wrong answer a sender met: enough to find the target, nothing about the person.
#[derive(Debug, Clone)]
pub(crate) struct FirstWrong {
    pub(crate) at_ns: u64,
    pub(crate) line: u32,
    pub(crate) endpoint: Endpoint,
    pub(crate) kind: WrongKind,
    pub(crate) expected: String,
    pub(crate) got: String,
}

/// Everything of one sender since its last batch.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) sender: usize,
    /// Everything due before this time has been taken up.
    pub(crate) until_ns: u64,
    pub(crate) wall_ns: u64,
    /// Spinning excluded.
    pub(crate) busy_ns: u64,
    pub(crate) intended: Vec<Intended>,
    pub(crate) records: Vec<Record>,
    pub(crate) opened: Vec<Opened>,
    /// Generations of the server's snapshot and when an answer first named them.
    pub(crate) generations: Vec<(u64, String)>,
    pub(crate) first_wrong: Option<FirstWrong>,
    /// Due, but without a connection yet.
    pub(crate) waiting: u64,
    pub(crate) is_last: bool,
}

impl Batch {
    pub(crate) fn count_intended(&mut self, interval: u32, stage: u32, endpoint: Endpoint) {
        let same = self.intended.last().is_some_and(|last| last.interval == interval && last.stage == stage);
        if !same {
            self.intended.push(Intended { interval, stage, general: 0, personal: 0 });
        }
        let last = self.intended.last_mut().expect("pushed above when there was none");
        match endpoint {
            Endpoint::General => last.general += 1,
            Endpoint::Personal => last.personal += 1,
        }
    }
}
