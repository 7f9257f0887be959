//! Sources of packets: what comes in from files.
//!
//! Out: batches of packets in capture order, each packet with a timestamp, a link type and its bytes in the
//! batch's arena. Nothing here looks inside a packet.

pub mod file;
mod packet;

pub use packet::{LinkType, Packet, PacketBatch};
