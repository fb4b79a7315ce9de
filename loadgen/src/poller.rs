//! Waits for sockets, to the nanosecond: what epoll offers and tokio's timer, at a millisecond, does not.

use std::io;
use std::mem::MaybeUninit;

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::fd::{AsFd, OwnedFd};
use rustix::time::Timespec;

const EVENTS_MAX: usize = 256;

/// An epoll instance.
#[derive(Debug)]
pub(crate) struct Poller {
    epoll: OwnedFd,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Poller> {
        Ok(Poller { epoll: epoll::create(CreateFlags::CLOEXEC)? })
    }

    /// Watches a socket until it is closed. Edge-triggered: who is told must read until it is empty or until
    /// what was awaited is whole.
    pub(crate) fn add(&self, socket: &impl AsFd, index: usize, incarnation: u32) -> io::Result<()> {
        let data = EventData::new_u64((u64::from(incarnation) << 32) | index as u64);
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        Ok(epoll::add(&self.epoll, socket, data, flags)?)
    }

    /// Waits so long at most; replaces what is in `told` by the sockets that have something to say, each with
    /// its incarnation.
    pub(crate) fn wait(&self, timeout_ns: u64, told: &mut Vec<(usize, u32)>) {
        let timeout = Timespec {
            tv_sec: (timeout_ns / 1_000_000_000) as i64,
            tv_nsec: (timeout_ns % 1_000_000_000) as i64,
        };
        let mut room = [const { MaybeUninit::<Event>::uninit() }; EVENTS_MAX];
        told.clear();
        // An interrupted wait is an early one.
        if let Ok((events, _)) = epoll::wait(&self.epoll, &mut room, Some(&timeout)) {
            let data = events.iter().map(|event| event.data.u64());
            told.extend(data.map(|data| ((data & 0xFFFF_FFFF) as usize, (data >> 32) as u32)));
        }
    }
}
