//! One interface: its handle, its packets, its counts, and whether it is there.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use pcap::{Active, Capture, Linktype, Precision};
use rustix::net::netdevice::name_to_index;
use rustix::net::sockopt::socket_error;

use super::{LiveError, Settings, devices, now};
use crate::capture::{Batch, LinkType, Packet};
use crate::time::Timestamp;

/// The pseudo-interface that stands for all.
pub(super) const ANY: &str = "any";

/// libpcap's number of raw IP on Linux; files have [`LinkType::RAW`].
const DLT_RAW: i32 = 12;

/// What was counted on one interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InterfaceCounters {
    /// Packets handed out.
    pub packets: u64,
    /// Packets for which the kernel's buffer had no room.
    pub kernel_drops: u64,
    /// Packets that the interface itself lost.
    pub interface_drops: u64,
    /// How often it went down or disappeared.
    pub outages: u64,
    /// It is down or gone: nothing is captured on it.
    pub is_down: bool,
}

/// Whether packets can come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Up,
    /// There, and switched off.
    Down,
    /// Not there any more.
    Gone,
}

/// An interface that is captured on.
pub(super) struct Interface {
    name: String,
    handle: Option<Capture<Active>>,
    link: LinkType,
    /// The system's number of it: one that was made anew has another. None for `any`.
    number: Option<u32>,
    state: State,
    /// Since when it is down.
    down_since: Timestamp,
    /// It is gone, and what it captured before is being read.
    leaving: bool,
    /// That it is back and may not be captured on was said.
    refused: bool,
    /// libpcap's counts when last asked: 32 bits that wrap.
    told: (u32, u32),
    counters: InterfaceCounters,
}

impl Interface {
    pub(super) fn open(name: &str, settings: &Settings, probe: &OwnedFd) -> Result<Self, LiveError> {
        let mut interface = Self::waiting(name);
        interface.activate(settings, probe)?;
        Ok(interface)
    }

