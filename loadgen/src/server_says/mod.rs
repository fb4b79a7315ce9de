//! What the server's own metrics say of the time of a run: histograms in the text form of Prometheus, looked at once
//! before the run and once after it, never meanwhile, and subtracted.
//!
//! They are the server's own words and no part of any verdict. A look is bounded in time and size; one that fails is told
//! in the result and ends nothing.

mod exposition;
mod fetch;

use crate::base_url::{BaseUrl, UrlError};
use crate::result::{ServerHistogram, ServerOver, ServerSays};
use crate::sender::Trust;
use exposition::Histogram;

/// More names than anybody reads.
const NAMES_MAX: usize = 16;

/// Where to look, and for which histograms.
#[derive(Debug, Clone)]
pub(crate) struct ServerMetrics {
    url: BaseUrl,
    /// With its query.
    path: String,
    names: Vec<String>,
}

/// Why nothing can be looked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerMetricsError {
    #[error("--server-metrics: {0}")]
    Url(#[from] UrlError),
    #[error("--server-metrics: the path holds what no path may; percent-encode it")]
    Path,
    #[error("--server-histogram {0}: no metric is called that; write a name such as ledger_sync_seconds")]
    Name(String),
    #[error("--server-histogram is given more than {NAMES_MAX} times; choose fewer")]
    TooMany,
}

/// What one look saw of each histogram, or why not.
#[derive(Debug)]
pub(crate) struct Look(Vec<Result<Histogram, String>>);

impl ServerMetrics {
    /// Reads `http://HOST[:PORT][/PATH]`; the path is `/metrics` when left out.
    pub(crate) fn new(url: &str, names: &[String]) -> Result<ServerMetrics, ServerMetricsError> {
        let authority = url.find("://").map_or(0, |at| at + 3);
        let end = url[authority..].find('/').map_or(url.len(), |at| authority + at);
        let path = match &url[end..] {
            "" | "/" => "/metrics",
            path => path,
        };
        let url = BaseUrl::parse(&url[..end])?;
        if !path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
            return Err(ServerMetricsError::Path);
        }
        if let Some(name) = names.iter().find(|name| !exposition::is_name(name)) {
            return Err(ServerMetricsError::Name(name.clone()));
        }
        if names.len() > NAMES_MAX {
            return Err(ServerMetricsError::TooMany);
        }
        Ok(ServerMetrics { url, path: path.to_owned(), names: names.to_vec() })
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.url.is_tls()
    }

    /// Asks once.
    pub(crate) fn look(&self, trust: &Trust) -> Look {
        let fetched = fetch::fetch(&self.url, &self.path, trust, fetch::TIME_MAX);
        let seen = |name: &String| match &fetched {
            Ok(text) => exposition::histogram(text, name).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        Look(self.names.iter().map(seen).collect())
    }

    /// What came between two looks.
    pub(crate) fn between(&self, before: Look, after: Look) -> ServerSays {
        let looks = before.0.into_iter().zip(after.0);
        let histograms =
            self.names.iter().zip(looks).map(|(name, (before, after))| difference(name, before, after));
        // A query may hold a token.
        let path = self.path.split('?').next().unwrap_or_default();
        ServerSays { url: format!("{}{path}", self.url.text()), histograms: histograms.collect() }
    }
}

fn difference(
    name: &str,
    before: Result<Histogram, String>,
    after: Result<Histogram, String>,
) -> ServerHistogram {
    let before = before.map_err(|error| format!("before the run: {error}"));
    let after = after.map_err(|error| format!("after the run: {error}"));
    let found = before.and_then(|before| after?.since(&before).map_err(|error| error.to_string()));
    let name = name.to_owned();
    match found {
        Err(failure) => ServerHistogram { name, count: None, over: Vec::new(), failure: Some(failure) },
        Ok(histogram) => {
            let count = histogram.count();
            let over =
                |(bound, at_most): (f64, u64)| ServerOver { bound, count: count.saturating_sub(at_most) };
            let over = histogram.bounds().map(over).collect();
            ServerHistogram { name, count: Some(count), over, failure: None }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(url: &str) -> Result<ServerMetrics, ServerMetricsError> {
        ServerMetrics::new(url, &["sync_seconds".to_owned()])
    }

    #[test]
    fn the_path_is_that_of_metrics_unless_another_is_given() {
        let check = |url: &str, told: &str| {
            let metrics = metrics(url).unwrap();
            assert_eq!(metrics.between(Look(Vec::new()), Look(Vec::new())).url, told);
        };
        check("http://127.0.0.1:8080", "http://127.0.0.1:8080/metrics");
        check("http://127.0.0.1:8080/", "http://127.0.0.1:8080/metrics");
        check("https://[::1]/a/b?token=secret", "https://[::1]:443/a/b");
        assert_eq!(metrics("https://[::1]/a?b=c").unwrap().path, "/a?b=c");
    }

    #[test]
    fn what_cannot_be_looked_at_is_refused() {
        let check = |url: &str, names: &[&str], words: &str| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let error = ServerMetrics::new(url, &names).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        };
        check("127.0.0.1:8080", &["a"], "--server-metrics: must begin with");
        check("http://a:b@127.0.0.1/metrics", &["a"], "must not hold a user name");
        check("http://127.0.0.1/a b", &["a"], "percent-encode");
        check("http://127.0.0.1/a\r\nX: y", &["a"], "percent-encode");
        check("http://127.0.0.1", &["a", "0a"], "--server-histogram 0a: no metric is called that");
        check("http://127.0.0.1", &["a{b=\"c\"}"], "no metric is called that");
        check("http://127.0.0.1", &["a"; 17], "more than 16 times");
    }

    fn look(buckets: &[(&str, u64)]) -> Result<Histogram, String> {
        let line = |(le, count): &(&str, u64)| format!("sync_seconds_bucket{{le=\"{le}\"}} {count}\n");
        exposition::histogram(&buckets.iter().map(line).collect::<String>(), "sync_seconds")
            .map_err(|error| error.to_string())
    }

    #[test]
    fn what_came_between_two_looks_is_told_by_how_much_was_over_each_bound() {
        let before = look(&[("0.005", 10), ("0.05", 12), ("+Inf", 12)]);
        let after = look(&[("0.005", 90), ("0.05", 110), ("+Inf", 113)]);
        let found = difference("sync_seconds", before, after);
        let over = [(0.005, 21), (0.05, 3)].map(|(bound, count)| ServerOver { bound, count });
        assert_eq!((found.count, found.over.as_slice(), found.failure), (Some(101), &over[..], None));
    }

    #[test]
    fn what_cannot_be_subtracted_is_told() {
        let check = |before: &[(&str, u64)], after: &[(&str, u64)], words: &str| {
            let found = difference("sync_seconds", look(before), look(after));
            let failure = found.failure.unwrap();
            assert!(found.count.is_none() && failure.contains(words), "{failure}");
        };
        let some: &[(&str, u64)] = &[("0.005", 10), ("+Inf", 12)];
        check(&[], some, "before the run: there is no histogram of this name");
        check(some, &[], "after the run: there is no histogram of this name");
        check(some, &[("0.005", 10), ("+Inf", 11)], "began again");
        check(some, &[("0.005", 9), ("+Inf", 20)], "began again");
        check(some, &[("0.01", 10), ("+Inf", 20)], "other buckets");
    }
}
