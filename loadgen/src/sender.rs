//! The one send loop. Each connection runs it: ask the schedule for a slot, send what is next in the order,
//! judge and count the answer, until the schedule has no more.
//!
//! All loops share one thread, so the shared state needs no locks; nothing borrowed from it is held while
//! waiting. Judging happens after the clock was read and is no part of any latency.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use crate::answer::judge;
use crate::keys::ApiKey;
use crate::link::{Link, LinkError};
use crate::order::Order;
use crate::schedule::Schedule;
use crate::tally::Counts;
use crate::targets::Targets;
use crate::vocabulary::Endpoint;

/// So that a server that refuses connections is not asked thousands of times a second, which would fill
/// the result with one error.
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);

/// What all send loops of a run have in common.
pub(crate) struct Shared {
    pub(crate) targets: Targets,
    pub(crate) schedule: RefCell<Box<dyn Schedule>>,
    pub(crate) order: RefCell<Order>,
    pub(crate) counts: RefCell<Counts>,
    pub(crate) timeout: Duration,
}

/// Sends until the schedule ends; gives the connection back.
pub(crate) async fn send_loop(shared: Rc<Shared>, mut link: Link, heads: RequestHeads) -> Link {
    let mut request = Vec::with_capacity(1024);
    loop {
        let now = Instant::now();
        let Some(slot) = shared.schedule.borrow_mut().next(now) else { return link };
        if slot.due > now {
            sleep_until(slot.due).await;
        }
        let inquiry = &shared.targets.inquiries[shared.order.borrow_mut().next()];
        heads.write_request(&mut request, inquiry.endpoint, shared.targets.body(inquiry));
        let result = link.exchange(&request, slot.due + shared.timeout).await;
        let latency = slot.due.elapsed();
        let unconnected = matches!(result, Err(LinkError::ConnectFailed));
        let result = result.map(|answer| judge(inquiry.endpoint, &inquiry.expected, answer));
        shared.counts.borrow_mut().add(slot.phase, inquiry, result, latency);
        if unconnected {
            sleep(RECONNECT_PAUSE).await;
        }
    }
}

/// The part of each request that is the same every time, up to the value of `Content-Length`.
pub(crate) struct RequestHeads {
    general: Vec<u8>,
    personal: Vec<u8>,
}

impl RequestHeads {
    /// Heads for a connection; the key goes to the general endpoint only.
    pub(crate) fn new(authority: &str, key: Option<&ApiKey>) -> RequestHeads {
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
        RequestHeads {
            general: head(Endpoint::General, &authorization),
            personal: head(Endpoint::Personal, ""),
        }
    }

    /// Replaces what is in `request`.
    fn write_request(&self, request: &mut Vec<u8>, endpoint: Endpoint, body: &[u8]) {
        request.clear();
        request.extend_from_slice(match endpoint {
            Endpoint::General => &self.general,
            Endpoint::Personal => &self.personal,
        });
        request.extend_from_slice(body.len().to_string().as_bytes());
        request.extend_from_slice(b"\r\n\r\n");
        request.extend_from_slice(body);
    }
}
