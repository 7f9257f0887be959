//! Messages whose end was not captured: the snap length cut them, or a segment of theirs was lost.
//!
//! They are told as a datagram is that was cut: as far as they go, with [`Faults::TRUNCATED`] or
//! [`Faults::UNTERMINATED`]. What comes of their rest all the same is passed over.

use crate::reassembly::Context;
use crate::sip::stream::emit::{Emitter, Found};
use crate::sip::stream::partial::Partial;
use crate::sip::stream::side::{Mode, Side, count};
use crate::sip::{Faults, Head, SipTransport, certain, is_sip_datagram, line_ends};
use crate::time::Timestamp;

impl Side {
    /// The next `lost` bytes will not come (0: nobody knows how many). Of the message that has begun there is no more than
    /// what waits; `new` bytes of that were not there when this was last said.
    pub(super) fn cut(&mut self, lost: u64, new: usize, emitter: &mut Emitter<'_>) {
        match self.mode {
            Mode::Sip { .. } => self.cut_sip(lost, new, emitter),
            Mode::WebSocket { .. } => self.cut_websocket(lost, emitter),
            Mode::New | Mode::Detect { .. } | Mode::Dormant => {}
        }
    }

    fn cut_sip(&mut self, lost: u64, new: usize, emitter: &mut Emitter<'_>) {
        let Mode::Sip { framer, .. } = &mut self.mode else { return };
        let Some(partial) = self.partial.take() else { return };
        let bytes = partial.bytes.as_slice();
        let (mut head, missing) = match framer.cut(bytes) {
            Some((head, rest)) => {
                self.pass_over_rest(rest);
                (head, rest)
            }
            // However small the pieces are, each byte is looked at a bounded number of times.
            None if framer.is_in_head() && bytes.len() / 16 <= new && says_enough(bytes) => {
                framer.resynchronise();
                (None, lost)
            }
            None => {
                self.partial = Some(partial);
                return;
            }
        };
        self.tell((bytes, head.as_mut(), missing), SipTransport::Tcp, partial.captured, emitter);
        self.wanted = 0;
        partial.put(&mut emitter.output.spare);
    }

    fn cut_websocket(&mut self, lost: u64, emitter: &mut Emitter<'_>) {
        let Mode::WebSocket { codec, fragments } = &mut self.mode else { return };
        let mut message = fragments.take().unwrap_or_else(|| Partial::get(&mut emitter.output.spare));
        let mut missing = lost;
        if let Some(partial) = self.partial.take() {
            let Some(rest) = codec.cut(&partial.bytes, &mut message.bytes) else {
                self.partial = Some(partial);
                if message.bytes.is_empty() {
                    message.put(&mut emitter.output.spare);
                } else {
                    *fragments = Some(message);
                }
                return;
            };
            message.captured = partial.captured;
            partial.put(&mut emitter.output.spare);
            self.wanted = 0;
            self.pass_over_rest(rest);
            missing = rest;
        }
        let bytes = message.bytes.get(line_ends(&message.bytes)..).unwrap_or_default();
        if is_sip_datagram(bytes) && says_enough(bytes) {
            self.tell((bytes, None, missing), SipTransport::Ws, message.captured, emitter);
        } else {
            count(&mut emitter.output.counters.skipped_bytes, bytes.len() as u64);
        }
        message.put(&mut emitter.output.spare);
    }

    fn tell(
        &mut self,
        (message, head, missing): (&[u8], Option<&mut Head>, u64),
        transport: SipTransport,
        captured: Timestamp,
        emitter: &mut Emitter<'_>,
    ) {
        // One packet that was cut: a reader takes none of the segments behind which it waits for more.
        let shares = (0, 0);
        let missing = u32::try_from(missing.max(1)).unwrap_or(u32::MAX);
        let context = Context { timestamp: captured, packet: None, ..*emitter.context };
        let mut emitter = Emitter { context: &context, output: &mut *emitter.output };
        let found = Found { message, head, place: None, shares, transport, missing };
        if emitter.emit(found, self.frame.as_deref()) {
            self.found();
        } else {
            count(&mut emitter.output.counters.skipped_bytes, message.len() as u64);
        }
    }
}

/// Whether it is certain of a head that may go on that it has what every message must have: start line, Call-ID, CSeq, Via, From and To.
fn says_enough(message: &[u8]) -> bool {
    Head::parse(certain(message), true).is_some_and(|head| {
        let lacks = [Faults::NO_CALL_ID, Faults::CSEQ, Faults::MISSING_HEADER];
        !head.faults.has(Faults::UNTERMINATED) || !lacks.into_iter().any(|fault| head.faults.has(fault))
    })
}
