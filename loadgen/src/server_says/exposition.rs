//! Histograms in the text exposition format of Prometheus: the `NAME_bucket{le="BOUND"} COUNT` lines, nothing else of it.
//! Pure. Series that differ in other labels are added up.

/// Why a histogram cannot be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum ExpositionError {
    #[error("there is no histogram of this name; is it spelled as in the metrics, without `_bucket`?")]
    Missing,
    #[error("one of its lines is not NAME_bucket{{le=\"BOUND\"}} COUNT")]
    Malformed,
    #[error("its series have different buckets, which cannot be added up")]
    Uneven,
    #[error("it has no bucket le=\"+Inf\"")]
    Endless,
    #[error("it had other buckets before the run; was another version of the server started meanwhile?")]
    OtherBuckets,
    #[error("its counts began again; was the server started anew meanwhile?")]
    BeganAgain,
}

/// Cumulative counts by their upper bounds in rising order; the last bound is infinite.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Histogram(Vec<(f64, u64)>);

/// Whether this is the name of a metric.
pub(super) fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':';
    text.bytes().all(plain) && text.bytes().next().is_some_and(|first| !first.is_ascii_digit())
}

/// The histogram of this name.
pub(super) fn histogram(text: &str, name: &str) -> Result<Histogram, ExpositionError> {
    let mut lines = Vec::new();
    for line in text.lines() {
        let of_name = line.trim_start().strip_prefix(name).and_then(|rest| rest.strip_prefix("_bucket{"));
        if let Some(rest) = of_name {
            lines.push(bucket(rest).ok_or(ExpositionError::Malformed)?);
        }
    }
    if lines.is_empty() {
        return Err(ExpositionError::Missing);
    }
    lines.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let same_bound = lines.chunk_by(|(a, _), (b, _)| a == b);
    let series = same_bound.clone().next().map_or(0, <[_]>::len);
    if same_bound.clone().any(|bound| bound.len() != series) {
        return Err(ExpositionError::Uneven);
    }
    let added =
        |bound: &[(f64, u64)]| (bound[0].0, bound.iter().fold(0, |sum: u64, (_, n)| sum.saturating_add(*n)));
    let buckets: Vec<(f64, u64)> = same_bound.map(added).collect();
    let ends = buckets.last().is_some_and(|(bound, _)| *bound == f64::INFINITY);
    if ends { Ok(Histogram(buckets)) } else { Err(ExpositionError::Endless) }
}

/// Bound and count of a line after its opening brace.
fn bucket(line: &str) -> Option<(f64, u64)> {
    let (mut rest, mut bound) = (line.trim_start(), None);
    while !rest.starts_with('}') {
        let (name, after) = rest.split_once('=')?;
        let (value, after) = quoted(after.trim_start())?;
        if name.trim() == "le" {
            bound = Some(value.parse::<f64>().ok().filter(|bound| !bound.is_nan())?);
        }
        rest = after.trim_start();
        match rest.strip_prefix(',') {
            Some(more) => rest = more.trim_start(),
            None if rest.starts_with('}') => {}
            None => return None,
        }
    }
    // A time may stand behind the count.
    let count = rest[1..].split_whitespace().next()?.parse::<f64>().ok()?;
    (count.is_finite() && count >= 0.0).then_some((bound?, count.round() as u64))
}

/// What stands in quotes, as it stands there, and what follows them.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let inside = text.strip_prefix('"')?;
    let mut escaped = false;
    let end = inside.find(|c: char| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    })?;
    Some((&inside[..end], &inside[end + 1..]))
}

