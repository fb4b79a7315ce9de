//! What `loadgen run` does, written the usual way over tokio, to hold its own loops against: one thread, a task for each
//! connection with one request in flight. It judges nothing, so it is the faster for it.
//!
//! Usage: `tokio_client closed ADDR:PORT CONNECTIONS SECONDS BODY` prints how many requests a second were answered;
//! `tokio_client open ADDR:PORT CONNECTIONS SECONDS BODY RATE SEED` sends at the times of a schedule, and prints
//! percentiles of lateness and latency.

mod connection;
mod open;

use std::cell::Cell;
use std::error::Error;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::runtime::Builder;
use tokio::task::LocalSet;

use connection::Connection;

const USAGE: &str = "usage: tokio_client closed|open ADDR:PORT CONNECTIONS SECONDS BODY [RATE SEED]";

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match &args[1..] {
        ["closed", address, connections, seconds, body] => {
            closed(address, connections.parse()?, seconds.parse()?, &request(address, body))
        }
        ["open", address, connections, seconds, body, rate, seed] => {
            let schedule = open::Schedule::new(rate.parse()?, seconds.parse()?, seed.parse()?);
            open::run(address, connections.parse()?, schedule, request(address, body))
        }
        _ => Err(USAGE.into()),
    }
}

fn request(address: &str, body: &str) -> String {
    format!(
        "POST /v1/inquiries HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer peer.none\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Each connection asks again as soon as the answer is whole.
fn closed(address: &str, connections: usize, seconds: u64, request: &str) -> Result<(), Box<dyn Error>> {
    let begun = Instant::now();
    let until = begun + Duration::from_secs(seconds);
    let answered = Rc::new(Cell::new(0_u64));
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let tasks = LocalSet::new();
    for _ in 0..connections {
        let (address, request, answered) = (address.to_owned(), request.to_owned(), answered.clone());
        tasks.spawn_local(async move {
            let asked = async {
                let mut connection = Connection::open(&address).await?;
                while Instant::now() < until {
                    connection.ask(request.as_bytes()).await?;
                    answered.set(answered.get() + 1);
                }
                Ok::<(), Box<dyn Error>>(())
            };
            if let Err(error) = asked.await {
                eprintln!("a connection ended: {error}");
            }
        });
    }
    runtime.block_on(tasks);
    println!("{:.0}", answered.get() as f64 / begun.elapsed().as_secs_f64());
    Ok(())
}
