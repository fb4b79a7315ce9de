//! Requests that fall due at once, with a free connection for each: what their writing takes is the client's own.

use crate::base_url::BaseUrl;
use crate::live::LiveFeed;
use crate::null_server::NullServer;
use crate::result::RunResult;
use crate::run::{Setup, run};
use crate::scenario::Scenario;

/// Two seconds with bursts of 300 over 600 connections.
fn bursts() -> RunResult {
    let text = "arrivals = \"bursts\"\nburst_size = 300\nconnections = 600\n[[stage]]\nkind = \"constant\"\n\
                rate_per_s = 1500\nduration_s = 2\n";
    let setup = Setup::made_up(1, 1);
    let server = NullServer::start().unwrap();
    let scenario = Scenario::parse("bursts", text).unwrap();
    run(&setup, &scenario, &BaseUrl::of(server.address), &LiveFeed::default()).unwrap()
}

#[test]
fn the_time_in_which_a_burst_is_written_is_the_clients_lateness() {
    let result = bursts();
    let [gap, late] = [&result.total.gap_us, &result.lateness_us].map(|times| {
        assert!(times.histogram().len() > 1_000, "{:?}", times.summary());
        times.histogram().value_at_quantile(0.5)
    });
    assert!(late * 10 >= gap * 9, "sent {gap} µs after they were due, of which only {late} µs are told");
}
