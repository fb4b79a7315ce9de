//! Arguments made sense of: after `RunConfig::check` nothing about the settings needs checking again.
//!
//! No file is read and no name looked up here; messages never repeat what was given as a URL, which
//! may hold a password.

use std::time::Duration;

use crate::base_url::{BaseUrl, UrlError};
use crate::cli::{EndpointArg, RunArgs};
use crate::vocabulary::Endpoint;

/// Arguments that contradict each other or say nothing usable.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("--url: {0}")]
    Url(#[from] UrlError),
    #[error("--endpoint {0} needs a key: put one `id.secret` a line into a file and name it with --key-file")]
    KeyFileNeeded(&'static str),
    #[error("--key-file would be ignored: --endpoint personal sends no key; leave one of the two out")]
    KeyFileUnused,
}

/// The checked settings of one run.
#[derive(Debug)]
pub(crate) struct RunConfig {
    pub(crate) url: BaseUrl,
    /// The endpoints asked, in the order in which results name them.
    pub(crate) endpoints: &'static [Endpoint],
    pub(crate) connections: usize,
    pub(crate) duration: Duration,
    pub(crate) requests_max: u64,
    pub(crate) warmup: Duration,
    pub(crate) timeout: Duration,
    pub(crate) seed: u64,
    pub(crate) tracking_codes_max: usize,
}

impl RunConfig {
    /// Checks what clap's ranges cannot.
    pub(crate) fn check(args: &RunArgs) -> Result<RunConfig, ConfigError> {
        let endpoints: &'static [Endpoint] = match args.endpoint {
            EndpointArg::General => &[Endpoint::General],
            EndpointArg::Personal => &[Endpoint::Personal],
            EndpointArg::Mixed => &[Endpoint::General, Endpoint::Personal],
        };
        match (args.endpoint, &args.key_file) {
            (EndpointArg::General, None) => return Err(ConfigError::KeyFileNeeded("general")),
            (EndpointArg::Mixed, None) => return Err(ConfigError::KeyFileNeeded("mixed")),
            (EndpointArg::Personal, Some(_)) => return Err(ConfigError::KeyFileUnused),
            _ => {}
        }
        Ok(RunConfig {
            url: BaseUrl::parse(&args.url)?,
            endpoints,
            connections: args.connections as usize,
            duration: Duration::from_secs(args.duration_s.into()),
            requests_max: args.requests_max,
            warmup: Duration::from_secs(args.warmup_s.into()),
            timeout: Duration::from_millis(args.timeout_ms.into()),
            seed: args.seed,
            tracking_codes_max: args.tracking_codes_max as usize,
        })
    }

    /// `general`, `personal` or `mixed`, as on the command line.
    pub(crate) fn endpoint_name(&self) -> &'static str {
        match self.endpoints {
            [only] => only.code(),
            _ => "mixed",
        }
    }
}
