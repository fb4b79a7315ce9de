//! Reads a request's head just far enough to know where the request ends and whether actix-http will take it.
//!
//! Every check here is one that actix-http makes as well: a head that passes cannot fail there, so a malformed one
//! gets its problem document here, where the library would answer with an empty body. The tests hold both together.

use std::mem::MaybeUninit;

use actix_web::http::Uri;
use bytes::{BufMut, BytesMut};
use httparse::{Header, Request, Status};

use super::body::Body;
use super::connection::Fault;

/// Bytes of a head at most. Common balancers stop at 8 KiB for a line and 32 KiB in all.
pub(super) const HEAD_LEN_MAX: usize = 16 << 10;
/// Header lines at most, as in actix-http.
const HEADERS_MAX: usize = 96;
/// A path of these bytes alone is a URI, and need not be parsed to know that.
const PLAIN_PATH: &[u8] = b"/-._~%?=&";

/// What the bytes at the beginning of a request are.
pub(super) enum Head {
    /// The beginning of a head that is not all there.
    Partial,
    /// Not a head that can be answered.
    Faulty(Fault),
    /// A whole head.
    Whole(WholeHead),
}

/// A head that is all there.
pub(super) struct WholeHead {
    /// Bytes up to the body.
    pub(super) len: usize,
    /// How long the body is.
    pub(super) body: Body,
    /// The client offers another protocol, which is ignored (RFC 9110 section 7.8).
    pub(super) offers_upgrade: bool,
}

/// Reads the head at the beginning of `bytes`.
pub(super) fn read_head(bytes: &[u8]) -> Head {
    let mut headers = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut request = Request::new(&mut []);
    match request.parse_with_uninit_headers(bytes, &mut headers) {
        Ok(Status::Complete(len)) if len > HEAD_LEN_MAX => Head::Faulty(Fault::HeadTooLarge),
        Ok(Status::Complete(len)) => check(&request, len).map_or(Head::Faulty(Fault::Malformed), Head::Whole),
        Ok(Status::Partial) if bytes.len() > HEAD_LEN_MAX => Head::Faulty(Fault::HeadTooLarge),
        Ok(Status::Partial) => Head::Partial,
        Err(httparse::Error::TooManyHeaders) => Head::Faulty(Fault::HeadTooLarge),
        Err(_) => Head::Faulty(Fault::Malformed),
    }
}

/// The headers that say how a request is framed and what becomes of its connection.
#[derive(Default)]
struct Framing {
    hosts: usize,
    content_length: Option<u64>,
    is_chunked: bool,
    offers_upgrade: bool,
}

impl Framing {
    /// Takes one header line; none where it contradicts itself or an earlier one.
    fn take(&mut self, header: &Header<'_>) -> Option<()> {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        match header.name.len() {
            4 if is("host") => self.hosts += 1,
            7 if is("upgrade") => self.offers_upgrade = true,
            10 if is("connection") => self.offers_upgrade |= options(header.value).any(is_upgrade_option),
            14 if is("content-length") && self.content_length.is_none() => {
                let digits = text(header.value)?;
                self.content_length =
                    Some(digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())??);
            }
            14 if is("content-length") => return None,
            17 if is("transfer-encoding") && !self.is_chunked => {
                self.is_chunked = text(header.value)?.eq_ignore_ascii_case("chunked");
                return self.is_chunked.then_some(());
            }
            17 if is("transfer-encoding") => return None,
            _ => {}
        }
        Some(())
    }
}

/// Checks what the parser does not; none for a head that is malformed.
fn check(request: &Request<'_, '_>, len: usize) -> Option<WholeHead> {
    let mut framing = Framing::default();
    request.headers.iter().try_for_each(|header| framing.take(header))?;
    let (method, is_1_1) = (request.method?, request.version? == 1);
    let hosts_fit = framing.hosts == 1 || (framing.hosts == 0 && !is_1_1);
    let one_length = !(framing.is_chunked && (framing.content_length.is_some() || !is_1_1));
    // A body without a length would go on to the end of the connection.
    let has_length = is_1_1 || method != "POST" || framing.content_length.is_some();
    let fits = hosts_fit && one_length && has_length && method != "CONNECT" && is_uri(request.path?);
    let body = match framing.content_length {
        _ if framing.is_chunked => Body::chunked(),
        len => Body::of_len(len.unwrap_or(0)),
    };
    fits.then_some(WholeHead { len, body, offers_upgrade: framing.offers_upgrade })
}

fn text(value: &[u8]) -> Option<&str> {
    str::from_utf8(value).ok().filter(|text| text.is_ascii()).map(str::trim).filter(|text| !text.is_empty())
}

fn is_uri(path: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || PLAIN_PATH.contains(&byte);
    (path.starts_with('/') && path.bytes().all(is_plain)) || Uri::try_from(path).is_ok()
}

/// The options of a `Connection` header.
fn options(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii)
}

fn is_upgrade_option(option: &[u8]) -> bool {
    [&b"upgrade"[..], b"http2-settings"].iter().any(|name| option.eq_ignore_ascii_case(name))
}

/// The same head without the offer of another protocol. `head` is one that [`read_head`] found whole.
pub(super) fn without_upgrade(head: &[u8]) -> BytesMut {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = Request::new(&mut headers);
    let mut kept = BytesMut::with_capacity(head.len());
    if let (Ok(Status::Complete(_)), Some(method), Some(path), Some(minor)) =
        (request.parse(head), request.method, request.path, request.version)
    {
        kept.put_slice(format!("{method} {path} HTTP/1.{minor}\r\n").as_bytes());
        request.headers.iter().for_each(|header| put_kept(header, &mut kept));
        kept.put_slice(b"\r\n");
    }
    kept
}

