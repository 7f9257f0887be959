//! One interface: its handle, its packets, its counts.

use std::os::fd::{AsFd, BorrowedFd};

use pcap::{Active, Capture, Linktype, Precision};

use super::{LiveError, Settings, devices};
use crate::capture::{Batch, LinkType, Packet};
use crate::time::Timestamp;

/// The pseudo-interface that stands for all.
pub(super) const ANY: &str = "any";

/// libpcap's number of raw IP on Linux; files have [`LinkType::RAW`].
const DLT_RAW: i32 = 12;

/// What the kernel told of one interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InterfaceCounters {
    /// Packets handed out.
    pub packets: u64,
    /// Packets for which the kernel's buffer had no room.
    pub kernel_drops: u64,
    /// Packets that the interface itself lost.
    pub interface_drops: u64,
}

/// An interface that is captured on.
pub(super) struct Interface {
    name: String,
    handle: Capture<Active>,
    link: LinkType,
    /// libpcap's counts when last asked: 32 bits that wrap.
    told: (u32, u32),
    counters: InterfaceCounters,
}

impl Interface {
    pub(super) fn open(name: &str, settings: &Settings) -> Result<Self, LiveError> {
        let handle = activate(name, settings)?;
        let link = match handle.get_datalink() {
            Linktype(DLT_RAW) => LinkType::RAW,
            Linktype(other) => LinkType(u16::try_from(other).unwrap_or(u16::MAX)),
        };
        let counters = InterfaceCounters::default();
        Ok(Self { name: name.to_owned(), handle, link, told: (0, 0), counters })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }

    /// Copies what is there into `batch`, at most `limit` packets.
    pub(super) fn read(&mut self, batch: &mut Batch, limit: usize) -> Result<usize, pcap::Error> {
        let link = self.link;
        let count = self.handle.dispatch(Some(limit.max(1)), |packet| {
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
        })?;
        self.counters.packets += count as u64;
        Ok(count)
    }

    /// Asks the kernel for its counts.
    pub(super) fn counters(&mut self) -> InterfaceCounters {
        if let Ok(stat) = self.handle.stats() {
            let (kernel, interface) = self.told;
            self.counters.kernel_drops += u64::from(stat.dropped.wrapping_sub(kernel));
            self.counters.interface_drops += u64::from(stat.if_dropped.wrapping_sub(interface));
            self.told = (stat.dropped, stat.if_dropped);
        }
        self.counters
    }
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
    if let Some(filter) = &settings.filter {
        handle.filter(filter, true).map_err(|error| LiveError::Filter {
            name: name.to_owned(),
            expression: filter.clone(),
            reason: devices::reason(&error),
        })?;
    }
    handle.setnonblock().map_err(refused)
}
