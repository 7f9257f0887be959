//! Media packets find their calls, and what they were like is counted.
//!
//! In: the endpoints that SDP announces, and every UDP datagram that is not SIP, in capture order. Out: which
//! calls a packet belongs to, and per stream what RFC 3550 says about it. A stream that nobody has announced
//! yet is followed all the same, for the SDP that is late. Absent on purpose: calls themselves, files, codecs.

mod backlog;
mod crowd;
mod endpoints;
mod flows;
mod formats;
mod hints;
mod recent;
pub mod rtp;
mod shared_loss;
mod sieve;
mod udptl;

pub use backlog::StoredPacket;
pub(crate) use endpoints::next_port;
pub use endpoints::{CallRef, EndpointId};
pub use flows::{
    AHEAD, CallMedia, Claim, Counters, Datagram, Effects, FaxReport, Finding, FlowHint, Limits, MediaTable,
    Owners, Payload, Sighting, Sought, Standing, Standings, Stranger, StreamReport,
};
