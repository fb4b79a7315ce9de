//! The same closed loop as `loadgen run`, written the usual way over tokio: one thread, a task for each connection,
//! each with one request in flight. It judges nothing and times nothing, so it is the faster for it.
//!
//! Usage: `tokio_client ADDR:PORT CONNECTIONS SECONDS BODY`; prints how many requests a second were answered.

use std::cell::Cell;
use std::error::Error;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::task::LocalSet;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, address, connections, seconds, body] = &args[..] else {
        return Err("usage: tokio_client ADDR:PORT CONNECTIONS SECONDS BODY".into());
    };
    let (connections, seconds): (usize, u64) = (connections.parse()?, seconds.parse()?);
    let request = format!(
        "POST /v1/inquiries HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer peer.none\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let begun = Instant::now();
    let until = begun + Duration::from_secs(seconds);
    let answered = Rc::new(Cell::new(0_u64));
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let tasks = LocalSet::new();
    for _ in 0..connections {
        let (address, request, answered) = (address.clone(), request.clone(), answered.clone());
        tasks.spawn_local(async move {
            if let Err(error) = ask_until(&address, request.as_bytes(), until, &answered).await {
                eprintln!("a connection ended: {error}");
            }
        });
    }
    runtime.block_on(tasks);
    println!("{:.0}", answered.get() as f64 / begun.elapsed().as_secs_f64());
    Ok(())
}

/// Asks over one connection, again as soon as the answer is whole.
async fn ask_until(
    address: &str,
    request: &[u8],
    until: Instant,
    answered: &Cell<u64>,
) -> Result<(), Box<dyn Error>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut inbox = vec![0; 16 << 10];
    while Instant::now() < until {
        stream.write_all(request).await?;
        let (mut filled, mut whole) = (0, None);
        while whole.is_none_or(|len| filled < len) {
            match stream.read(&mut inbox[filled..]).await? {
                0 => return Err("it was closed before the answer was whole".into()),
                count => filled += count,
            }
            whole = whole.or_else(|| answer_len(&inbox[..filled]));
        }
        answered.set(answered.get() + 1);
    }
    Ok(())
}

/// The length of head and body, once the head is there.
fn answer_len(bytes: &[u8]) -> Option<usize> {
    const LENGTH: &[u8] = b"content-length:";
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let field = bytes[..head].windows(LENGTH.len()).position(|window| window.eq_ignore_ascii_case(LENGTH))?;
    let value = &bytes[field + LENGTH.len()..head];
    let digits = value.iter().skip_while(|byte| **byte == b' ').take_while(|byte| byte.is_ascii_digit());
    Some(head + 4 + digits.fold(0, |len, digit| len * 10 + usize::from(digit - b'0')))
}