impl Histogram {
    /// What was added since an earlier look.
    pub(super) fn since(&self, earlier: &Histogram) -> Result<Histogram, ExpositionError> {
        let bounds = |histogram: &Histogram| histogram.0.iter().map(|(bound, _)| *bound).collect::<Vec<_>>();
        if bounds(self) != bounds(earlier) {
            return Err(ExpositionError::OtherBuckets);
        }
        let added = |((bound, now), (_, then)): (&(f64, u64), &(f64, u64))| {
            now.checked_sub(*then).map(|added| (*bound, added)).ok_or(ExpositionError::BeganAgain)
        };
        self.0.iter().zip(&earlier.0).map(added).collect::<Result<_, _>>().map(Histogram)
    }

    /// How many there were.
    pub(super) fn count(&self) -> u64 {
        self.0.last().map_or(0, |(_, count)| *count)
    }

    /// Each finite bound, with how many were not above it.
    pub(super) fn bounds(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        self.0.iter().copied().filter(|(bound, _)| bound.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the service writes them, with neighbours whose names begin alike.
    const TEXT: &str = "# HELP sync_seconds How long syncs took.\n# TYPE sync_seconds histogram\n\
        sync_seconds_bucket{le=\"0.005\"} 5\nsync_seconds_bucket{le=\"0.02\"} 7\n\
        sync_seconds_bucket{le=\"+Inf\"} 8\nsync_seconds_sum 0.31\nsync_seconds_count 8\n\
        sync_seconds_bucket_total 99\nsync_seconds_bucketed_bucket{le=\"+Inf\"} 99\n\
        other_sync_seconds_bucket{le=\"+Inf\"} 99\n";

    #[test]
    fn the_buckets_of_one_histogram_are_read() {
        let found = histogram(TEXT, "sync_seconds").unwrap();
        assert_eq!(found, Histogram(vec![(0.005, 5), (0.02, 7), (f64::INFINITY, 8)]));
        assert_eq!((found.count(), found.bounds().count()), (8, 2));
    }

    #[test]
    fn series_that_differ_in_other_labels_are_added_up() {
        let text = "h_bucket{path=\"/a}\\\",x\", le=\"1e-3\",} 1 1795305600000\n\
                    h_bucket{le=\"+Inf\" , path=\"/a\"} 2.0\n\
                    h_bucket{path=\"/b\",le=\"0.001\"} 1e1\nh_bucket{path=\"/b\",le=\"+Inf\"} 20\n";
        let found = histogram(text, "h").unwrap();
        assert_eq!(found, Histogram(vec![(0.001, 11), (f64::INFINITY, 22)]));
    }

    #[test]
    fn what_is_no_histogram_is_refused() {
        let check = |text: &str, error| assert_eq!(histogram(text, "h"), Err(error), "{text}");
        check("", ExpositionError::Missing);
        check("h_count 3\nh_sum 1\n", ExpositionError::Missing);
        check("h_bucket{le=\"1\"} 3\n", ExpositionError::Endless);
        check("h_bucket{a=\"b\"} 3\n", ExpositionError::Malformed);
        check("h_bucket{le=\"NaN\"} 3\n", ExpositionError::Malformed);
        check("h_bucket{le=\"+Inf\"} -3\n", ExpositionError::Malformed);
        check("h_bucket{le=\"+Inf\"} NaN\n", ExpositionError::Malformed);
        check("h_bucket{le=\"+Inf\"}\n", ExpositionError::Malformed);
        check("h_bucket{le=\"+Inf\n", ExpositionError::Malformed);
        check("h_bucket{le=\"+Inf\"a=\"b\"} 3\n", ExpositionError::Malformed);
        check("h_bucket{\n", ExpositionError::Malformed);
        let uneven = "h_bucket{a=\"1\",le=\"1\"} 1\nh_bucket{a=\"1\",le=\"+Inf\"} 1\nh_bucket{a=\"2\",le=\"+Inf\"} 1\n";
        check(uneven, ExpositionError::Uneven);
    }

    #[test]
    fn names_are_those_of_metrics() {
        for good in ["a", "_a", "estehqaq_ledger_sync_seconds", "job:latency:5m"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "5m", "a-b", "a b", "a{", "é"] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
