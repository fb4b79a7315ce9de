//! What an answer comes to: it is judged against its target after the clock was read, and the connection goes on
//! to the next request or is closed.

use crate::answer::{Verdict, Wrong, WrongKind, generation, judge};
use crate::record::{FirstWrong, Outcome};
use crate::sender::Sender;
use crate::sender::connection::Whole;
use crate::targets::Inquiry;
use crate::tracking::{SeenCodes, TrackingCode};

impl Sender {
    pub(super) fn answered(&mut self, index: usize, whole: &Whole) {
        let now = self.now();
        let lane = self.lanes.at(index);
        let Some(flight) = lane.flight.take() else { return };
        let inquiry = self.shared.inquiry(flight.request.pick);
        let answer = lane.connection.answer(whole);
        let verdict = with_repeats(&self.shared.seen, judge(inquiry.endpoint, &inquiry.expected, answer));
        if self.report.wants_generation(now)
            && let Some(name) = generation(answer.body)
        {
            self.report.generation(name, now);
        }
        let limit = self.shared.requests_per_connection;
        if !whole.keep_alive || (limit > 0 && lane.connection.carried >= limit) {
            lane.connection.close();
        }
        self.lanes.release(index);
        let (outcome, wrong) = outcome(verdict, inquiry, now);
        if let Some(wrong) = wrong.filter(|_| self.report.wants_first_wrong()) {
            self.report.first_wrong(wrong);
        }
        self.end(&flight, outcome, now);
        if self.shared.handicap_ns > 0 {
            while self.now() < now + self.shared.handicap_ns {
                std::hint::spin_loop();
            }
        }
    }
}

fn outcome(verdict: Verdict, inquiry: &Inquiry, now: u64) -> (Outcome, Option<FirstWrong>) {
    match verdict {
        Verdict::Right(_) => (Outcome::Right, None),
        Verdict::Unchecked(_) => (Outcome::Unchecked, None),
        Verdict::HttpError(status) => (Outcome::HttpError(status), None),
        Verdict::Wrong(Wrong { kind, expected, got }, _) => {
            let (line, endpoint) = (inquiry.line, inquiry.endpoint);
            (Outcome::Wrong(kind), Some(FirstWrong { at_ns: now, line, endpoint, kind, expected, got }))
        }
    }
}

/// Turns an otherwise good answer whose tracking code was given out before into a wrong one.
fn with_repeats(seen: &SeenCodes, verdict: Verdict) -> Verdict {
    let code = match &verdict {
        Verdict::Right(code) | Verdict::Unchecked(code) | Verdict::Wrong(_, code) => *code,
        Verdict::HttpError(_) => None,
    };
    let repeated = code.is_some_and(|code: TrackingCode| !seen.is_new(code));
    if !repeated || matches!(verdict, Verdict::Wrong(..)) {
        return verdict;
    }
    let (expected, got) = ("a new tracking code".to_owned(), "one seen before in this run".to_owned());
    Verdict::Wrong(Wrong { kind: WrongKind::TrackingCodeRepeated, expected, got }, code)
}
