//! Stages: each kind of shape as straight pieces of rate over time.

use serde::Deserialize;

use crate::goals::Limits;

/// The hours of a working day as parts of its peak, from midnight to midnight, piecewise linear: surgeries
/// open at eight, the peak is late in the morning, a second one comes in the early evening.
const DAY_SHAPE: [f64; 25] = [
    0.05, 0.03, 0.02, 0.02, 0.02, 0.03, 0.07, 0.25, 0.70, 0.92, 1.00, 0.98, 0.85, 0.70, 0.55, 0.52, 0.62,
    0.75, 0.72, 0.60, 0.42, 0.28, 0.18, 0.10, 0.05,
];
/// The first working day of a month: the morning rush comes at once and stays, new entitlements are tried out.
const MONTH_START_SHAPE: [f64; 25] = [
    0.08, 0.05, 0.03, 0.03, 0.03, 0.05, 0.12, 0.55, 1.00, 1.00, 0.97, 0.93, 0.86, 0.74, 0.62, 0.60, 0.68,
    0.78, 0.74, 0.62, 0.45, 0.30, 0.20, 0.12, 0.08,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Constant,
    /// Constant too; says that it is long.
    Soak,
    Ramp,
    Step,
    Spike,
    /// 24 hours compressed into the duration.
    WorkingDay,
    MonthStart,
    /// Silence, then everyone at once, falling back to the base.
    RetryStorm,
}

/// A stage as the file has it; which fields belong to which kind is checked in `pieces`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawStage {
    pub(super) name: Option<String>,
    kind: Kind,
    duration_s: f64,
    #[serde(default)]
    pub(super) warmup: bool,
    rate_per_s: Option<f64>,
    from_per_s: Option<f64>,
    to_per_s: Option<f64>,
    steps: Option<u32>,
    base_per_s: Option<f64>,
    peak_per_s: Option<f64>,
    spike_s: Option<f64>,
    outage_s: Option<f64>,
    pub(super) goals: Option<Limits>,
}

type Pieces = Vec<(f64, f64, f64)>;

impl RawStage {
    /// What people call it, and (rate at the start, rate at the end, seconds) of each piece.
    pub(super) fn pieces(&self, closed: bool) -> Result<(String, Pieces), String> {
        if !self.duration_s.is_finite() || self.duration_s <= 0.0 {
            return Err("`duration_s` must be positive".to_owned());
        }
        let d = self.duration_s;
        if closed {
            self.only(&[])?;
            return Ok(("closed loop".to_owned(), vec![(0.0, 0.0, d)]));
        }
        match self.kind {
            Kind::Constant | Kind::Soak => {
                self.only(&["rate_per_s"])?;
                let rate = need(self.rate_per_s, "rate_per_s")?;
                let word = if self.kind == Kind::Soak { "soak" } else { "constant" };
                Ok((format!("{word} {rate}/s"), vec![(rate, rate, d)]))
            }
            Kind::Ramp => {
                self.only(&["from_per_s", "to_per_s"])?;
                let (from, to) = (need(self.from_per_s, "from_per_s")?, need(self.to_per_s, "to_per_s")?);
                Ok((format!("ramp {from}/s to {to}/s"), vec![(from, to, d)]))
            }
            Kind::Step => self.steps(),
            Kind::Spike => self.spike(),
            Kind::WorkingDay => self.day("working day", &DAY_SHAPE),
            Kind::MonthStart => self.day("first working day of a month", &MONTH_START_SHAPE),
            Kind::RetryStorm => self.storm(),
        }
    }

    fn steps(&self) -> Result<(String, Pieces), String> {
        self.only(&["from_per_s", "to_per_s", "steps"])?;
        let (from, to) = (need(self.from_per_s, "from_per_s")?, need(self.to_per_s, "to_per_s")?);
        let Some(steps @ 2..=1_000) = self.steps else {
            return Err("`steps` must be from 2 to 1,000".to_owned());
        };
        let rate = |step: u32| from + (to - from) * f64::from(step) / f64::from(steps - 1);
        let each = self.duration_s / f64::from(steps);
        let pieces = (0..steps).map(|step| (rate(step), rate(step), each)).collect();
        Ok((format!("{steps} steps from {from}/s to {to}/s"), pieces))
    }

