//! From values to places on an axis: scales, ticks, and how numbers with units are written.

use std::ops::RangeInclusive;

/// How values spread over an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    Linear,
    Log,
}

/// What the numbers of an axis are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Microseconds, written as µs, ms or s.
    Us,
    PerSecond,
    /// Milliseconds since the start, written as seconds, minutes or hours.
    SinceStartMs,
    /// -log10(1 - p), written as the percentile.
    Nines,
    /// Turns, from 1.
    Round,
}

/// One axis with its range and ticks.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    pub(super) title: &'static str,
    pub(super) scale: Scale,
    pub(super) unit: Unit,
    pub(super) min: f64,
    pub(super) max: f64,
    pub(super) ticks: Vec<f64>,
}

impl Axis {
    /// An axis that holds all of these values, with round ends and ticks.
    pub(super) fn over(
        title: &'static str,
        scale: Scale,
        unit: Unit,
        values: impl Iterator<Item = f64>,
    ) -> Axis {
        let finite = values.filter(|v| v.is_finite());
        let (low, high) = finite.fold((f64::INFINITY, 0.0_f64), |(l, h), v| (l.min(v), h.max(v)));
        let low = if low.is_finite() { low } else { 0.0 };
        let (min, max, ticks) = match (scale, unit) {
            (Scale::Log, _) => log_ticks(low.max(1.0), high.max(1.0)),
            (Scale::Linear, Unit::SinceStartMs) => time_ticks(high),
            (Scale::Linear, Unit::Nines) => (0.0, high.max(1.0), nine_ticks(high)),
            (Scale::Linear, Unit::Round) => (0.5, high.max(1.0) + 0.5, round_ticks(high)),
            (Scale::Linear, _) => linear_ticks(high),
        };
        Axis { title, scale, unit, min, max, ticks }
    }

    /// Where a value lies, 0 at the minimum and 1 at the maximum.
    pub(super) fn place(&self, value: f64) -> f64 {
        let place = match self.scale {
            Scale::Linear => (value - self.min) / (self.max - self.min),
            Scale::Log => (value.max(self.min) / self.min).ln() / (self.max / self.min).ln(),
        };
        place.clamp(0.0, 1.0)
    }

    pub(super) fn label(&self, value: f64) -> String {
        label(self.unit, value)
    }
}

/// A value with its unit.
pub(super) fn label(unit: Unit, value: f64) -> String {
    match unit {
        Unit::Us => micros(value),
        Unit::PerSecond => grouped(value),
        Unit::SinceStartMs => since_start(value),
        Unit::Nines => percentile(value),
        Unit::Round => format!("{value:.0}"),
    }
}

/// `850 µs`, `5.2 ms`, `1.25 s`.
pub(super) fn micros(us: f64) -> String {
    match us {
        _ if us < 1_000.0 => format!("{} µs", short(us)),
        _ if us < 1_000_000.0 => format!("{} ms", short(us / 1_000.0)),
        _ => format!("{} s", short(us / 1_000_000.0)),
    }
}

