//! One captured packet and a batch of them.

use crate::time::Timestamp;

/// A link type of <https://www.tcpdump.org/linktypes.html>, as written in capture files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LinkType(pub u16);

#[allow(missing_docs, reason = "the names are those of the registry")]
impl LinkType {
    pub const NULL: Self = Self(0);
    pub const ETHERNET: Self = Self(1);
    pub const PPP: Self = Self(9);
    /// What BSD and OpenBSD write for raw IP, in place of the registered [`LinkType::RAW`].
    pub const RAW_BSD: Self = Self(12);
    pub const RAW_OPENBSD: Self = Self(14);
    pub const PPP_HDLC: Self = Self(50);
    pub const PPP_ETHER: Self = Self(51);
    pub const RAW: Self = Self(101);
    pub const C_HDLC: Self = Self(104);
    pub const LOOP: Self = Self(108);
    pub const LINUX_SLL: Self = Self(113);
    pub const IPV4: Self = Self(228);
    pub const IPV6: Self = Self(229);
    pub const LINUX_SLL2: Self = Self(276);
}

impl std::fmt::Display for LinkType {
    /// Its number, and the name that libpcap has for it.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match pcap::Linktype(self.0.into()).get_name() {
            Ok(name) => write!(out, "{} ({name})", self.0),
            Err(_) => write!(out, "{}", self.0),
        }
    }
}

/// Where a packet's bytes lie in the arena of its batch, and what the capture says of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packet {
    /// When it was captured.
    pub timestamp: Timestamp,
    /// Where its bytes begin in the batch's arena.
    pub offset: u32,
    /// How many bytes were captured.
    pub captured: u32,
    /// How many bytes it had on the wire.
    pub original: u32,
    /// How its first header is to be read.
    pub link: LinkType,
    /// The stamp came with nanoseconds, not microseconds.
    pub nanosecond: bool,
}

/// Packets in capture order, and the bytes that they lie in.
#[derive(Clone, Copy, Debug, Default)]
pub struct PacketBatch<'a> {
    /// The packets' bytes, with gaps.
    pub arena: &'a [u8],
    /// The packets, in capture order.
    pub packets: &'a [Packet],
}

impl<'a> PacketBatch<'a> {
    /// Packets that lie in `arena`.
    #[must_use]
    pub fn new(arena: &'a [u8], packets: &'a [Packet]) -> Self {
        Self { arena, packets }
    }

    /// The captured bytes of `packet`; empty should it not lie in this arena.
    #[must_use]
    #[inline]
    pub fn frame(&self, packet: &Packet) -> &'a [u8] {
        let start = packet.offset as usize;
        self.arena.get(start..start.saturating_add(packet.captured as usize)).unwrap_or_default()
    }
}
