//! The part of each request that is the same every time, up to the value of `Content-Length`.

use crate::keys::ApiKey;
use crate::vocabulary::Endpoint;

/// One key's heads.
pub(crate) struct Heads {
    general: Vec<u8>,
    personal: Vec<u8>,
}

impl Heads {
    /// The key goes to the general endpoint only.
    pub(crate) fn new(authority: &str, key: Option<&ApiKey>) -> Heads {
        let head = |endpoint: Endpoint, authorization: &str| {
            let path = endpoint.path();
            format!(
                "POST {path} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: loadgen/{version}\r\n{authorization}\
                 Content-Type: application/json\r\nContent-Length: ",
                version = env!("CARGO_PKG_VERSION"),
            )
            .into_bytes()
        };
        let authorization =
            key.map_or(String::new(), |key| format!("Authorization: Bearer {}\r\n", key.reveal()));
        Heads { general: head(Endpoint::General, &authorization), personal: head(Endpoint::Personal, "") }
    }

    /// Appends a whole request.
    pub(crate) fn write_request(&self, request: &mut Vec<u8>, endpoint: Endpoint, body: &[u8]) {
        request.extend_from_slice(match endpoint {
            Endpoint::General => &self.general,
            Endpoint::Personal => &self.personal,
        });
        // Formatting into a list of bytes cannot fail.
        let _ = std::io::Write::write_fmt(request, format_args!("{}\r\n\r\n", body.len()));
        request.extend_from_slice(body);
    }
}
