//! A scenario's stages as straight pieces of rate over time: every shape is made of these.

/// A stretch during which the rate goes from one value to another in a straight line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Segment {
    pub(crate) from_per_s: f64,
    pub(crate) to_per_s: f64,
    pub(crate) duration_ns: u64,
    pub(crate) stage: u32,
}

impl Segment {
    pub(crate) fn duration_s(&self) -> f64 {
        self.duration_ns as f64 / 1e9
    }

    /// Requests expected in the whole stretch.
    pub(crate) fn mass(&self) -> f64 {
        (self.from_per_s + self.to_per_s) / 2.0 * self.duration_s()
    }

    /// Nanoseconds from the stretch's start until `mass` requests are expected.
    pub(crate) fn time_of_mass_ns(&self, mass: f64) -> u64 {
        let slope = (self.to_per_s - self.from_per_s) / (2.0 * self.duration_s());
        let root = (self.from_per_s * self.from_per_s + 4.0 * slope * mass).max(0.0).sqrt();
        let seconds = 2.0 * mass / (self.from_per_s + root);
        ((seconds * 1e9) as u64).min(self.duration_ns)
    }

    /// Requests expected until a time, the reverse of `time_of_mass_ns`.
    #[cfg(test)]
    pub(crate) fn mass_until_ns(&self, time_ns: u64) -> f64 {
        let (t, whole) = (time_ns as f64 / 1e9, self.duration_s());
        self.from_per_s * t + (self.to_per_s - self.from_per_s) / (2.0 * whole) * t * t
    }
}

/// One stage as it will be reported.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StagePlan {
    pub(crate) name: String,
    /// For people: `constant 10000/s`.
    pub(crate) shape: String,
    pub(crate) warmup: bool,
    pub(crate) starts_at_ns: u64,
    pub(crate) duration_ns: u64,
    /// Requests expected, over all shards; none are known in a closed loop.
    pub(crate) mass: f64,
}

/// All stages, one after the other.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Plan {
    pub(crate) segments: Vec<Segment>,
    pub(crate) stages: Vec<StagePlan>,
}

impl Plan {
    /// Adds a stage of these rates and seconds; the stretches' stage numbers are set here.
    pub(crate) fn push(&mut self, name: &str, shape: String, warmup: bool, pieces: &[(f64, f64, f64)]) {
        let starts_at_ns = self.duration_ns();
        let stage = u32::try_from(self.stages.len()).expect("stages are typed by hand");
        let segments = pieces.iter().map(|&(from_per_s, to_per_s, seconds)| Segment {
            from_per_s,
            to_per_s,
            duration_ns: (seconds * 1e9) as u64,
            stage,
        });
        let segments: Vec<Segment> = segments.filter(|segment| segment.duration_ns > 0).collect();
        let duration_ns = segments.iter().map(|segment| segment.duration_ns).sum();
        let mass = segments.iter().map(Segment::mass).sum();
        self.segments.extend(segments);
        self.stages.push(StagePlan { name: name.to_owned(), shape, warmup, starts_at_ns, duration_ns, mass });
    }

    pub(crate) fn duration_ns(&self) -> u64 {
        self.stages.iter().map(|stage| stage.duration_ns).sum()
    }

    pub(crate) fn rate_max_per_s(&self) -> f64 {
        self.segments.iter().map(|s| s.from_per_s.max(s.to_per_s)).fold(0.0, f64::max)
    }

    /// The stage that a time belongs to.
    pub(crate) fn stage_at(&self, time_ns: u64) -> u32 {
        let started = self.stages.iter().filter(|stage| stage.starts_at_ns <= time_ns).count();
        u32::try_from(started.saturating_sub(1)).unwrap_or(0)
    }
}
