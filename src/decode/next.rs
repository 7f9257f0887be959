//! Which layer comes next, and the numbers by which layers name their successors.

use super::cursor::Cursor;
use super::{DecodeError, Decoded, Fault, Layer, Transport};
use super::{
    erspan, ethernet, extension, geneve, gre, gtpu, icmp, ipv4, ipv6, mpls, ppp, sctp, tcp, tzsp, udp, vxlan,
};

/// Headers in one frame, tunnels included. Sixteen are more than any network stacks up; a frame of nothing but
/// VLAN tags or of IP in IP must not cost more than an ordinary one.
pub const MAX_LAYERS: u8 = 16;

/// The layer that the cursor stands at.
#[derive(Clone, Copy, Debug)]
pub(super) enum Next {
    Ethernet,
    Vlan,
    Llc,
    Pppoe,
    Ppp,
    Mpls,
    Ipv4,
    Ipv6,
    /// An IPv6 extension header that only has to be stepped over.
    Extension,
    FragmentHeader,
    Authentication,
    Gre,
    Erspan2,
    Erspan3,
    Vxlan,
    VxlanWithProtocol,
    Geneve,
    Gtpu,
    Tzsp,
    Udp,
    Tcp,
    Sctp,
    Icmp4,
    Icmp6,
    /// A protocol that is not looked into.
    Other(u8),
    /// Not IP.
    Foreign,
    /// Nothing comes next.
    Done(Decoded),
}

/// Reads layer after layer until there is something to tell.
pub(super) fn walk(cursor: &mut Cursor<'_>, mut next: Next) -> Result<Decoded, DecodeError> {
    loop {
        match next {
            Next::Done(decoded) => return Ok(decoded),
            Next::Foreign => return Ok(Decoded::NonIp),
            Next::Other(protocol) => return Ok(cursor.unit(Transport::Other(protocol), 0, 0)),
            _ if cursor.depth >= MAX_LAYERS => {
                return Err(DecodeError { layer: next.layer(), fault: Fault::TooDeep });
            }
            _ => {
                cursor.depth += 1;
                next = next.read(cursor)?;
            }
        }
    }
}

impl Next {
    /// Reads that layer and tells the one behind it.
    pub(super) fn read(self, cursor: &mut Cursor<'_>) -> Result<Self, DecodeError> {
        match self {
            Self::Ethernet => ethernet::ethernet(cursor),
            Self::Vlan => ethernet::vlan(cursor),
            Self::Llc => ethernet::llc(cursor),
            Self::Pppoe => ppp::pppoe(cursor),
            Self::Ppp => ppp::ppp(cursor),
            Self::Mpls => mpls::label(cursor),
            Self::Ipv4 => ipv4::ipv4(cursor),
            Self::Ipv6 => ipv6::ipv6(cursor),
            Self::Extension => extension::skip(cursor),
            Self::FragmentHeader => extension::fragment(cursor),
            Self::Authentication => extension::authentication(cursor),
            Self::Gre => gre::gre(cursor),
            Self::Erspan2 => erspan::type_two(cursor),
            Self::Erspan3 => erspan::type_three(cursor),
            Self::Vxlan => vxlan::vxlan(cursor),
            Self::VxlanWithProtocol => vxlan::vxlan_with_protocol(cursor),
            Self::Geneve => geneve::geneve(cursor),
            Self::Gtpu => gtpu::gtpu(cursor),
            Self::Tzsp => tzsp::tzsp(cursor),
            Self::Udp => udp::udp(cursor),
            Self::Tcp => tcp::tcp(cursor),
            Self::Sctp => sctp::header(cursor),
            Self::Icmp4 => icmp::icmp4(cursor),
            Self::Icmp6 => icmp::icmp6(cursor),
            Self::Other(_) | Self::Foreign | Self::Done(_) => Ok(self),
        }
    }

    /// The layer as counters name it.
    const fn layer(self) -> Layer {
        match self {
            Self::Ethernet | Self::Llc | Self::Foreign | Self::Done(_) => Layer::Link,
            Self::Vlan => Layer::Vlan,
            Self::Pppoe => Layer::Pppoe,
            Self::Ppp => Layer::Ppp,
            Self::Mpls => Layer::Mpls,
            Self::Ipv4 | Self::Authentication | Self::Other(_) => Layer::Ipv4,
            Self::Ipv6 | Self::Extension | Self::FragmentHeader => Layer::Ipv6,
            Self::Gre => Layer::Gre,
            Self::Erspan2 | Self::Erspan3 => Layer::Erspan,
            Self::Vxlan | Self::VxlanWithProtocol => Layer::Vxlan,
            Self::Geneve => Layer::Geneve,
            Self::Gtpu => Layer::Gtpu,
            Self::Tzsp => Layer::Tzsp,
            Self::Udp => Layer::Udp,
            Self::Tcp => Layer::Tcp,
            Self::Sctp => Layer::Sctp,
            Self::Icmp4 | Self::Icmp6 => Layer::Icmp,
        }
    }

    /// By EtherType (IANA "IEEE 802 Numbers").
    #[inline]
    pub(super) const fn ether_type(number: u16) -> Self {
        match number {
            0x0800 => Self::Ipv4,
            0x86dd => Self::Ipv6,
            // 802.1Q, 802.1ad, and what QinQ used before 802.1ad gave it a number.
            0x8100 | 0x88a8 | 0x9100 => Self::Vlan,
            0x8847 | 0x8848 => Self::Mpls,
            0x8864 => Self::Pppoe,
            0x880b => Self::Ppp,
            0x6558 => Self::Ethernet,
            _ => Self::Foreign,
        }
    }

    /// By IP protocol number. IPv6 extension headers are numbers of the same registry (IANA "Protocol Numbers"),
    /// so that this serves both versions, and the payload of a datagram put together from fragments.
    #[inline]
    pub(super) const fn protocol(number: u8) -> Self {
        match number {
            1 => Self::Icmp4,
            4 => Self::Ipv4,
            6 => Self::Tcp,
            17 => Self::Udp,
            // Hop-by-hop, routing, destination options (RFC 8200 4), mobility, HIP, Shim6: one layout.
            0 | 43 | 60 | 135 | 139 | 140 => Self::Extension,
            41 => Self::Ipv6,
            44 => Self::FragmentHeader,
            47 => Self::Gre,
            51 => Self::Authentication,
            58 => Self::Icmp6,
            132 => Self::Sctp,
            137 => Self::Mpls,
            other => Self::Other(other),
        }
    }

    /// By the version nibble, where no header names the payload.
    #[inline]
    pub(super) fn version(cursor: &Cursor<'_>) -> Option<Self> {
        match cursor.peek::<1>()?[0] >> 4 {
            4 => Some(Self::Ipv4),
            6 => Some(Self::Ipv6),
            _ => None,
        }
    }
}