    /// One that is not captured on yet, and is when it is up; why not is said by whoever asks for it.
    pub(super) fn waiting(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            handle: None,
            link: LinkType::default(),
            number: None,
            state: State::Gone,
            down_since: Timestamp::default(),
            leaving: false,
            refused: true,
            told: (0, 0),
            counters: InterfaceCounters::default(),
        }
    }

    fn activate(&mut self, settings: &Settings, probe: &OwnedFd) -> Result<(), LiveError> {
        let name = &self.name;
        // Before the handle: should it be made anew in between, the next look finds another number.
        let number = (name != ANY).then(|| name_to_index(probe, name).ok()).flatten();
        let handle = activate(name, settings)?;
        self.link = match handle.get_datalink() {
            Linktype(DLT_RAW) => LinkType::RAW,
            Linktype(other) => LinkType(u16::try_from(other).unwrap_or(u16::MAX)),
        };
        self.handle = Some(handle);
        self.number = number;
        self.told = (0, 0);
        (self.state, self.refused) = (State::Up, false);
        Ok(())
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What to wait on; none while it is gone.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.handle.as_ref().map(AsFd::as_fd)
    }

    /// Whether packets may be on their way.
    pub(super) fn is_up(&self) -> bool {
        self.state == State::Up
    }

    /// Copies what is there into `batch`, at most `limit` packets.
    pub(super) fn read(&mut self, batch: &mut Batch, limit: usize) -> usize {
        let link = self.link;
        let Some(handle) = &mut self.handle else { return 0 };
        let before = batch.packets().len();
        let result = handle.dispatch(Some(limit.max(1)), |packet| {
            let (header, frame) = (packet.header, packet.data);
            let about = Packet {
                // With nanosecond precision the field of microseconds holds nanoseconds.
                timestamp: Timestamp::new(
                    u64::try_from(header.ts.tv_sec).unwrap_or(0),
                    u32::try_from(header.ts.tv_usec).unwrap_or(0),
                ),
                original: header.len,
                link,
                nanosecond: true,
                ..Packet::default()
            };
            batch.push(about, frame);
        });
        let count = batch.packets().len() - before;
        self.counters.packets += count as u64;
        match result {
            Ok(_) if count == 0 && self.leaving => self.lose(),
            // What was captured before it went down is no sign of life.
            Ok(_) if self.state == State::Down && last(batch) > self.down_since && count > 0 => {
                self.came_up()
            }
            Ok(_) => {}
            Err(error) => {
                tracing::debug!("{}: {}", self.name(), devices::reason(&error));
                self.lose();
            }
        }
        count
    }

    /// The descriptor reports an error: the interface went down, with or without disappearing.
    pub(super) fn look_into(&mut self) {
        let Some(handle) = &self.handle else { return };
        if matches!(socket_error(handle), Ok(Err(_))) && self.state == State::Up {
            self.state = State::Down;
            self.down_since = now();
            self.counters.outages += 1;
            tracing::warn!("{}: the interface is down; capture goes on when it is up", self.name());
        }
    }

    /// Looks whether the interface is there, and opens it again when it came back.
    pub(super) fn check(&mut self, settings: &Settings, probe: &OwnedFd) {
        if self.name == ANY {
            return;
        }
        let number = name_to_index(probe, &self.name).ok();
        if self.handle.is_some() {
            if number.is_none() || number != self.number {
                // What is left in its ring is read first.
                self.leaving = true;
            } else if self.state == State::Down && devices::is_up(self.name()) == Some(true) {
                self.came_up();
            }
        } else if number.is_some() {
            self.reopen(settings, probe);
        }
    }

    fn came_up(&mut self) {
        self.state = State::Up;
        tracing::info!("{}: the interface is up again", self.name());
    }

    /// Lets go of the handle.
    fn lose(&mut self) {
        self.count();
        self.handle = None;
        self.leaving = false;
        if self.state == State::Up {
            self.counters.outages += 1;
        }
        self.state = State::Gone;
        tracing::warn!("{}: the interface is gone; capture goes on when it is back", self.name());
    }

    fn reopen(&mut self, settings: &Settings, probe: &OwnedFd) {
        match self.activate(settings, probe) {
            Ok(()) => {
                tracing::info!("{}: the interface is back; capturing again", self.name());
            }
            Err(error) if !self.refused => {
                self.refused = true;
                tracing::error!("the interface is back, but {error}");
            }
            Err(_) => {}
        }
    }

    /// Asks the kernel for its counts.
    fn count(&mut self) {
        if let Some(Ok(stat)) = self.handle.as_mut().map(Capture::stats) {
            let (kernel, interface) = self.told;
            self.counters.kernel_drops += u64::from(stat.dropped.wrapping_sub(kernel));
            self.counters.interface_drops += u64::from(stat.if_dropped.wrapping_sub(interface));
            self.told = (stat.dropped, stat.if_dropped);
        }
    }

    pub(super) fn counters(&mut self) -> InterfaceCounters {
        self.count();
        InterfaceCounters { is_down: !self.is_up(), ..self.counters }
    }
}

fn last(batch: &Batch) -> Timestamp {
    batch.packets().last().map(|packet| packet.timestamp).unwrap_or_default()
}

fn activate(name: &str, settings: &Settings) -> Result<Capture<Active>, LiveError> {
    let refused = |error: pcap::Error| devices::refusal(name, &error);
    let inactive = Capture::from_device(name)
        .map_err(refused)?
        // On `any` it does not exist, and asking for it is an error.
        .promisc(settings.promiscuous && name != ANY)
        .snaplen(settings.snaplen)
        .buffer_size(settings.buffer)
        .timeout(i32::try_from(settings.delay.as_millis()).unwrap_or(1).max(1))
        .immediate_mode(settings.immediate)
        .precision(Precision::Nano);
    let mut handle = inactive.open().map_err(refused)?;
    if name == ANY {
        // Cooked packets of the second kind name their interface; old kernels have only the first.
        let _ = handle.set_datalink(Linktype(i32::from(LinkType::LINUX_SLL2.0)));
    }
    handle.filter(&settings.filter, true).map_err(|error| LiveError::Filter {
        name: name.to_owned(),
        expression: settings.filter.clone(),
        reason: devices::reason(&error),
    })?;
    handle.setnonblock().map_err(refused)
}
