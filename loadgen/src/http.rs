//! The head of an HTTP/1.1 response, parsed from bytes: status, length, whether the connection stays.
//!
//! Pure; `link` does the reading. It takes only what the service is meant to send: a body with
//! `Content-Length`. Chunked bodies are refused by name rather than half supported.

/// More than any answer of the service; a longer one is not read on.
pub(crate) const HEAD_BYTES_MAX: usize = 16 * 1024;
/// The same for bodies, which are some 600 bytes.
pub(crate) const BODY_BYTES_MAX: usize = 64 * 1024;

/// Why bytes are not a response that this client takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeadError {
    Malformed,
    Chunked,
    TooLarge,
}

/// What the client needs of a response head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    /// Bytes of the head with its empty line; the body begins there.
    pub(crate) head_len: usize,
    pub(crate) body_len: usize,
    pub(crate) keep_alive: bool,
}

/// Reads a head from the beginning of `bytes`; `None` when it is not complete yet.
pub(crate) fn parse_head(bytes: &[u8]) -> Result<Option<Head>, HeadError> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return if bytes.len() > HEAD_BYTES_MAX { Err(HeadError::TooLarge) } else { Ok(None) };
    };
    let mut lines = bytes[..end].split(|byte| *byte == b'\n').map(|line| line.trim_ascii_end());
    let (status, mut keep_alive) = status_line(lines.next().unwrap_or_default())?;
    let mut length = None;
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':').ok_or(HeadError::Malformed)?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            let value = content_length(value)?;
            if length.is_some_and(|earlier| earlier != value) {
                return Err(HeadError::Malformed);
            }
            length = Some(value);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            return Err(HeadError::Chunked);
        } else if name.eq_ignore_ascii_case(b"connection") {
            keep_alive = keep_alive && !has_token(value, b"close");
        }
    }
    let body_len = length.or(if status == 204 { Some(0) } else { None }).ok_or(HeadError::Malformed)?;
    Ok(Some(Head { status, head_len: end + 4, body_len, keep_alive }))
}

/// The status, and whether this version keeps connections unless told otherwise. Interim responses (1xx)
/// are malformed here: the client asks for none.
pub(crate) fn status_line(line: &[u8]) -> Result<(u16, bool), HeadError> {
    let keep_alive = line.starts_with(b"HTTP/1.1 ");
    if !keep_alive && !line.starts_with(b"HTTP/1.0 ") {
        return Err(HeadError::Malformed);
    }
    let code = &line[9..];
    let alone = code.len() == 3 || code.get(3) == Some(&b' ');
    if code.len() < 3 || !alone || !code[..3].iter().all(u8::is_ascii_digit) {
        return Err(HeadError::Malformed);
    }
    let status = code[..3].iter().fold(0, |number, digit| number * 10 + u16::from(digit - b'0'));
    if (200..600).contains(&status) { Ok((status, keep_alive)) } else { Err(HeadError::Malformed) }
}

fn content_length(value: &[u8]) -> Result<usize, HeadError> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(HeadError::Malformed);
    }
    let number = value
        .iter()
        .fold(0_usize, |number, digit| number.saturating_mul(10).saturating_add(usize::from(digit - b'0')));
    if number > BODY_BYTES_MAX { Err(HeadError::TooLarge) } else { Ok(number) }
}

fn has_token(list: &[u8], token: &[u8]) -> bool {
    list.split(|byte| *byte == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_and_incomplete_ones_waited_for() {
        let text = b"HTTP/1.1 201 Created\r\ncontent-length: 5\r\nX: y\r\n\r\nhello";
        let head = Head { status: 201, head_len: text.len() - 5, body_len: 5, keep_alive: true };
        assert_eq!(parse_head(text), Ok(Some(head)));
        for cut in 0..head.head_len {
            assert_eq!(parse_head(&text[..cut]), Ok(None), "cut at {cut}");
        }
    }

    #[test]
    fn the_connection_is_kept_only_where_both_sides_may() {
        let check = |text: &str, keep: bool| {
            assert_eq!(parse_head(text.as_bytes()).unwrap().unwrap().keep_alive, keep, "{text}");
        };
        check("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true);
        check("HTTP/1.1 204\r\n\r\n", true);
        check("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: foo, Close\r\n\r\n", false);
        check("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", false);
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        let check = |text: &str, error| assert_eq!(parse_head(text.as_bytes()), Err(error), "{text}");
        check("HTTP/2 200 OK\r\nContent-Length: 0\r\n\r\n", HeadError::Malformed);
        check("HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n", HeadError::Malformed);
        check("HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n", HeadError::Malformed);
        check("HTTP/1.1 100 Continue\r\n\r\n", HeadError::Malformed);
        check("HTTP/1.1 200 OK\r\n\r\n", HeadError::Malformed);
        check("HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n", HeadError::Malformed);
        check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", HeadError::Malformed);
        check("HTTP/1.1 200 OK\r\nno colon\r\n\r\n", HeadError::Malformed);
        check("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", HeadError::Chunked);
        check("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n", HeadError::TooLarge);
        check(&"x".repeat(HEAD_BYTES_MAX + 1), HeadError::TooLarge);
    }
}
