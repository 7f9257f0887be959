//! Interfaces as sources of packets.
//!
//! In: names of interfaces. Out: batches of their packets in the order of time, or, when nothing comes, the time up
//! to which everything that was captured has been handed out.
//!
//! - One loop waits for all interfaces. The queue in front of it is the kernel's ring, which counts what it has no
//!   room for; nothing is lost here.
//! - Several interfaces are one source: the two cards of a tap each have one direction of a call. A packet is handed
//!   out when no other interface can still have an earlier one.
//! - An interface that goes down or disappears is waited for; the others go on.

mod devices;
mod error;
mod interface;
mod kernel_filter;
mod lanes;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketType, socket};

use super::Batch;
use crate::time::Timestamp;
pub use devices::{Device, DeviceState, Permission, list, permission};
pub use error::LiveError;
use interface::Interface;
pub use interface::InterfaceCounters;
pub use kernel_filter::{KernelFilter, Ports};
use lanes::{Lanes, Turn};

/// How often interfaces are looked at that give no packet.
const CHECK: Duration = Duration::from_millis(250);

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
    /// What the kernel is to let through: a [`KernelFilter`].
    pub filter: String,
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

    /// The clock that stamps packets.
    fn now(&self) -> Timestamp {
        now()
    }
}

/// All interfaces of a run.
pub struct Interfaces {
    interfaces: Vec<Interface>,
    lanes: Lanes,
    settings: Settings,
    /// How long after its capture a packet may still come.
    delay: Duration,
    /// A socket to ask about interfaces.
    probe: OwnedFd,
    /// Ends a wait when it is rung.
    bell: Option<Arc<OwnedFd>>,
    checked: Timestamp,
}

impl Interfaces {
    /// Opens every interface; where there are several, those that are down when they are up.
    ///
    /// # Errors
    /// When one does not exist or may not be captured on, or all are down.
    pub fn open(settings: Settings) -> Result<Self, LiveError> {
        let probe = socket(AddressFamily::INET, SocketType::DGRAM, None)
            .map_err(|error| LiveError::System { reason: io::Error::from(error).to_string() })?;
        let mut down = Vec::new();
        let mut open = |name: &String| match Interface::open(name, &settings, &probe) {
            Err(_) if devices::is_up(name) == Some(false) => {
                down.push(name.clone());
                Ok(Interface::waiting(name))
            }
            other => other,
        };
        let interfaces: Vec<Interface> =
            settings.interfaces.iter().map(&mut open).collect::<Result<_, _>>()?;
        if down.len() == interfaces.len() && !down.is_empty() {
            return Err(LiveError::Down { names: down });
        }
        for name in down {
            tracing::warn!("{name}: the interface is down; capture goes on when it is up");
        }
        let delay = if settings.immediate { AT_ONCE } else { 2 * settings.delay };
        Ok(Self {
            lanes: Lanes::new(interfaces.len(), delay),
            interfaces,
            settings,
            delay,
            probe,
            bell: None,
            checked: now(),
        })
    }

    /// No longer waits for a packet when `bell`, an eventfd(2), is rung.
    #[must_use]
    pub fn woken_by(self, bell: Option<Arc<OwnedFd>>) -> Self {
        Self { bell, ..self }
    }

    /// Waits for any interface to have something.
    fn wait(&mut self, wait: Duration) {
        let timeout = Timespec::try_from(wait).ok();
        let mut fds = Vec::with_capacity(self.interfaces.len());
        let mut places = Vec::with_capacity(self.interfaces.len());
        for (place, interface) in self.interfaces.iter().enumerate() {
            // What is held back already has nothing to wait for.
            if let Some(descriptor) = interface.descriptor().filter(|_| self.lanes.is_empty(place)) {
                fds.push(PollFd::from_borrowed_fd(descriptor, PollFlags::IN));
                places.push(place);
            }
        }
        fds.extend(self.bell.as_ref().map(|bell| PollFd::new(bell, PollFlags::IN)));
        // A signal that interrupts it is looked at by who called.
        let _ = poll(&mut fds, timeout.as_ref());
        let rang = fds.get(places.len()).is_some_and(|bell| !bell.revents().is_empty());
        if let Some(bell) = self.bell.as_ref().filter(|_| rang) {
            // It rings until it is read.
            let _ = rustix::io::read(bell, &mut [0; 8]);
        }
        let failed: Vec<usize> = fds
            .iter()
            .zip(places)
            .filter(|(fd, _)| fd.revents().intersects(PollFlags::ERR | PollFlags::HUP))
            .map(|(_, place)| place)
            .collect();
        for place in failed {
            if let Some(interface) = self.interfaces.get_mut(place) {
                interface.look_into();
            }
        }
    }

    fn check(&mut self) {
        let now = now();
        // The clock may have been set back.
        if now.since(self.checked) >= CHECK || now < self.checked {
            self.checked = now;
            self.interfaces.iter_mut().for_each(|interface| interface.check(&self.settings, &self.probe));
        }
    }

    /// What is there now.
    fn gather(&mut self, batch: &mut Batch, limit: usize) -> Option<Duration> {
        if let [interface] = self.interfaces.as_mut_slice() {
            interface.read(batch, limit);
            return None;
        }
        self.lanes.begin();
        while batch.packets().len() < limit {
            for (place, interface) in self.interfaces.iter_mut().enumerate() {
                if self.lanes.is_due(place) {
                    self.lanes.refill(place, now(), |batch| {
                        interface.read(batch, limit);
                        interface.is_up()
                    });
                }
            }
            match self.lanes.turn() {
                Turn::Take(place) => self.lanes.hand_out(place, batch),
                Turn::Hold(time) => return Some(time),
                Turn::Nothing => return None,
            }
        }
        None
    }
}

/// How far apart in time two interfaces may hand over their packets when each is handed over at once.
const AT_ONCE: Duration = Duration::from_micros(500);

impl LiveSource for Interfaces {
    fn read(&mut self, batch: &mut Batch, limit: usize, wait: Duration) -> Arrival {
        batch.clear();
        self.check();
        let mut held = self.gather(batch, limit);
        if batch.packets().is_empty() && !wait.is_zero() {
            self.wait(held.map_or(wait, |held| held.min(wait)));
        }
        // What is held back comes within twice the delay, whatever the caller wants to wait.
        let mut from = now();
        while batch.packets().is_empty() {
            from = now();
            held = self.gather(batch, limit);
            let Some(held) = held.filter(|_| batch.packets().is_empty()) else { break };
            self.wait(held);
        }
        if batch.packets().is_empty() { Arrival::Idle(before(from, self.delay)) } else { Arrival::Packets }
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
