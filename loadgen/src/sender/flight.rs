//! A request's way over its connection: given to a lane, sent once that is open, answered or failed.

use std::sync::atomic::Ordering;

use crate::clock::us_up;
use crate::record::{LinkError, Opened, Outcome};
use crate::sender::Sender;
use crate::sender::connection::Phase;
use crate::sender::intake::Waiting;
use crate::sender::lanes::Flight;

impl Sender {
    /// Gives waiting requests to free connections, in the order in which they fell due.
    pub(super) fn dispatch(&mut self) {
        while self.intake.waiting() > 0 {
            let Some(lane) = self.lanes.take_free() else { return };
            let Some(request) = self.intake.next() else { return };
            self.launch(lane, request);
        }
    }

    fn launch(&mut self, index: usize, request: Waiting) {
        let deadline = request.slot.due_ns + self.shared.timeout_ns;
        let lane = self.lanes.occupy(index, request, deadline);
        let inquiry = self.shared.inquiry(request.pick);
        let heads = &self.shared.heads[request.pick.key.map_or(lane.key, |key| key as usize)];
        heads.write_request(lane.connection.outbox(), inquiry.endpoint, self.shared.targets.body(inquiry));
        let is_open = lane.connection.phase == Phase::Open;
        let now = self.now();
        if let Some(flight) = &mut self.lanes.at(index).flight {
            flight.request.leaves_client(now);
        }
        if is_open { self.send(index, now) } else { self.open(index, now) }
    }

    /// Opens the lane's connection; its request goes out once that is done.
    fn open(&mut self, index: usize, now: u64) {
        let lane = self.lanes.at(index);
        let begun = lane.connection.begin_connect(now, self.shared.tls.as_ref()).and_then(|()| {
            let stream = lane.connection.stream().ok_or(std::io::ErrorKind::NotConnected)?;
            self.poller.add(stream, index, lane.connection.incarnation)
        });
        if begun.is_err() {
            self.fail(index, LinkError::ConnectFailed);
        }
    }

    /// What the socket does not take at once waits for the server.
    fn send(&mut self, index: usize, now: u64) {
        let lane = self.lanes.at(index);
        if let Some(flight) = &mut lane.flight {
            flight.sent_ns = now;
        }
        lane.connection.carried += 1;
        if let Err(error) = lane.connection.flush() {
            self.fail(index, error);
        }
    }

    /// The poller has told that something happened on the lane's connection.
    pub(super) fn handle(&mut self, index: usize) {
        let lane = self.lanes.at(index);
        if let Phase::Connecting(_) | Phase::Shaking(..) = lane.connection.phase {
            self.go_on_opening(index);
            return;
        }
        if lane.flight.is_none() {
            if lane.connection.is_over() {
                lane.connection.close();
            }
            return;
        }
        if lane.connection.has_unwritten()
            && let Err(error) = lane.connection.flush()
        {
            return self.fail(index, error);
        }
        match lane.connection.receive() {
            Ok(None) => {}
            Ok(Some(head)) => self.answered(index, &head),
            Err(error) => self.fail(index, error),
        }
    }

    fn go_on_opening(&mut self, index: usize) {
        let now = self.now();
        let connection = &mut self.lanes.at(index).connection;
        if let Phase::Connecting(since) = connection.phase {
            match connection.is_connected() {
                Ok(false) => return,
                Ok(true) => connection.phase = Phase::Shaking(us_up(now - since), now),
                Err(_) => return self.fail(index, LinkError::ConnectFailed),
            }
        }
        let Phase::Shaking(tcp_us, since) = connection.phase else { return };
        match connection.shake() {
            Ok(None) => {}
            Ok(Some(handshake)) => {
                connection.phase = Phase::Open;
                let tls = handshake.map(|kind| (us_up(self.shared.clock.now_ns() - since), kind));
                self.report.opened(Opened { tcp_us, tls, is_reconnect: true });
                self.send(index, self.now());
            }
            Err(_) => self.fail(index, LinkError::TlsFailed),
        }
    }

    /// The lane's request failed and its connection with it.
    pub(super) fn fail(&mut self, index: usize, error: LinkError) {
        let now = self.now();
        let lane = self.lanes.at(index);
        lane.connection.close();
        let flight = lane.flight.take();
        if matches!(error, LinkError::ConnectFailed | LinkError::TlsFailed) {
            self.lanes.rest(index, now);
        } else {
            self.lanes.release(index);
        }
        if let Some(flight) = flight {
            self.end(&flight, Outcome::LinkError(error), now);
        }
    }

    /// Records how a request ended; after an error it is asked again, where the scenario's callers do so.
    pub(super) fn end(&mut self, flight: &Flight, outcome: Outcome, now: u64) {
        let endpoint = self.shared.inquiry(flight.request.pick).endpoint;
        self.report.ended(flight, endpoint, outcome, now);
        if let Some(retries) = self.shared.retries.filter(|_| outcome.is_error())
            && !self.shared.stop.load(Ordering::Relaxed)
        {
            self.intake.retry(&flight.request, retries, now);
        }
    }
}