    fn spike(&self) -> Result<(String, Pieces), String> {
        self.only(&["base_per_s", "peak_per_s", "spike_s"])?;
        let (base, peak) = (need(self.base_per_s, "base_per_s")?, need(self.peak_per_s, "peak_per_s")?);
        let spike = need(self.spike_s, "spike_s")?;
        let around = (self.duration_s - spike) / 2.0;
        if spike <= 0.0 || around < 0.0 {
            return Err("`spike_s` must be positive and fit into `duration_s`".to_owned());
        }
        let pieces = vec![(base, base, around), (peak, peak, spike), (base, base, around)];
        Ok((format!("spike of {peak}/s for {spike} s over {base}/s"), pieces))
    }

    fn day(&self, word: &str, shape: &[f64; 25]) -> Result<(String, Pieces), String> {
        self.only(&["peak_per_s"])?;
        let peak = need(self.peak_per_s, "peak_per_s")?;
        let hour = self.duration_s / 24.0;
        let pieces = shape.windows(2).map(|two| (two[0] * peak, two[1] * peak, hour)).collect();
        Ok((format!("{word} with a peak of {peak}/s in {} s", self.duration_s), pieces))
    }

    fn storm(&self) -> Result<(String, Pieces), String> {
        self.only(&["base_per_s", "peak_per_s", "outage_s", "spike_s"])?;
        let (base, peak) = (need(self.base_per_s, "base_per_s")?, need(self.peak_per_s, "peak_per_s")?);
        let (outage, rush) = (need(self.outage_s, "outage_s")?, need(self.spike_s, "spike_s")?);
        let falling = self.duration_s - outage - rush;
        if rush <= 0.0 || falling <= 0.0 {
            return Err(
                "`outage_s` and `spike_s` must leave time for the fall within `duration_s`".to_owned()
            );
        }
        let pieces = vec![(0.0, 0.0, outage), (peak, peak, rush), (peak, base, falling)];
        Ok((format!("retry storm of {peak}/s after {outage} s of silence, falling to {base}/s"), pieces))
    }

    /// A setting that would be ignored is a mistake.
    fn only(&self, allowed: &[&str]) -> Result<(), String> {
        let set = [
            ("rate_per_s", self.rate_per_s.is_some()),
            ("from_per_s", self.from_per_s.is_some()),
            ("to_per_s", self.to_per_s.is_some()),
            ("steps", self.steps.is_some()),
            ("base_per_s", self.base_per_s.is_some()),
            ("peak_per_s", self.peak_per_s.is_some()),
            ("spike_s", self.spike_s.is_some()),
            ("outage_s", self.outage_s.is_some()),
        ];
        match set.iter().find(|(name, set)| *set && !allowed.contains(name)) {
            Some((name, _)) => Err(format!("`{name}` has no meaning for this kind of stage")),
            None => Ok(()),
        }
    }
}