fn put_kept(header: &Header<'_>, kept: &mut BytesMut) {
    let mut put = |name: &str, value: &[u8]| {
        [name.as_bytes(), b": ", value, b"\r\n"].iter().for_each(|part| kept.put_slice(part));
    };
    match header.name.to_ascii_lowercase().as_str() {
        "upgrade" | "http2-settings" => {}
        "connection" => options(header.value)
            .filter(|option| !is_upgrade_option(option))
            .for_each(|option| put("connection", option)),
        _ => put(header.name, header.value),
    }
}

#[cfg(test)]
mod tests {
    use actix_http::h1::Codec;
    use proptest::prelude::*;
    use proptest::test_runner::TestRunner;
    use tokio_util::codec::Decoder;

    use super::{BytesMut, Fault, HEAD_LEN_MAX, HEADERS_MAX, Head, read_head, without_upgrade};

    fn whole_len(bytes: &[u8]) -> Option<usize> {
        match read_head(bytes) {
            Head::Whole(head) => Some(head.len),
            Head::Partial | Head::Faulty(_) => None,
        }
    }

    fn fault(bytes: &[u8]) -> Option<Fault> {
        match read_head(bytes) {
            Head::Faulty(fault) => Some(fault),
            Head::Partial | Head::Whole(_) => None,
        }
    }

    #[test]
    fn a_head_is_whole_with_its_empty_line_and_not_before() {
        let head = b"POST /v1/inquiries HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n";
        for cut in 0..head.len() {
            assert!(matches!(read_head(&head[..cut]), Head::Partial), "{cut} bytes");
        }
        assert_eq!(whole_len(&[&head[..], b"{}"].concat()), Some(head.len()));
    }

    #[test]
    fn large_heads_are_told_from_malformed_ones() {
        let long = |len: usize| format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}", "y".repeat(len));
        assert_eq!(fault(long(HEAD_LEN_MAX).as_bytes()), Some(Fault::HeadTooLarge));
        assert_eq!(fault(format!("{}\r\n\r\n", long(HEAD_LEN_MAX)).as_bytes()), Some(Fault::HeadTooLarge));
        let many = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "X: y\r\n".repeat(HEADERS_MAX));
        assert_eq!(fault(many.as_bytes()), Some(Fault::HeadTooLarge));
        assert_eq!(fault(b"\x16\x03\x01 a handshake of TLS"), Some(Fault::Malformed));
        assert_eq!(fault(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Some(Fault::Malformed));
        assert_eq!(fault(b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n"), Some(Fault::Malformed));
    }

    #[test]
    fn an_offer_of_another_protocol_is_taken_out_and_nothing_else() {
        let kept = |head: &str| String::from_utf8(without_upgrade(head.as_bytes()).to_vec()).unwrap();
        let offer = "POST /a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
                     HTTP2-Settings: AAMAAABkAAQAAP__\r\nContent-Length: 2\r\n\r\n";
        assert_eq!(kept(offer), "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n");
        let closing = "GET / HTTP/1.0\r\nconnection: upgrade , close\r\n\r\n";
        assert_eq!(kept(closing), "GET / HTTP/1.0\r\nconnection: close\r\n\r\n");
    }

    fn header_line() -> impl Strategy<Value = String> {
        let name = prop_oneof![
            "(?i)host",
            "(?i)content-length",
            "(?i)transfer-encoding",
            "(?i)connection",
            "X-[a-z]{1,5}",
            "[ -~]{0,6}"
        ];
        let value = prop_oneof![
            "[0-9]{1,3}",
            "\\+?[0-9]{0,20}",
            "(?i)chunked",
            "identity",
            "chunked, chunked",
            "close",
            "[ -~]{0,8}",
            ""
        ];
        (name, value).prop_map(|(name, value)| format!("{name}: {value}\r\n"))
    }

    fn head() -> impl Strategy<Value = String> {
        let method = prop_oneof!["GET", "POST", "HEAD", "PUT", "[A-Z!-]{0,4}"];
        let path = prop_oneof!["/[a-z0-9/]{0,8}", "http://x/[a-z]{0,4}", "\\*", "[!-~]{0,8}"];
        let version = prop_oneof![Just("1.1"), Just("1.0"), Just("2.0")];
        let host = prop_oneof![Just("Host: x\r\n"), Just("")];
        let headers = prop::collection::vec(header_line(), 0..4);
        (method, path, version, host, headers).prop_map(|(method, path, version, host, headers)| {
            format!("{method} {path} HTTP/{version}\r\n{host}{}\r\n", headers.concat())
        })
    }

    /// The edge and actix-http must agree on each head: on one that only actix-http refuses, the client would get an
    /// empty answer; one that only the edge refuses would be refused for nothing.
    #[test]
    fn actix_http_takes_what_passes_and_refuses_what_does_not() {
        let judge_both = |head: String| {
            let theirs = Codec::default().decode(&mut BytesMut::from(head.as_bytes()));
            match read_head(head.as_bytes()) {
                Head::Whole(_) => prop_assert!(matches!(theirs, Ok(Some(_))), "{head:?}: {theirs:?}"),
                Head::Faulty(_) if head.starts_with("CONNECT ") => {}
                Head::Faulty(_) => prop_assert!(theirs.is_err(), "{head:?}: {theirs:?}"),
                Head::Partial => prop_assert!(matches!(theirs, Ok(None)), "{head:?}: {theirs:?}"),
            }
            Ok(())
        };
        let config = ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() };
        // actix-http's codec wants a runtime for its clock.
        actix_web::rt::System::new().block_on(async {
            TestRunner::new(config).run(&head(), judge_both).unwrap();
        });
    }
}