/// Three digits that count, without idle zeros.
fn short(value: f64) -> String {
    let digits = match value {
        _ if value >= 100.0 => 0,
        _ if value >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// `12,345`; with a digit after the point below 100.
pub(super) fn grouped(value: f64) -> String {
    if value.abs() < 100.0 && value.fract() != 0.0 {
        return short(value);
    }
    let digits = format!("{value:.0}");
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn since_start(ms: f64) -> String {
    let s = (ms / 1_000.0).round() as u64;
    match s {
        0..60 => format!("{s} s"),
        60..7_200 => format!("{}:{:02} min", s / 60, s % 60),
        _ => format!("{}:{:02} h", s / 3_600, s / 60 % 60),
    }
}

/// `99.9 %` for 3 nines.
fn percentile(nines: f64) -> String {
    let share = 100.0 * (1.0 - 10.0_f64.powf(-nines));
    let digits = (nines.ceil() as usize).saturating_sub(2);
    format!("{share:.digits$} %")
}

fn log_ticks(low: f64, high: f64) -> (f64, f64, Vec<f64>) {
    let all = (0..12).flat_map(|power| [1.0, 2.0, 5.0].map(|n| n * 10.0_f64.powi(power)));
    let all: Vec<f64> = all.collect();
    let min = all.iter().rev().copied().find(|tick| *tick <= low).unwrap_or(1.0);
    let max = all.iter().copied().find(|tick| *tick >= high && *tick > min).unwrap_or(high);
    let within: Vec<f64> = all.into_iter().filter(|tick| (min..=max).contains(tick)).collect();
    // Over many decades only the powers of ten are named.
    let decades = (max / min).log10();
    let named = |tick: &f64| decades <= 3.0 || (tick.log10() - tick.log10().round()).abs() < 1e-9;
    (min, max, within.into_iter().filter(named).collect())
}

fn linear_ticks(high: f64) -> (f64, f64, Vec<f64>) {
    let high = if high > 0.0 { high } else { 1.0 };
    let power = 10.0_f64.powf((high / 5.0).log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|n| n * power).into_iter().find(|s| high / s <= 6.0);
    let step = step.unwrap_or(power * 10.0);
    // A little air above the highest value, so that a constant rate does not hide under the frame.
    let max = high * 1.06;
    let count = (max / step).floor() as u32;
    (0.0, max, (0..=count).map(|n| f64::from(n) * step).collect())
}

const TIME_STEPS_S: [u32; 16] =
    [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 43_200];

fn time_ticks(high_ms: f64) -> (f64, f64, Vec<f64>) {
    let high_ms = high_ms.max(1_000.0);
    let steps = TIME_STEPS_S.into_iter().map(|s| f64::from(s) * 1_000.0);
    let step = steps.into_iter().find(|step| high_ms / step <= 12.0).unwrap_or(86_400_000.0);
    let count = (high_ms / step).floor() as u32;
    (0.0, high_ms, (0..=count).map(|n| f64::from(n) * step).collect())
}

fn nine_ticks(high: f64) -> Vec<f64> {
    let half = 2.0_f64.log10();
    let nines: RangeInclusive<u32> = 1..=(high.max(1.0).floor() as u32);
    std::iter::once(0.0).chain(std::iter::once(half)).chain(nines.map(f64::from)).collect()
}

fn round_ticks(high: f64) -> Vec<f64> {
    let count = high.max(1.0) as u32;
    let step = count.div_ceil(20).max(1);
    (1..=count).step_by(step as usize).map(f64::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_with_three_digits_and_a_unit() {
        let cases = [(0.0, "0 µs"), (850.0, "850 µs"), (5_230.0, "5.23 ms"), (200_000.0, "200 ms")];
        for (us, text) in cases {
            assert_eq!(micros(us), text);
        }
        assert_eq!(micros(1_250_000.0), "1.25 s");
        for (value, text) in
            [(0.0, "0"), (999.0, "999"), (12_345.4, "12,345"), (7.5, "7.5"), (1e6, "1,000,000")]
        {
            assert_eq!(grouped(value), text);
        }
        for (nines, text) in [(0.0, "0 %"), (1.0, "90 %"), (2.0, "99 %"), (3.0, "99.9 %"), (5.0, "99.999 %")]
        {
            assert_eq!(percentile(nines), text);
        }
        for (ms, text) in [(5_000.0, "5 s"), (150_000.0, "2:30 min"), (9_000_000.0, "2:30 h")] {
            assert_eq!(since_start(ms), text);
        }
    }

    #[test]
    fn axes_hold_their_values_and_have_few_ticks() {
        for high in [0.0, 0.3, 1.0, 7.0, 99.0, 10_000.0, 3.6e9] {
            for (scale, unit) in [
                (Scale::Linear, Unit::PerSecond),
                (Scale::Log, Unit::Us),
                (Scale::Linear, Unit::SinceStartMs),
                (Scale::Linear, Unit::Round),
            ] {
                let axis = Axis::over("t", scale, unit, [high / 3.0, high].into_iter());
                assert!(axis.min < axis.max && axis.max >= high, "{axis:?}");
                assert!((1..=42_000).contains(&axis.ticks.len()), "{high} {axis:?}");
                assert!((0.0..=1.0).contains(&axis.place(high)));
            }
        }
        let axis = Axis::over("t", Scale::Log, Unit::Us, [130.0, 4_200.0].into_iter());
        assert_eq!((axis.min, axis.max), (100.0, 5_000.0));
        assert_eq!(axis.ticks, [100.0, 200.0, 500.0, 1_000.0, 2_000.0, 5_000.0]);
    }
}
