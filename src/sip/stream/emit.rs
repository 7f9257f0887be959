//! Writes what is found into [`Messages`].

use std::collections::VecDeque;

use crate::pipeline::Bytes;
use crate::reassembly::{Context, Space};
use crate::sip::stream::partial::take_shares;
use crate::sip::{Carriage, FrameHeader, Head, Message, Messages, Share, SipTransport, certain, sdp};
use crate::time::Timestamp;

/// Where messages go, and who caused them.
pub(super) struct Emitter<'a> {
    pub(super) context: &'a Context,
    pub(super) output: &'a mut Messages,
}

/// Where bytes come from.
pub(super) enum Origin<'a> {
    /// Out of one captured segment.
    Segment {
        /// Where the bytes lie, if they are still in the batch.
        place: Option<Bytes>,
        /// When it was captured.
        captured: Timestamp,
    },
    /// Out of a buffer that several segments have filled.
    Buffer(&'a mut VecDeque<Share>),
}

/// A message to be written down.
pub(super) struct Found<'a> {
    pub(super) message: &'a [u8],
    /// Its head, not closed yet, if it was read already. It is too large to be moved for nothing.
    pub(super) head: Option<&'a mut Head>,
    /// Where it lies, if it need not be copied.
    pub(super) place: Option<Bytes>,
    /// The shares that were noted for it.
    pub(super) shares: (u32, u32),
    pub(super) transport: SipTransport,
    /// Bytes behind it that were not captured, not all of them if there are too many; 0 when it is whole.
    pub(super) missing: u32,
}

impl Origin<'_> {
    /// Notes who brought the next `count` bytes, of which a message is made; returns where that is noted.
    pub(super) fn note(&mut self, count: usize, output: &mut Messages) -> (u32, u32) {
        let first = index(output.shares.len());
        if output.settings.keep_shares {
            match self {
                Self::Segment { captured, .. } => {
                    output.shares.push(Share { timestamp: *captured, length: index(count) });
                }
                Self::Buffer(shares) => take_shares(shares, count, |share| output.shares.push(share)),
            }
        }
        (first, index(output.shares.len()))
    }

    /// Passes over the next `count` bytes.
    pub(super) fn pass(&mut self, count: usize) {
        if let Self::Buffer(shares) = self {
            take_shares(shares, count, |_| {});
        }
    }

    /// Where `length` bytes lie, the first of which is `offset` bytes after the origin's first.
    pub(super) fn place(&self, offset: usize, length: usize) -> Option<Bytes> {
        match self {
            Self::Segment { place, .. } => place.map(|place| place.part(index(offset), index(length))),
            Self::Buffer(_) => None,
        }
    }
}

impl Emitter<'_> {
    /// Writes a message down; false when it is none. `remembered` is the frame of an earlier packet of this direction.
    pub(super) fn emit(&mut self, found: Found<'_>, remembered: Option<&FrameHeader>) -> bool {
        let message = found.message;
        let is_cut = found.missing > 0;
        // What was cut is read as a datagram that was.
        let datagram = is_cut || matches!(found.transport, SipTransport::Ws | SipTransport::Wss);
        let parsed;
        let head = match found.head {
            Some(head) => {
                head.close(message, datagram);
                &*head
            }
            None => {
                let text = if is_cut { certain(message) } else { message };
                let Some(head) = Head::parse(text, datagram) else { return false };
                parsed = head;
                &parsed
            }
        };
        let Some(bytes) = found.place.or_else(|| self.output.store(message)) else { return false };
        let first = index(self.output.media.len());
        let Messages { sections, media, .. } = &mut *self.output;
        let parse = if is_cut { sdp::parse_cut } else { sdp::parse };
        let sdp = !head.body.is_empty() && parse(message, head, sections, media);
        let counters = &mut self.output.counters;
        counters.messages = counters.messages.saturating_add(1);
        counters.faults = counters.faults.saturating_add(u64::from(!head.faults.is_empty()));
        let carriage = self.carriage((found.shares, found.missing), remembered);
        self.output.list.push(Message {
            sequence: self.context.sequence,
            timestamp: self.context.timestamp,
            source: self.context.source,
            destination: self.context.destination,
            transport: found.transport,
            bytes,
            head: *head,
            media: (first, index(self.output.media.len())),
            sdp,
            completes: false,
            carriage,
        });
        true
    }

    fn carriage(
        &mut self,
        (shares, missing): ((u32, u32), u32),
        remembered: Option<&FrameHeader>,
    ) -> Carriage {
        let Context { connection, space, .. } = *self.context;
        let output = &mut *self.output;
        // Off the packet's own path (ticks, caps) the frame at hand is another connection's.
        let own = output.frame.as_ref().filter(|_| self.context.packet.is_some());
        let Some(frame) = own.or(remembered).filter(|_| output.settings.keep_shares) else {
            let link = crate::capture::LinkType::default();
            return Carriage::Stream {
                connection,
                shares,
                missing,
                link,
                link_header: (0, 0),
                nanosecond: false,
                both_sides: space != Space::Only,
            };
        };
        Carriage::stream(&mut output.arena, (connection, space), (shares, missing), frame)
    }
}

fn index(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
