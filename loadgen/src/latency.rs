//! Latencies in whole microseconds, and which percentiles of them may be stated.
//!
//! A percentile is stated only where at least 100 samples lie beyond it; otherwise it is "insufficient":
//! a p99.9 of 5,000 requests is the opinion of five of them. Histograms merge without loss; percentiles
//! are never averaged.

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer as HistogramReader, Serializer as _, V2DeflateSerializer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An hour; more than the longest timeout.
const LATENCY_US_MAX: u64 = 3_600_000_000;
const SAMPLES_BEYOND_MIN: u64 = 100;

/// A histogram of latencies, to three significant digits.
#[derive(Debug, Clone)]
pub(crate) struct Latencies(Histogram<u64>);

impl Latencies {
    pub(crate) fn new() -> Latencies {
        Latencies(Histogram::new_with_bounds(1, LATENCY_US_MAX, 3).expect("the bounds are in order"))
    }

    /// Adds one latency, rounded up to the next microsecond.
    pub(crate) fn record(&mut self, latency: Duration) {
        let us = latency.as_nanos().div_ceil(1_000);
        self.0.saturating_record(u64::try_from(us).unwrap_or(u64::MAX));
    }

    /// Adds every sample of another histogram.
    pub(crate) fn merge(&mut self, other: &Latencies) {
        self.0.add(&other.0).expect("both have the same bounds");
    }

    /// Forgets every sample and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.0.reset();
    }

    pub(crate) fn summary(&self) -> LatencySummary {
        LatencySummary {
            samples: self.0.len(),
            p50: self.percentile(500_000),
            p90: self.percentile(900_000),
            p99: self.percentile(990_000),
            p99_9: self.percentile(999_000),
            p99_99: self.percentile(999_900),
            max: if self.0.is_empty() { Percentile::Insufficient } else { Percentile::Us(self.0.max()) },
        }
    }

    /// The percentile in parts per million: 999,000 is p99.9.
    pub(crate) fn percentile(&self, ppm: u64) -> Percentile {
        if self.0.len() * (1_000_000 - ppm) < SAMPLES_BEYOND_MIN * 1_000_000 {
            return Percentile::Insufficient;
        }
        Percentile::Us(self.0.value_at_quantile(ppm as f64 / 1_000_000.0))
    }

    pub(crate) fn histogram(&self) -> &Histogram<u64> {
        &self.0
    }

    /// HdrHistogram V2, deflated, in base64, as interval logs carry it.
    pub(crate) fn encode(&self) -> String {
        let mut bytes = Vec::new();
        V2DeflateSerializer::new().serialize(&self.0, &mut bytes).expect("memory takes it all");
        BASE64.encode(&bytes)
    }

    /// The reverse of `encode`; `None` for anything else.
    pub(crate) fn decode(text: &str) -> Option<Latencies> {
        let bytes = BASE64.decode(text).ok()?;
        let read: Histogram<u64> = HistogramReader::new().deserialize(&mut bytes.as_slice()).ok()?;
        let mut latencies = Latencies::new();
        latencies.0.add(&read).ok()?;
        Some(latencies)
    }
}

impl Default for Latencies {
    fn default() -> Latencies {
        Latencies::new()
    }
}

/// The summary for readers, and the histogram it was taken from.
impl Serialize for Latencies {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Wire {
            #[serde(flatten)]
            summary: LatencySummary,
            histogram: String,
        }
        Wire { summary: self.summary(), histogram: self.encode() }.serialize(serializer)
    }
}

/// From the histogram alone: a summary that was edited says nothing.
impl<'de> Deserialize<'de> for Latencies {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Latencies, D::Error> {
        #[derive(Deserialize)]
        struct Wire {
            histogram: String,
        }
        let wire = Wire::deserialize(deserializer)?;
        Latencies::decode(&wire.histogram)
            .ok_or_else(|| serde::de::Error::custom("`histogram` is no HdrHistogram V2 in base64"))
    }
}

/// A latency in microseconds, or too few samples to state it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Percentile {
    Us(u64),
    #[default]
    Insufficient,
}

impl Serialize for Percentile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Percentile::Us(us) => serializer.serialize_u64(*us),
            Percentile::Insufficient => serializer.serialize_str("insufficient"),
        }
    }
}

