//! What a stream was like for whoever listened to it.
//!
//! In: the header and the time of each RTP packet of a stream, RTCP packets, the codec's name. Out: loss, reordering,
//! jitter and clusters of loss as RFC 3550 and 3611 define them, what a playout buffer would have made of it, what
//! the far end says of it, and the rating of ITU-T G.107. A usual packet costs a cache line and no allocation. Absent
//! on purpose: whose a stream is, audio, and ratings for codecs that nobody has published figures for.

mod bursts;
mod codec;
mod control;
mod emodel;
mod events;
mod hole;
mod pauses;
mod playout;
mod rating;
pub mod rtcp;
mod stream;

pub use bursts::BurstFigures;
pub use codec::{Impairment, Unrated, impairment};
pub use control::{Control, Heard};
pub use emodel::{Band, Rating};
pub use events::{Events, MAX_KEYS, key_name};
pub use pauses::Pauses;
pub use playout::Playout;
pub use rating::{Quality, rate};
pub use stream::{Arrival, Figures, PayloadFormat, Role, Stream};
