//! The service: providers and persons ask over HTTP, answers come from the serving generation, and each
//! leaves only after its ledger entry is on stable storage.
//!
//! Flow of an inquiry: `http` checks who asks and reads the body; `wire` parses it, `inquiry` turns it into
//! checked values; `served` gives the generation, `engine` decides, `ledger` commits; `answer` puts the entry
//! into JSON with the texts of `texts`. With an idempotency key, `idempotency` tells which entry is the first under it.
//! Beside it: `swap` brings the generation in that `CURRENT` names, `providers` and `provider_file` know the keys, `clock` the
//! time in Tehran, `serve` starts and stops all of it.
//!
//! What is absent is an invariant: no person ID or mobile number in a URL, a log line, a metric or an error.

mod admin_request;
mod answer;
pub mod cli;
mod clock;
mod desk_request;
mod edge;
mod http;
mod idempotency;
mod inquiry;
mod language;
mod listener;
mod log;
mod mapped_fault;
mod metrics;
mod provider_file;
mod providers;
mod serve;
mod served;
mod settings;
mod swap;
mod texts;
mod toml_error;
mod watch;
mod wire;

pub use edge::DescriptorsError;
pub use http::baseline;
pub use log::init as init_log;
pub use provider_file::{AddError, ApiKey, NewProvider, add_provider, add_provider_shown};
pub use providers::{Ownership, ProviderKind, ProvidersError, Scope};
pub use serve::{Parts, Running, ServeError, StopSignals, serve, start};
pub use settings::{AS_OF_AGE_DAYS_MAX, DRAIN_TIMEOUT_S_MAX, ServeSettings};

/// Today in Tehran; none when the machine's clock stands outside 1900-01-01..2079-06-05.
pub fn today_in_tehran() -> Option<engine::Day> {
    clock::Clock::new().now().map(clock::Moment::day)
}
