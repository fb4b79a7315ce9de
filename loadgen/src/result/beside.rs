//! What stands beside the measurement of a run: how the client itself did, and what the server says of itself.

use serde::{Deserialize, Serialize};

/// How the client itself did: whether it could be trusted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ClientFacts {
    /// On time and not too busy: whatever the verdict is, it is the server's doing.
    pub(crate) trusted: bool,
    /// Of each sending thread, spinning excluded; the greatest decides.
    pub(crate) busy_share_by_thread: Vec<f64>,
    pub(crate) cpu_ns_per_request: Option<u64>,
    /// The limits the verdict used.
    pub(crate) busy_share_max: f64,
    pub(crate) lateness_us_p99_max: Option<u64>,
    /// Whether every sending thread got the raised priority that it asked for. Not known in results of before this was
    /// noted, as the next two.
    #[serde(default)]
    pub(crate) senders_raised_priority: Option<bool>,
    /// The same of the threads that watch for the machine's stalls: without it these are another thing.
    #[serde(default)]
    pub(crate) machine_stalls_raised_priority: Option<bool>,
    /// How many cores were watched for them, one thread on each.
    #[serde(default)]
    pub(crate) machine_stalls_cores: Option<u64>,
}

impl ClientFacts {
    /// Takes in another machine's part of a run: of different machines the one that did worse is told.
    pub(crate) fn merge(&mut self, other: ClientFacts) {
        self.busy_share_by_thread.extend(other.busy_share_by_thread);
        self.cpu_ns_per_request = self.cpu_ns_per_request.max(other.cpu_ns_per_request);
        let both = |a: Option<bool>, b: Option<bool>| match (a, b) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        };
        self.senders_raised_priority = both(self.senders_raised_priority, other.senders_raised_priority);
        self.machine_stalls_raised_priority =
            both(self.machine_stalls_raised_priority, other.machine_stalls_raised_priority);
        let cores = self.machine_stalls_cores.zip(other.machine_stalls_cores);
        self.machine_stalls_cores = cores.map(|(one, other)| one + other);
    }

    /// At which priority this machine's stalls were watched, as a sentence.
    pub(crate) fn stalls_priority(&self) -> &'static str {
        stalls_priority(self.machine_stalls_raised_priority)
    }
}

/// At which priority a machine's stalls were watched, as a sentence.
pub(crate) fn stalls_priority(raised: Option<bool>) -> &'static str {
    match raised {
        Some(true) => "The threads that watch had the raised priority that senders ask for.",
        Some(false) => {
            "The raised priority was refused: the stalls hold the ordinary competition for a core too (it takes root, \
             CAP_SYS_NICE or a nice limit of -15)."
        }
        None => "At which priority they were watched is not known.",
    }
}

/// What the server's own metrics say of the time from before the first request to after the last answer, a warm-up
/// included: the server's own words, and no part of the verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ServerSays {
    /// Without a query.
    pub(crate) url: String,
    pub(crate) histograms: Vec<ServerHistogram>,
}

/// What came to one of the server's histograms meanwhile, in the unit of the histogram.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ServerHistogram {
    pub(crate) name: String,
    /// Absent where it is not known.
    pub(crate) count: Option<u64>,
    /// For each of its bounds, in rising order.
    pub(crate) over: Vec<ServerOver>,
    /// Why it is not known.
    pub(crate) failure: Option<String>,
}

/// How many of them were above a bound.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct ServerOver {
    pub(crate) bound: f64,
    pub(crate) count: u64,
}

impl ServerHistogram {
    /// The bounds that tell something: from the highest that all were above, to the lowest that none was.
    pub(crate) fn telling(&self) -> &[ServerOver] {
        let all = self.over.iter().take_while(|over| Some(over.count) == self.count).count();
        let none = self.over.iter().position(|over| over.count == 0).map_or(self.over.len(), |at| at + 1);
        &self.over[all.saturating_sub(1).min(none)..none]
    }
}
