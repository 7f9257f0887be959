//! Interfaces as sources of packets.
//!
//! In: names of interfaces. Out: batches of their packets, or, when nothing comes, the time up to which everything
//! that was captured has been handed out. One loop waits for all interfaces; the queue in front of it is the
//! kernel's ring, which counts what it has no room for.

mod devices;
mod error;
mod interface;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Batch;
use crate::time::Timestamp;
pub use error::LiveError;
use interface::Interface;
pub use interface::InterfaceCounters;

/// How interfaces are captured on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Their names; `any` stands for all.
    pub interfaces: Vec<String>,
    /// Frames for other stations too.
    pub promiscuous: bool,
    /// Bytes kept of a packet.
    pub snaplen: i32,
    /// Bytes of the kernel's ring, for each interface.
    pub buffer: i32,
    /// How long the kernel may wait for a block of its ring to fill.
    pub delay: Duration,
    /// Hand out each packet at once.
    pub immediate: bool,
    /// What the kernel is to let through.
    pub filter: Option<String>,
}

/// What reading brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Packets are in the batch.
    Packets,
    /// There were none, and none captured before this time will come.
    Idle(Timestamp),
}

/// Packets as they come in.
pub trait LiveSource {
    /// Fills `batch` with at most `limit` packets, waiting at most `wait` for the first.
    fn read(&mut self, batch: &mut Batch, limit: usize, wait: Duration) -> Arrival;

    /// What was counted, by interface.
    fn counters(&mut self) -> Vec<(String, InterfaceCounters)>;
}

/// All interfaces of a run.
pub struct Interfaces {
    interfaces: Vec<Interface>,
    delay: Duration,
}

impl Interfaces {
    /// Opens every interface.
    ///
    /// # Errors
    /// When one does not exist or may not be captured on.
    pub fn open(settings: &Settings) -> Result<Self, LiveError> {
        let interfaces = settings
            .interfaces
            .iter()
            .map(|name| Interface::open(name, settings))
            .collect::<Result<_, _>>()?;
        Ok(Self { interfaces, delay: settings.delay })
    }

    /// Waits for any interface to have something.
    fn wait(&self, wait: Duration) {
        let mut fds: Vec<PollFd<'_>> = self
            .interfaces
            .iter()
            .map(|interface| PollFd::from_borrowed_fd(interface.descriptor(), PollFlags::IN))
            .collect();
        let timeout = Timespec::try_from(wait).ok();
        // A signal that interrupts it is looked at by who called.
        let _ = poll(&mut fds, timeout.as_ref());
    }

    fn gather(&mut self, batch: &mut Batch, limit: usize) -> usize {
        let mut count = 0;
        for interface in &mut self.interfaces {
            match interface.read(batch, limit - count) {
                Ok(read) => count += read,
                Err(error) => tracing::error!("{}: error: {}", interface.name(), devices::reason(&error)),
            }
            if count >= limit {
                break;
            }
        }
        count
    }
}

impl LiveSource for Interfaces {
    fn read(&mut self, batch: &mut Batch, limit: usize, wait: Duration) -> Arrival {
        batch.clear();
        if self.gather(batch, limit) == 0 && !wait.is_zero() {
            self.wait(wait);
            self.gather(batch, limit);
        }
        if batch.packets().is_empty() {
            Arrival::Idle(before(now(), 2 * self.delay))
        } else {
            Arrival::Packets
        }
    }

    fn counters(&mut self) -> Vec<(String, InterfaceCounters)> {
        let counted = |interface: &mut Interface| (interface.name().to_owned(), interface.counters());
        self.interfaces.iter_mut().map(counted).collect()
    }
}

/// The wall clock, which is what the kernel stamps packets with.
#[allow(
    clippy::disallowed_methods,
    reason = "an idle wire has no packet time; the kernel's stamps are wall time"
)]
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::new(since.as_secs(), since.subsec_nanos())
}

fn before(time: Timestamp, duration: Duration) -> Timestamp {
    Timestamp(time.0.saturating_sub(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
}
