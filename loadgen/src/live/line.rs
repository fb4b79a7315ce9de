//! Progress as plain lines, for logs: twenty a run, but at most one a second and at least one a minute.

use std::io::Write;
use std::time::Duration;

use crate::latency::Percentile;
use crate::live::{LiveFeed, LiveSnapshot};
use crate::result::Mode;

/// Writes lines until the run has ended. A stream that takes no more does not end the run.
pub(super) fn run(feed: &LiveFeed, mut notes: Box<dyn Write + Send>) {
    let mut due = Duration::from_secs(1);
    while let Some(next) = feed.next(Duration::from_secs(1)) {
        let Some(snapshot) = next.filter(|snapshot| snapshot.elapsed >= due) else { continue };
        due = snapshot.elapsed + interval(snapshot.total);
        let _ = writeln!(notes, "{}", describe(&snapshot));
    }
}

fn interval(total: Duration) -> Duration {
    (total / 20).clamp(Duration::from_secs(1), Duration::from_secs(60))
}

/// One line; `mode` comes first, so that no line passes for one of the other mode.
pub(super) fn describe(s: &LiveSnapshot) -> String {
    let mut line = format!(
        "{}: {} of {} s, {} answers, {} wrong, {} errors",
        s.mode.code(),
        s.elapsed.as_secs(),
        s.total.as_secs(),
        s.answered,
        s.wrong_answers,
        s.errors
    );
    if s.mode == Mode::OpenLoop {
        line += &format!(", {:.0}/s of {:.0}/s", s.sent_per_s, s.intended_per_s);
    }
    for (name, percentile) in [("p50", s.latency_us.p50), ("p99", s.latency_us.p99)] {
        if let Percentile::Us(us) = percentile {
            line += &format!(", {name} {us} µs");
        }
    }
    if let Percentile::Us(us) = s.lateness_us.p99 {
        line += &format!(", late p99 {us} µs");
    }
    if let Percentile::Us(us) = s.stalls_us.max {
        line += &format!(", machine stalls max {us} µs");
    }
    if s.stages > 1 {
        line += &format!(", stage {} ({} of {})", s.stage, s.stage_number, s.stages);
    }
    if let Some(generation) = &s.generation {
        line += &format!(", generation {generation}");
    }
    line
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::latency::Latencies;
    use crate::live::{Live, Show};

    #[test]
    fn a_line_names_mode_rate_and_latencies() {
        let mut latencies = Latencies::new();
        (1..=20_000).for_each(|_| latencies.record(Duration::from_micros(150)));
        let mut stalls = Latencies::new();
        stalls.record(Duration::from_micros(900));
        let mut snapshot = LiveSnapshot {
            elapsed: Duration::from_secs(3),
            total: Duration::from_secs(10),
            intended_per_s: 10_000.0,
            sent_per_s: 9_990.4,
            answered: 29_000,
            latency_us: latencies.summary(),
            stalls_us: stalls.summary(),
            generation: Some("2026-11-22-3fa9c1d2e4b5".to_owned()),
            ..LiveSnapshot::default()
        };
        assert_eq!(
            describe(&snapshot),
            "open_loop: 3 of 10 s, 29000 answers, 0 wrong, 0 errors, 9990/s of 10000/s, p50 150 µs, \
             p99 150 µs, machine stalls max 900 µs, generation 2026-11-22-3fa9c1d2e4b5"
        );
        snapshot = LiveSnapshot { mode: Mode::ClosedLoop, generation: None, ..snapshot };
        (snapshot.latency_us, snapshot.stalls_us) = Default::default();
        assert_eq!(describe(&snapshot), "closed_loop: 3 of 10 s, 29000 answers, 0 wrong, 0 errors");
    }

    #[test]
    fn lines_come_in_order_and_end_with_the_run() {
        #[derive(Clone, Default)]
        struct Shared(Arc<Mutex<Vec<u8>>>);
        impl Write for Shared {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.lock().unwrap().extend(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let (feed, notes) = (Arc::new(LiveFeed::default()), Shared::default());
        let live = Live::start(Arc::clone(&feed), Show::Lines, Box::new(notes.clone()));
        for second in 1..=3 {
            let total = Duration::from_secs(4);
            let elapsed = Duration::from_secs(second);
            feed.publish(LiveSnapshot { elapsed, total, ..LiveSnapshot::default() });
            let wanted = usize::try_from(second).unwrap();
            while notes.0.lock().unwrap().iter().filter(|b| **b == b'\n').count() < wanted {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        live.finish();
        let text = String::from_utf8(notes.0.lock().unwrap().clone()).unwrap();
        assert!(text.starts_with("open_loop: 1 of 4 s") && text.lines().count() == 3, "{text}");
        assert!(!feed.stop_requested());
    }

    #[test]
    fn a_long_run_still_says_something_every_minute() {
        assert_eq!(interval(Duration::from_secs(10)), Duration::from_secs(1));
        assert_eq!(interval(Duration::from_secs(100)), Duration::from_secs(5));
        assert_eq!(interval(Duration::from_secs(86_400)), Duration::from_secs(60));
    }
}