impl<'de> Deserialize<'de> for Percentile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Percentile, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Wire {
            Us(u64),
            Word(String),
        }
        match Wire::deserialize(deserializer)? {
            Wire::Us(us) => Ok(Percentile::Us(us)),
            Wire::Word(word) if word == "insufficient" => Ok(Percentile::Insufficient),
            Wire::Word(_) => Err(serde::de::Error::custom("neither microseconds nor `insufficient`")),
        }
    }
}

impl Percentile {
    pub(crate) fn us(self) -> Option<u64> {
        match self {
            Percentile::Us(us) => Some(us),
            Percentile::Insufficient => None,
        }
    }
}

impl fmt::Display for Percentile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Percentile::Us(us) => f.pad(&us.to_string()),
            Percentile::Insufficient => f.pad("insufficient"),
        }
    }
}

/// What is said of a histogram; all in microseconds but `samples`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct LatencySummary {
    pub(crate) samples: u64,
    pub(crate) p50: Percentile,
    pub(crate) p90: Percentile,
    pub(crate) p99: Percentile,
    pub(crate) p99_9: Percentile,
    pub(crate) p99_99: Percentile,
    pub(crate) max: Percentile,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `count` latencies of 1, 2, .. microseconds.
    fn summary_of(count: u64) -> LatencySummary {
        let mut latencies = Latencies::new();
        (1..=count).for_each(|us| latencies.record(Duration::from_micros(us)));
        latencies.summary()
    }

    #[test]
    fn a_percentile_needs_a_hundred_samples_beyond_it() {
        let stated = |count| {
            let s = summary_of(count);
            [s.p50, s.p90, s.p99, s.p99_9].map(|p| p != Percentile::Insufficient)
        };
        assert_eq!(stated(199), [false, false, false, false]);
        assert_eq!(stated(200), [true, false, false, false]);
        assert_eq!(stated(999), [true, false, false, false]);
        assert_eq!(stated(1_000), [true, true, false, false]);
        assert_eq!(stated(9_999), [true, true, false, false]);
        assert_eq!(stated(10_000), [true, true, true, false]);
        assert_eq!(stated(99_999), [true, true, true, false]);
        assert_eq!(stated(100_000), [true, true, true, true]);
        assert_eq!(summary_of(0).max, Percentile::Insufficient);
        assert_eq!(summary_of(1).max, Percentile::Us(1));
    }

    #[test]
    fn values_are_right_to_three_digits_and_round_up() {
        let s = summary_of(100_000);
        for (percentile, exact) in [(s.p50, 50_000), (s.p90, 90_000), (s.p99, 99_000), (s.p99_9, 99_900)] {
            let Percentile::Us(us) = percentile else { panic!("{percentile}") };
            assert!((exact..=exact + exact / 1_000).contains(&us), "{us} for {exact}");
        }
        let mut latencies = Latencies::new();
        latencies.record(Duration::from_nanos(34_001));
        assert_eq!(latencies.summary().max, Percentile::Us(35));
    }

    #[test]
    fn merging_loses_nothing() {
        let (mut left, mut right, mut whole) = (Latencies::new(), Latencies::new(), Latencies::new());
        for us in 1..=1_000 {
            let latency = Duration::from_micros(us * us);
            if us % 3 == 0 { &mut left } else { &mut right }.record(latency);
            whole.record(latency);
        }
        left.merge(&right);
        assert_eq!(left.0, whole.0);
    }

    #[test]
    fn a_written_histogram_is_read_back_whole() {
        let mut latencies = Latencies::new();
        (1..=5_000).for_each(|us| latencies.record(Duration::from_micros(us * us)));
        let json = serde_json::to_string(&latencies).unwrap();
        let back: Latencies = serde_json::from_str(&json).unwrap();
        assert_eq!(back.0, latencies.0);
        assert_eq!(back.summary(), latencies.summary());
        for bad in [r#"{"histogram":""}"#, r#"{"histogram":"SElT"}"#, r#"{"samples":1}"#] {
            assert!(serde_json::from_str::<Latencies>(bad).is_err(), "{bad}");
        }
    }
}
