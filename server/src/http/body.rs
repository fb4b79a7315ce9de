//! A request's body: the right type, small enough, and in time.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use actix_web::web::{Bytes, Payload};

use crate::texts::Code;

/// Bytes of a body at most (PRODUCT.md section 4).
const BODY_LEN_MAX: usize = 4096;

/// Reads a JSON body whole. It is read even if it is then refused for its type, or its sender for the key: an
/// unread body would cost the client its connection. One announced as too large is not read.
pub(crate) async fn read_json(
    request: &HttpRequest,
    payload: Payload,
    timeout: Duration,
) -> Result<Bytes, Code> {
    let body = read(request, payload, timeout).await;
    if is_plain_json(request) { body } else { Err(Code::UnsupportedMediaType) }
}

async fn read(request: &HttpRequest, payload: Payload, timeout: Duration) -> Result<Bytes, Code> {
    if announced_len(request).is_some_and(|len| len > BODY_LEN_MAX as u64) {
        return Err(Code::BodyTooLarge);
    }
    // The timer starts only when the body is not here yet.
    match tokio::time::timeout(timeout, payload.to_bytes_limited(BODY_LEN_MAX)).await {
        Ok(Ok(Ok(body))) => Ok(body),
        Ok(Ok(Err(_))) => Err(Code::MalformedJson), // Broken chunks, or the client is gone.
        Ok(Err(_)) => Err(Code::BodyTooLarge),
        Err(_) => Err(Code::RequestTimeout),
    }
}

/// `application/json`, parameters allowed, without a content coding.
fn is_plain_json(request: &HttpRequest) -> bool {
    let headers = request.headers();
    let essence =
        headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).and_then(|v| v.split(';').next());
    let json = essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"));
    let coding = headers.get(CONTENT_ENCODING);
    json && coding.is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

fn announced_len(request: &HttpRequest) -> Option<u64> {
    request.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