fn need(value: Option<f64>, name: &str) -> Result<f64, String> {
    match value {
        Some(value) if value.is_finite() && value >= 0.0 => Ok(value),
        Some(_) => Err(format!("`{name}` must be a number that is not negative")),
        None => Err(format!("`{name}` is missing")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::scenario::Scenario;
    use crate::schedule::{Arrivals, Plan, Share, all_slots};

    /// A scenario of one stage.
    fn plan(kind: &str, duration_s: u32, fields: &str) -> Arc<Plan> {
        let text = format!("[[stage]]\nkind = \"{kind}\"\nduration_s = {duration_s}\n{fields}\n");
        Scenario::parse("x", &text).unwrap().plan
    }

    /// The rate of a plan at a time.
    fn rate_at(plan: &Plan, time_s: f64) -> f64 {
        let mut start_s = 0.0;
        for segment in &plan.segments {
            let length_s = segment.duration_s();
            if time_s < start_s + length_s {
                let part = (time_s - start_s) / length_s;
                return segment.from_per_s + (segment.to_per_s - segment.from_per_s) * part;
            }
            start_s += length_s;
        }
        0.0
    }

    /// The rates at some times, and that what is sent in each second follows the curve, here summed by hand.
    #[track_caller]
    fn check(kind: &str, duration_s: u32, fields: &str, rates: &[(f64, f64)]) {
        let plan = plan(kind, duration_s, fields);
        for (time_s, rate) in rates {
            let found = rate_at(&plan, *time_s);
            assert!((found - rate).abs() < 1e-6 * rate.max(1.0), "{kind} at {time_s} s: {found}, not {rate}");
        }
        let slots = all_slots(&plan, Arrivals::Poisson, 3, Share::ALL);
        for second in 0..duration_s {
            let (from_ns, to_ns) = (u64::from(second) * 1_000_000_000, u64::from(second + 1) * 1_000_000_000);
            let sent = slots.iter().filter(|slot| (from_ns..to_ns).contains(&slot.due_ns)).count() as f64;
            let part = |step: u32| rate_at(&plan, f64::from(second) + (f64::from(step) + 0.5) / 1_000.0);
            let due = (0..1_000).map(part).sum::<f64>() / 1_000.0;
            assert!((sent - due).abs() <= 5.0 * due.sqrt(), "{kind}, second {second}: {sent} of {due}");
        }
    }

    #[test]
    fn steady_stages_are_steady() {
        for kind in ["constant", "soak"] {
            check(kind, 10, "rate_per_s = 700", &[(0.0, 700.0), (5.0, 700.0), (9.999, 700.0)]);
        }
    }

    #[test]
    fn a_ramp_goes_in_a_straight_line() {
        check("ramp", 10, "from_per_s = 100\nto_per_s = 900", &[(0.0, 100.0), (2.5, 300.0), (7.5, 700.0)]);
        check("ramp", 10, "from_per_s = 900\nto_per_s = 0", &[(0.0, 900.0), (5.0, 450.0)]);
    }

    #[test]
    fn steps_are_equally_long_and_high() {
        let rates = [(0.0, 100.0), (1.9, 100.0), (2.1, 300.0), (4.1, 500.0), (6.1, 700.0), (9.9, 900.0)];
        check("step", 10, "from_per_s = 100\nto_per_s = 900\nsteps = 5", &rates);
    }

    #[test]
    fn a_spike_stands_in_the_middle() {
        let rates = [(3.9, 200.0), (4.1, 2_000.0), (5.9, 2_000.0), (6.1, 200.0)];
        check("spike", 10, "base_per_s = 200\npeak_per_s = 2000\nspike_s = 2", &rates);
    }

    #[test]
    fn a_retry_storm_is_silent_then_breaks_loose_and_falls() {
        let fields = "base_per_s = 200\npeak_per_s = 2000\noutage_s = 2\nspike_s = 3";
        let rates = [(1.9, 0.0), (2.1, 2_000.0), (4.9, 2_000.0), (7.5, 1_100.0), (9.999_999, 200.000_36)];
        check("retry_storm", 10, fields, &rates);
    }

    /// A second for each hour: night, opening, the late morning's peak, noon, evening.
    #[test]
    fn a_working_day_has_its_hours() {
        let rates = [(0.0, 50.0), (3.5, 20.0), (7.0, 250.0), (8.5, 810.0), (10.0, 1_000.0), (15.0, 520.0)];
        check("working_day", 24, "peak_per_s = 1000", &rates);
        check("working_day", 24, "peak_per_s = 1000", &[(17.0, 750.0), (23.0, 100.0)]);
    }

    #[test]
    fn the_first_working_day_of_a_month_begins_with_its_rush() {
        let rates = [(0.0, 80.0), (7.5, 775.0), (8.0, 1_000.0), (8.5, 1_000.0), (12.0, 860.0), (23.5, 100.0)];
        check("month_start", 24, "peak_per_s = 1000", &rates);
    }

    /// Compressed to half the time, every hour has the same rate and half the requests.
    #[test]
    fn a_day_can_be_compressed() {
        let [long, short] = [48, 24].map(|seconds| plan("working_day", seconds, "peak_per_s = 100"));
        assert!((long.stages[0].mass - 2.0 * short.stages[0].mass).abs() < 1e-6);
        assert!((0..24).all(|hour| {
            let hour = f64::from(hour) + 0.5;
            (rate_at(&long, 2.0 * hour) - rate_at(&short, hour)).abs() < 1e-9
        }));
    }
}
