//! What `/metrics` counts: requests by endpoint and status class, swaps by phase, refusals by cause. Relaxed
//! counters, nothing about persons.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::swap::{Cause, Phase, SwapCounts};

/// What a request was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Endpoint {
    /// `POST /v1/inquiries`.
    Inquiries = 0,
    /// `POST /v1/personal-inquiries`.
    PersonalInquiries = 1,
    /// `GET /v1/inquiries/{tracking_code}`.
    Lookup = 2,
    /// What operators ask on their own listener.
    Admin = 3,
    /// Everything else but the health endpoints.
    Other = 4,
    /// `POST /v1/desk/search`.
    DeskSearch = 5,
}

const ENDPOINTS: [(Endpoint, &str); 6] = [
    (Endpoint::Inquiries, "inquiries"),
    (Endpoint::PersonalInquiries, "personal_inquiries"),
    (Endpoint::Lookup, "lookup"),
    (Endpoint::DeskSearch, "desk_search"),
    (Endpoint::Admin, "admin"),
    (Endpoint::Other, "other"),
];
const CLASSES: [&str; 3] = ["2xx", "4xx", "5xx"];

/// The counters.
#[derive(Default)]
pub(crate) struct Metrics {
    requests: [[AtomicU64; CLASSES.len()]; ENDPOINTS.len()],
}

impl Metrics {
    /// Counts one answered request.
    pub(crate) fn count(&self, endpoint: Endpoint, http_status: u16) {
        let class = match http_status {
            0..=399 => 0,
            400..=499 => 1,
            _ => 2,
        };
        self.requests[endpoint as usize][class].fetch_add(1, Ordering::Relaxed);
    }

    /// The counters in the Prometheus text format.
    pub(crate) fn write(&self, out: &mut String) {
        out.push_str(
            "# HELP estehqaq_requests_total Requests answered.\n# TYPE estehqaq_requests_total counter\n",
        );
        for (endpoint, name) in ENDPOINTS {
            for (class, count) in CLASSES.iter().zip(&self.requests[endpoint as usize]) {
                let count = count.load(Ordering::Relaxed);
                let _ =
                    writeln!(out, "estehqaq_requests_total{{endpoint=\"{name}\",class=\"{class}\"}} {count}");
            }
        }
    }
}

impl SwapCounts {
    /// The counters in the Prometheus text format.
    pub(crate) fn write(&self, out: &mut String) {
        write_value(out, "estehqaq_swaps_total", "counter", "Generations swapped in.", self.swaps());
        out.push_str(
            "# HELP estehqaq_swap_seconds What each phase of the swaps took.\n\
             # TYPE estehqaq_swap_seconds summary\n",
        );
        for (phase, name) in Phase::ALL {
            let totals = self.phase(phase);
            let sum = totals.sum.as_secs_f64();
            let _ = writeln!(out, "estehqaq_swap_seconds_sum{{phase=\"{name}\"}} {sum}");
            let _ = writeln!(out, "estehqaq_swap_seconds_count{{phase=\"{name}\"}} {}", totals.count);
        }
        out.push_str(
            "# HELP estehqaq_last_swap_seconds What each phase of the last swap that had it took.\n\
             # TYPE estehqaq_last_swap_seconds gauge\n",
        );
        for (phase, name) in Phase::ALL {
            let last = self.phase(phase).last.as_secs_f64();
            let _ = writeln!(out, "estehqaq_last_swap_seconds{{phase=\"{name}\"}} {last}");
        }
        out.push_str(
            "# HELP estehqaq_refused_swaps_total Generations refused, by cause.\n\
             # TYPE estehqaq_refused_swaps_total counter\n",
        );
        for cause in Cause::ALL {
            let (name, count) = (cause.code(), self.refused(cause));
            let _ = writeln!(out, "estehqaq_refused_swaps_total{{cause=\"{name}\"}} {count}");
        }
    }
}

/// One gauge or counter without labels, a whole number.
pub(crate) fn write_value(out: &mut String, name: &str, kind: &str, help: &str, value: u64) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
}

/// The same of any number.
pub(crate) fn write_number(out: &mut String, name: &str, kind: &str, help: &str, value: f64) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
}

#[cfg(test)]
mod tests {
    use super::{Endpoint, Metrics};

    #[test]
    fn requests_are_counted_by_endpoint_and_class() {
        let metrics = Metrics::default();
        metrics.count(Endpoint::Inquiries, 201);
        metrics.count(Endpoint::Inquiries, 201);
        metrics.count(Endpoint::Lookup, 404);
        metrics.count(Endpoint::Other, 503);
        let mut text = String::new();
        metrics.write(&mut text);
        for line in [
            "estehqaq_requests_total{endpoint=\"inquiries\",class=\"2xx\"} 2",
            "estehqaq_requests_total{endpoint=\"inquiries\",class=\"4xx\"} 0",
            "estehqaq_requests_total{endpoint=\"lookup\",class=\"4xx\"} 1",
            "estehqaq_requests_total{endpoint=\"other\",class=\"5xx\"} 1",
        ] {
            assert!(text.lines().any(|each| each == line), "{text}");
        }
    }
}
