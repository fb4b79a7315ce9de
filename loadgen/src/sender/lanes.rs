//! The connections of one sender: which carry a request, which are free, which rest after a failure.

use std::collections::VecDeque;

use crate::sender::NEVER;
use crate::sender::connection::Connection;
use crate::sender::intake::Waiting;

/// So that a server that refuses connections is not asked thousands of times a second, which would fill
/// the result with one error.
const RECONNECT_PAUSE_NS: u64 = 100_000_000;

/// A request on a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flight {
    pub(super) request: Waiting,
    /// 0 until it is sent.
    pub(super) sent_ns: u64,
    number: u64,
    /// The first on its connection.
    pub(super) first: bool,
}

impl Flight {
    /// Of a request that never got a connection.
    pub(super) fn never(request: Waiting) -> Flight {
        Flight { request, sent_ns: 0, number: 0, first: false }
    }
}

/// A connection and the request that it carries or is being opened for.
pub(super) struct Lane {
    pub(super) connection: Connection,
    pub(super) flight: Option<Flight>,
    pub(super) key: usize,
}

/// All lanes of a sender.
pub(super) struct Lanes {
    lanes: Vec<Lane>,
    free: VecDeque<usize>,
    /// Lanes that could not connect, and when they may try again.
    resting: VecDeque<(u64, usize)>,
    /// When requests under way time out: (time, lane, number of the flight).
    deadlines: VecDeque<(u64, usize, u64)>,
    flights: u64,
}

impl Lanes {
    pub(super) fn new(connections: Vec<(Connection, usize)>) -> Lanes {
        let lane = |(connection, key)| Lane { connection, flight: None, key };
        Lanes {
            free: (0..connections.len()).collect(),
            lanes: connections.into_iter().map(lane).collect(),
            resting: VecDeque::new(),
            deadlines: VecDeque::new(),
            flights: 0,
        }
    }

    pub(super) fn at(&mut self, index: usize) -> &mut Lane {
        &mut self.lanes[index]
    }

    pub(super) fn free(&self) -> usize {
        self.free.len()
    }

    /// No deadline is left, so nothing is under way.
    pub(super) fn are_idle(&self) -> bool {
        self.deadlines.is_empty()
    }

    /// The lane that has been free longest.
    pub(super) fn take_free(&mut self) -> Option<usize> {
        self.free.pop_front()
    }

    /// Gives a lane its request, which ends by the deadline at the latest.
    pub(super) fn occupy(&mut self, index: usize, request: Waiting, deadline_ns: u64) -> &mut Lane {
        self.flights += 1;
        self.deadlines.push_back((deadline_ns, index, self.flights));
        let lane = &mut self.lanes[index];
        let first = lane.connection.carried == 0;
        lane.flight = Some(Flight { request, sent_ns: 0, number: self.flights, first });
        lane
    }

    pub(super) fn release(&mut self, index: usize) {
        self.free.push_back(index);
    }

    /// Closes every connection that a request is under way on; these requests.
    pub(super) fn leave_all(&mut self) -> Vec<Flight> {
        let mut left = Vec::new();
        for (index, lane) in self.lanes.iter_mut().enumerate() {
            if let Some(flight) = lane.flight.take() {
                lane.connection.close();
                self.free.push_back(index);
                left.push(flight);
            }
        }
        left
    }

    pub(super) fn rest(&mut self, index: usize, now: u64) {
        self.resting.push_back((now + RECONNECT_PAUSE_NS, index));
    }

    /// Lets rested lanes back in.
    pub(super) fn wake_rested(&mut self, now: u64) {
        while let Some((_, index)) = self.resting.pop_front_if(|(at, _)| *at <= now) {
            self.free.push_back(index);
        }
    }

    /// A lane whose request has had its time; deadlines of requests that have ended are dropped on the way.
    pub(super) fn next_overdue(&mut self, now: u64) -> Option<usize> {
        while let Some(&(at, index, number)) = self.deadlines.front() {
            let runs = self.lanes[index].flight.is_some_and(|flight| flight.number == number);
            if runs && at > now {
                return None;
            }
            self.deadlines.pop_front();
            if runs {
                return Some(index);
            }
        }
        None
    }

    pub(super) fn next_event_ns(&self) -> u64 {
        let deadline = self.deadlines.front().map_or(NEVER, |(at, ..)| *at);
        self.resting.front().map_or(deadline, |(at, _)| deadline.min(*at))
    }
}
