//! One kept connection that carries one request at a time.

use std::error::Error;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) struct Connection {
    stream: TcpStream,
    inbox: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: &str) -> Result<Connection, Box<dyn Error>> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, inbox: vec![0; 16 << 10] })
    }

    /// Sends a request and reads its answer to the end.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> Result<(), Box<dyn Error>> {
        self.stream.write_all(request).await?;
        let (mut filled, mut whole) = (0, None);
        while whole.is_none_or(|len| filled < len) {
            match self.stream.read(&mut self.inbox[filled..]).await? {
                0 => return Err("it was closed before the answer was whole".into()),
                count => filled += count,
            }
            whole = whole.or_else(|| answer_len(&self.inbox[..filled]));
        }
        Ok(())
    }
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
