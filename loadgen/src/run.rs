//! One run: finds the server, opens the connections, starts a send loop on each, waits for them all.
//!
//! A single thread does everything. Connections are opened before the clock starts.

use std::cell::RefCell;
use std::io::{self, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::rc::Rc;
use std::time::SystemTime;

use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, interval_at};

use crate::base_url::BaseUrl;
use crate::config::RunConfig;
use crate::host::main_thread_busy_ns;
use crate::keys::ApiKey;
use crate::link::Link;
use crate::order::Order;
use crate::progress::Progress;
use crate::report::{Measured, Report};
use crate::schedule::ClosedLoop;
use crate::sender::{RequestHeads, Shared, send_loop};
use crate::tally::Counts;
use crate::targets::Targets;
use crate::tracking::SeenCodes;

/// Why a run could not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error("cannot start the event loop: {0}; is the limit of open files too low?")]
    Runtime(#[source] io::Error),
    #[error("cannot find the host of --url: {0}; check the name")]
    Resolve(#[source] io::Error),
    #[error("cannot open connection {number} of {wanted} to {authority}: {source}; {}", advice(*number))]
    Connect { number: usize, wanted: usize, authority: String, source: io::Error },
}

fn advice(number: usize) -> &'static str {
    if number == 1 {
        "is the server running there?"
    } else {
        "ask for fewer --connections, or raise the limits of open files and of the server's connections"
    }
}

/// Carries the run out to its end and reports. Progress goes to `notes`.
pub(crate) fn run(
    config: RunConfig,
    keys: Vec<ApiKey>,
    targets: Targets,
    notes: &mut dyn Write,
) -> Result<Report, RunError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(RunError::Runtime)?;
    LocalSet::new().block_on(&runtime, drive(config, keys, targets, notes))
}

async fn drive(
    config: RunConfig,
    keys: Vec<ApiKey>,
    targets: Targets,
    notes: &mut dyn Write,
) -> Result<Report, RunError> {
    let links = open_links(&config).await?;
    let count = u32::try_from(targets.inquiries.len()).expect("bodies of at least 2 bytes fill 4 GiB first");
    let seen = SeenCodes::new(config.tracking_codes_max, config.requests_max);
    let order = Order::new(count, config.seed);
    let started_at = SystemTime::now();
    let (start, busy_before) = (Instant::now(), main_thread_busy_ns());
    let schedule = ClosedLoop::new(start, config.warmup, config.duration, config.requests_max);
    let shared = Rc::new(Shared {
        targets,
        schedule: RefCell::new(Box::new(schedule)),
        order: RefCell::new(order),
        counts: RefCell::new(Counts::new(seen)),
        timeout: config.timeout,
    });
    let mut loops = JoinSet::new();
    for (index, link) in links.into_iter().enumerate() {
        let key = if keys.is_empty() { None } else { Some(&keys[index % keys.len()]) };
        let heads = RequestHeads::new(&config.url.authority(), key);
        loops.spawn_local(send_loop(Rc::clone(&shared), link, heads));
    }
    let progress = Progress::new(&config, notes);
    let reconnects = wait_for_all(&mut loops, progress, start, &shared.counts).await;
    let wall = start.elapsed();
    let busy_ns = main_thread_busy_ns().zip(busy_before).map(|(after, before)| after.saturating_sub(before));
    let shared = Rc::into_inner(shared).expect("every send loop has ended");
    let measured = Measured { started_at, wall, busy_ns, reconnects };
    Ok(Report::new(&config, shared, measured))
}

/// Waits for the send loops while telling how far they are; the sum of their reconnects.
async fn wait_for_all(
    loops: &mut JoinSet<Link>,
    mut progress: Progress<'_>,
    start: Instant,
    counts: &RefCell<Counts>,
) -> u64 {
    let mut ticks = interval_at(start + progress.every(), progress.every());
    let mut reconnects = 0;
    loop {
        tokio::select! {
            ended = loops.join_next() => match ended {
                Some(link) => reconnects += link.expect("a send loop does not panic").reconnects(),
                None => return reconnects,
            },
            _ = ticks.tick() => progress.tell(start.elapsed(), &counts.borrow()),
        }
    }
}

async fn open_links(config: &RunConfig) -> Result<Vec<Link>, RunError> {
    let addresses = resolve(&config.url)?;
    let failed = |number, source| RunError::Connect {
        number,
        wanted: config.connections,
        authority: config.url.authority(),
        source,
    };
    let mut links: Vec<Link> = Vec::with_capacity(config.connections);
    // The first address that takes a connection takes them all: `localhost` may be ::1 or 127.0.0.1.
    let mut refused = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let mut address = None;
    for candidate in addresses {
        match Link::open(candidate, Instant::now() + config.timeout).await {
            Ok(link) => {
                links.push(link);
                address = Some(candidate);
                break;
            }
            Err(error) => refused = error,
        }
    }
    let Some(address) = address else { return Err(failed(1, refused)) };
    for number in 2..=config.connections {
        let link = Link::open(address, Instant::now() + config.timeout).await;
        links.push(link.map_err(|error| failed(number, error))?);
    }
    Ok(links)
}

fn resolve(url: &BaseUrl) -> Result<Vec<SocketAddr>, RunError> {
    Ok(url.host_and_port().to_socket_addrs().map_err(RunError::Resolve)?.collect())
}
