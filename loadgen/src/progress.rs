//! How far a run is: a plain line now and then, for a terminal and a log alike. Never part of the result.

use std::io::Write;
use std::time::Duration;

use crate::config::RunConfig;
use crate::tally::Counts;

/// Tells progress to a stream of notes.
pub(crate) struct Progress<'a> {
    notes: &'a mut dyn Write,
    total: Duration,
}

impl Progress<'_> {
    pub(crate) fn new<'a>(config: &RunConfig, notes: &'a mut dyn Write) -> Progress<'a> {
        Progress { notes, total: config.warmup + config.duration }
    }

    /// Twenty lines a run, but at most one a second.
    pub(crate) fn every(&self) -> Duration {
        (self.total / 20).max(Duration::from_secs(1))
    }

    /// Writes one line. A stream that takes no more must not end the run.
    pub(crate) fn tell(&mut self, elapsed: Duration, counts: &Counts) {
        let tallies = [&counts.general, &counts.personal, &counts.warmup];
        let sum =
            |field: fn(&crate::tally::Tally) -> u64| tallies.iter().map(|tally| field(tally)).sum::<u64>();
        let _ = writeln!(
            self.notes,
            "closed_loop: {} of {} s, {} answers, {} wrong, {} errors",
            elapsed.as_secs(),
            self.total.as_secs(),
            sum(|tally| tally.answers()),
            sum(|tally| tally.wrong_answers()),
            sum(|tally| tally.errors()),
        );
    }
}
