//! HTTP/1 responses as servers and balancers write them, parsed from bytes: status, where the body ends, whether the
//! connection stays. Interim responses before the answer are passed over. Pure; `sender::connection` does the reading.

use httparse::{EMPTY_HEADER, Response, Status, parse_chunk_size};

/// More than any answer of the service; a longer one is not read on.
pub(crate) const HEAD_BYTES_MAX: usize = 16 * 1024;
/// The same for bodies of answers, which are some 600 bytes.
pub(crate) const BODY_BYTES_MAX: usize = 64 * 1024;
const HEADERS_MAX: usize = 64;

/// Why bytes are not a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeadError {
    Malformed,
    TooLarge,
}

/// What the client needs of a response head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    /// Bytes up to the body: the head with its empty line, and interim responses before it.
    pub(crate) head_len: usize,
    pub(crate) body: BodyEnd,
    pub(crate) keep_alive: bool,
}

/// How the end of a body is told (RFC 9112 section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyEnd {
    Length(usize),
    Chunked,
    /// It ends with the connection.
    Close,
}

/// Reads a head from the beginning of `bytes`; `None` when it is not complete yet.
pub(crate) fn parse_head(bytes: &[u8]) -> Result<Option<Head>, HeadError> {
    let mut start = 0;
    loop {
        let mut headers = [EMPTY_HEADER; HEADERS_MAX];
        let mut response = Response::new(&mut headers);
        let len = match response.parse(&bytes[start..]).map_err(|_| HeadError::Malformed)? {
            Status::Complete(len) => len,
            Status::Partial if bytes.len() > HEAD_BYTES_MAX => return Err(HeadError::TooLarge),
            Status::Partial => return Ok(None),
        };
        start += len;
        match response.code {
            // 101 would change the protocol, which nobody asked for.
            Some(100 | 102..=199) => {}
            Some(status @ 200..=599) => return framed(&response, status, start).map(Some),
            _ => return Err(HeadError::Malformed),
        }
    }
}

fn framed(response: &Response<'_, '_>, status: u16, head_len: usize) -> Result<Head, HeadError> {
    let mut keep_alive = response.version == Some(1);
    let (mut length, mut chunked) = (None, false);
    for header in response.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            let value = content_length(header.value)?;
            if length.is_some_and(|earlier| earlier != value) {
                return Err(HeadError::Malformed);
            }
            length = Some(value);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            chunked = has_token(header.value, b"chunked");
        } else if header.name.eq_ignore_ascii_case("connection") {
            keep_alive = keep_alive && !has_token(header.value, b"close");
        }
    }
    let body = match length {
        _ if status == 204 || status == 304 => BodyEnd::Length(0),
        _ if chunked => BodyEnd::Chunked,
        Some(len) => BodyEnd::Length(len),
        None => BodyEnd::Close,
    };
    Ok(Head { status, head_len, body, keep_alive: keep_alive && body != BodyEnd::Close })
}

/// The body of a message in chunks, and how many bytes it took; `None` when more must come.
pub(crate) fn unchunked(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, HeadError> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        // httparse takes a line without digits for a size of zero.
        if bytes.get(at).is_some_and(|byte| !byte.is_ascii_hexdigit()) {
            return Err(HeadError::Malformed);
        }
        let (line_len, size) = match parse_chunk_size(&bytes[at..]).map_err(|_| HeadError::Malformed)? {
            Status::Complete((len, size)) => (len, size),
            Status::Partial => return Ok(None),
        };
        at += line_len;
        if size == 0 {
            return Ok(trailers_len(&bytes[at..])?.map(|len| (body, at + len)));
        }
        let size = usize::try_from(size).map_err(|_| HeadError::TooLarge)?;
        let Some(chunk) = at.checked_add(size).and_then(|end| bytes.get(at..end)) else { return Ok(None) };
        match bytes.get(at + size..at + size + 2) {
            Some(b"\r\n") => {}
            Some(_) => return Err(HeadError::Malformed),
            None => return Ok(None),
        }
        body.extend_from_slice(chunk);
        at += size + 2;
    }
}

/// Bytes of the trailers behind the last chunk, with the empty line.
fn trailers_len(bytes: &[u8]) -> Result<Option<usize>, HeadError> {
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    match httparse::parse_headers(bytes, &mut headers).map_err(|_| HeadError::Malformed)? {
        Status::Complete((len, _)) => Ok(Some(len)),
        Status::Partial => Ok(None),
    }
}

fn content_length(value: &[u8]) -> Result<usize, HeadError> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(HeadError::Malformed);
    }
    let add = |number: usize, digit: &u8| number.saturating_mul(10).saturating_add(usize::from(digit - b'0'));
    Ok(value.iter().fold(0, add))
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
        let head = Head { status: 201, head_len: text.len() - 5, body: BodyEnd::Length(5), keep_alive: true };
        assert_eq!(parse_head(text), Ok(Some(head)));
        for cut in 0..head.head_len {
            assert_eq!(parse_head(&text[..cut]), Ok(None), "cut at {cut}");
        }
        let interim =
            [b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n", &text[..]]
                .concat();
        let behind = Head { head_len: interim.len() - 5, ..head };
        assert_eq!(parse_head(&interim), Ok(Some(behind)));
        assert_eq!(parse_head(&interim[..60]), Ok(None), "the answer is still to come");
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
        check("HTTP/1.1 200 OK\r\n\r\n", false);
    }

    #[test]
    fn the_end_of_a_body_is_told_in_three_ways() {
        let check =
            |text: &str, end| assert_eq!(parse_head(text.as_bytes()).unwrap().unwrap().body, end, "{text}");
        check("HTTP/1.1 503 Busy\r\n\r\n", BodyEnd::Close);
        check(
            "HTTP/1.1 502 Bad\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
            BodyEnd::Chunked,
        );
        check("HTTP/1.1 304 Same\r\nContent-Length: 9\r\n\r\n", BodyEnd::Length(0));
    }

    #[test]
    fn chunks_are_put_together_once_they_are_there() {
        let bytes = b"4\r\nWiki\r\n5;x=y\r\npedia\r\n0\r\nTrailer: x\r\n\r\nHTTP/1.1";
        let whole = bytes.len() - 8;
        assert_eq!(unchunked(bytes), Ok(Some((b"Wikipedia".to_vec(), whole))));
        for cut in 0..whole {
            assert_eq!(unchunked(&bytes[..cut]), Ok(None), "cut at {cut}");
        }
        for malformed in ["x\r\n", "4\r\nWikiX\r\n", "4\r\nWiki\r\n\r\n"] {
            assert_eq!(unchunked(malformed.as_bytes()), Err(HeadError::Malformed), "{malformed:?}");
        }
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        let check = |text: &str, error| assert_eq!(parse_head(text.as_bytes()), Err(error), "{text}");
        check("HTTP/2 200 OK\r\nContent-Length: 0\r\n\r\n", HeadError::Malformed);
        check("HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n", HeadError::Malformed);
        check("HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n", HeadError::Malformed);
        check("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n", HeadError::Malformed);
        check("HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n", HeadError::Malformed);
        check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", HeadError::Malformed);
        check("HTTP/1.1 200 OK\r\nno colon\r\n\r\n", HeadError::Malformed);
        check(&format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(HEAD_BYTES_MAX)), HeadError::TooLarge);
    }
}
