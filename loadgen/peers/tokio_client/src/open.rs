//! The open loop over tokio: a task sleeps by tokio's timer until each request is due, notes how late it woke, and hands
//! the request to whichever connection is free.
//!
//! The schedule is loadgen's own, from the same seed: SplitMix64 and exponential gaps, written out once more. Lateness
//! is what loadgen calls so: from due to taken up by the client. Waiting for a free connection is not in it.

use std::cell::RefCell;
use std::error::Error;
use std::rc::Rc;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::{Mutex, mpsc};
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep_until};

use crate::connection::Connection;

/// Due times of Poisson arrivals.
pub(crate) struct Schedule {
    rate_per_s: f64,
    seconds: f64,
    state: u64,
    due_s: f64,
}

fn mix(number: u64) -> u64 {
    let mut z = number;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

impl Schedule {
    pub(crate) fn new(rate_per_s: f64, seconds: f64, seed: u64) -> Schedule {
        Schedule { rate_per_s, seconds, state: mix(seed ^ mix(STEP.wrapping_add(0x5CED))), due_s: 0.0 }
    }
}

impl Iterator for Schedule {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.state = self.state.wrapping_add(STEP);
        let unit = (mix(self.state) >> 11) as f64 / (1_u64 << 53) as f64;
        self.due_s += -(-unit).ln_1p() / self.rate_per_s;
        (self.due_s < self.seconds).then(|| Duration::from_secs_f64(self.due_s))
    }
}

/// What was measured, in nanoseconds.
#[derive(Default)]
struct Measured {
    lateness: Vec<u64>,
    latency: Vec<u64>,
}

pub(crate) fn run(
    address: &str,
    connections: usize,
    schedule: Schedule,
    request: String,
) -> Result<(), Box<dyn Error>> {
    let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
    let measured = Rc::new(RefCell::new(Measured::default()));
    LocalSet::new().block_on(&runtime, go(address, connections, schedule, request, Rc::clone(&measured)))?;
    let mut measured = measured.borrow_mut();
    println!("requests {}", measured.latency.len());
    for (name, mut values) in [
        ("lateness", std::mem::take(&mut measured.lateness)),
        ("latency", std::mem::take(&mut measured.latency)),
    ] {
        values.sort_unstable();
        let at = |part: f64| {
            let rank = (values.len() as f64 * part).ceil() as usize;
            values.get(rank.max(1) - 1).map_or(0, |ns| ns.div_ceil(1_000))
        };
        println!("{name} {} {} {} {}", at(0.5), at(0.99), at(0.999), at(1.0));
    }
    Ok(())
}

async fn go(
    address: &str,
    connections: usize,
    schedule: Schedule,
    request: String,
    measured: Rc<RefCell<Measured>>,
) -> Result<(), Box<dyn Error>> {
    let (to_connections, requests) = mpsc::unbounded_channel::<Instant>();
    let requests = Rc::new(Mutex::new(requests));
    let mut tasks = Vec::new();
    for _ in 0..connections {
        let mut connection = Connection::open(address).await?;
        let (requests, request, measured) = (Rc::clone(&requests), request.clone(), Rc::clone(&measured));
        tasks.push(tokio::task::spawn_local(async move {
            loop {
                let due = requests.lock().await.recv().await;
                let Some(due) = due else { return };
                if let Err(error) = connection.ask(request.as_bytes()).await {
                    return eprintln!("a connection ended: {error}");
                }
                let latency = due.elapsed().as_nanos() as u64;
                measured.borrow_mut().latency.push(latency);
            }
        }));
    }
    let start = Instant::now() + Duration::from_millis(20);
    for due in schedule {
        let due = start + due;
        if Instant::now() < due {
            sleep_until(due).await;
        }
        measured.borrow_mut().lateness.push(due.elapsed().as_nanos() as u64);
        to_connections.send(due)?;
    }
    drop(to_connections);
    for task in tasks {
        task.await?;
    }
    Ok(())
}
