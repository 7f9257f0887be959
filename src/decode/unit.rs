//! What decoding a frame can yield.

use crate::flow::{Address, Endpoint};

/// What a frame holds, down to its innermost transport header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// A whole transport payload.
    Unit(Unit),
    /// A fragment of an IP datagram; its payload has to wait for the others.
    Fragment(Fragment),
    /// Not IP: ARP, LLDP, spanning tree.
    NonIp,
}

/// One transport payload and who sent it to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit {
    /// The sender.
    pub source: Endpoint,
    /// The receiver.
    pub destination: Endpoint,
    /// What carried it.
    pub transport: Transport,
    /// Offset of the payload in the decoded buffer.
    pub start: u32,
    /// Length of the payload that is there.
    pub length: u32,
    /// Payload bytes that the headers announce and the capture cut off.
    pub missing: u32,
    /// Offset of the innermost IP header in the decoded buffer.
    pub network: u32,
    /// The packet came out of a tunnel.
    pub tunnelled: bool,
}

/// The transport of a [`Unit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// RFC 768.
    Udp,
    /// RFC 9293.
    Tcp(TcpHeader),
    /// RFC 9260; the payload is everything after the common header: chunks.
    Sctp {
        /// Verification tag: what the receiver knows the association by.
        tag: u32,
    },
    /// A message out of a HEP packet; the payload is the message, the addresses are those inside HEP.
    Hep {
        /// IP protocol number that carried the message before HEP did; 22 stands for TLS.
        protocol: u8,
    },
    /// ICMP or ICMPv6; the payload is what follows the quoted UDP or TCP header (empty when none is quoted).
    Icmp {
        /// Why a UDP datagram could not be delivered: the unit's sender and receiver are the datagram's then.
        unreachable: Option<Unreachable>,
    },
    /// Any other IP protocol, by number; no ports.
    Other(u8),
}

/// Why a datagram could not be delivered: codes of Destination Unreachable (RFC 792, RFC 1812 5.2.7.1, RFC 4443 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreachable {
    /// No route to its network.
    Network,
    /// Its host does not answer.
    Host,
    /// Nothing listens at its port.
    Port,
    /// A filter does not let it through.
    Prohibited,
}

impl Unreachable {
    /// In words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Network => "network unreachable",
            Self::Host => "host unreachable",
            Self::Port => "port unreachable",
            Self::Prohibited => "administratively prohibited",
        }
    }
}

/// What reassembly needs of a TCP header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpHeader {
    /// Sequence number of the first payload byte (of the SYN when that is set).
    pub sequence: u32,
    /// Acknowledgement number; meaningful with [`TcpFlags::ack`].
    pub acknowledgement: u32,
    /// The flags.
    pub flags: TcpFlags,
}

/// The low eight flag bits of a TCP header (RFC 9293 3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// No more data from the sender.
    #[must_use]
    pub const fn fin(self) -> bool {
        self.0 & 0x01 != 0
    }

    /// A connection begins.
    #[must_use]
    pub const fn syn(self) -> bool {
        self.0 & 0x02 != 0
    }

    /// The connection is reset.
    #[must_use]
    pub const fn rst(self) -> bool {
        self.0 & 0x04 != 0
    }

    /// SYN, FIN or RST.
    #[must_use]
    #[inline]
    pub const fn opens_or_ends(self) -> bool {
        self.0 & 0x07 != 0
    }

    /// The acknowledgement number counts.
    #[must_use]
    pub const fn ack(self) -> bool {
        self.0 & 0x10 != 0
    }
}

/// One fragment of an IP datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// The sender.
    pub source: Address,
    /// The receiver.
    pub destination: Address,
    /// Identification: 16 bits in IPv4, 32 in IPv6.
    pub identification: u32,
    /// Protocol of the whole datagram's payload (IPv6: the next header after the fragment header).
    pub protocol: u8,
    /// Where this piece lies in the datagram's payload, in bytes.
    pub offset: u32,
    /// More pieces follow it.
    pub more: bool,
    /// Offset of the piece in the decoded buffer.
    pub start: u32,
    /// Length of the piece that is there.
    pub length: u32,
    /// Bytes that the header announces and the capture cut off (of a whole datagram: off its end).
    pub missing: u32,
    /// Offset of the IP header that carries it in the decoded buffer.
    pub network: u32,
    /// Layers already decoded, so that the cap holds across reassembly.
    pub depth: u8,
    /// The fragment came out of a tunnel.
    pub tunnelled: bool,
}

/// A layer of a frame, as counters name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names are those of the protocols")]
pub enum Layer {
    Link,
    Vlan,
    Pppoe,
    Ppp,
    Mpls,
    Ipv4,
    Ipv6,
    Gre,
    Erspan,
    Vxlan,
    Geneve,
    Gtpu,
    Tzsp,
    Hep,
    Udp,
    Tcp,
    Sctp,
    Icmp,
}

/// What was wrong with a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// The frame ends inside the header.
    Truncated,
    /// A length field contradicts the header or the bytes around it.
    BadLength,
    /// A version or type field that the layer does not have.
    BadVersion,
    /// More nested layers than the cap.
    TooDeep,
    /// A link type that this program does not decode.
    UnknownLink,
}

/// A frame that could not be decoded: which layer, and why. Displays as `ipv4.bad_length`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
#[error("{}", self.name())]
pub struct DecodeError {
    /// The layer that was wrong.
    pub layer: Layer,
    /// What was wrong.
    pub fault: Fault,
}

/// The name of every fault of every layer, in the order of the enums.
macro_rules! names {
    ($($layer:literal)*) => {
        [$([
            concat!($layer, ".truncated"),
            concat!($layer, ".bad_length"),
            concat!($layer, ".bad_version"),
            concat!($layer, ".too_deep"),
            concat!($layer, ".unknown_link"),
        ]),*]
    };
}

static NAMES: [[&str; FAULTS]; LAYERS] = names!(
    "link" "vlan" "pppoe" "ppp" "mpls" "ipv4" "ipv6" "gre" "erspan" "vxlan" "geneve" "gtpu" "tzsp" "hep" "udp"
    "tcp" "sctp" "icmp"
);

const LAYERS: usize = Layer::Icmp as usize + 1;
const FAULTS: usize = Fault::UnknownLink as usize + 1;

impl DecodeError {
    /// Number of different errors: the length of an array that [`DecodeError::index`] indexes.
    pub const COUNT: usize = LAYERS * FAULTS;

    /// A number below [`DecodeError::COUNT`], for an array of counters.
    #[must_use]
    #[inline]
    pub const fn index(self) -> usize {
        self.layer as usize * FAULTS + self.fault as usize
    }

    /// The name that counters and logs use: `ipv4.bad_length`.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::names().nth(self.index()).unwrap_or_default()
    }

    /// Every name, in the order of [`DecodeError::index`].
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().flatten().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_named_by_layer_and_fault() {
        let error = DecodeError { layer: Layer::Ipv4, fault: Fault::BadLength };
        assert_eq!(error.to_string(), "ipv4.bad_length");
        let last = DecodeError { layer: Layer::Icmp, fault: Fault::UnknownLink };
        assert_eq!((last.index(), last.name()), (DecodeError::COUNT - 1, "icmp.unknown_link"));
        assert_eq!(DecodeError { layer: Layer::Gtpu, fault: Fault::TooDeep }.name(), "gtpu.too_deep");
    }
}
