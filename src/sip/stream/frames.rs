//! Reads WebSocket frames (RFC 6455, RFC 7118).

use crate::sip::stream::emit::{Emitter, Found, Origin};
use crate::sip::stream::partial::Partial;
use crate::sip::stream::side::{Mode, Side, Step, count};
use crate::sip::websocket::WebSocketFrame;
use crate::sip::{Share, SipTransport, is_sip_datagram, line_ends};

impl Side {
    pub(super) fn read_websocket(
        &mut self,
        rest: &[u8],
        origin: &mut Origin<'_>,
        emitter: &mut Emitter<'_>,
    ) -> Step {
        let Mode::WebSocket { codec, fragments } = &mut self.mode else { return Step::Consume(0) };
        let mut message = fragments.take().unwrap_or_else(|| Partial::get(&mut emitter.output.spare));
        let frame = codec.next(rest, &mut message.bytes);
        let step = match frame {
            WebSocketFrame::Message { length }
            | WebSocketFrame::Fragment { length }
            | WebSocketFrame::Control { length } => Step::Consume(length),
            WebSocketFrame::Unreadable { header, payload } => {
                self.skip = payload;
                count(&mut emitter.output.counters.oversize, 1);
                Step::Consume(header)
            }
            WebSocketFrame::Incomplete { need } => Step::Wait(need.max(1)),
            WebSocketFrame::Invalid => {
                count(&mut emitter.output.counters.resynchronisations, 1);
                message.bytes.clear();
                self.seek_frame();
                Step::Consume(0)
            }
        };
        if let Step::Consume(length @ 1..) = step {
            origin.pass(length);
            count(&mut emitter.output.counters.websocket_frames, 1);
        }
        if let WebSocketFrame::Message { .. } = frame {
            self.emit_websocket(&message.bytes, emitter);
            message.bytes.clear();
        }
        match &mut self.mode {
            Mode::WebSocket { fragments, .. } if !message.bytes.is_empty() => {
                message.captured = emitter.context.timestamp;
                *fragments = Some(message);
            }
            _ => message.put(&mut emitter.output.spare),
        }
        step
    }

    /// A WebSocket message holds one SIP message (RFC 7118 5).
    fn emit_websocket(&mut self, message: &[u8], emitter: &mut Emitter<'_>) {
        let line_ends = line_ends(message);
        let message = message.get(line_ends..).unwrap_or_default();
        count(&mut emitter.output.counters.keepalive_bytes, line_ends as u64);
        if message.is_empty() {
            return;
        }
        if !is_sip_datagram(message) {
            count(&mut emitter.output.counters.websocket_other, 1);
            return;
        }
        // Frames are no part of the message: it is noted as if its last segment had brought it.
        let first = emitter.output.shares.len() as u32;
        if emitter.output.settings.keep_shares {
            let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
            emitter.output.shares.push(Share { timestamp: emitter.context.timestamp, length });
        }
        let shares = (first, emitter.output.shares.len() as u32);
        let found =
            Found { message, head: None, place: None, shares, transport: SipTransport::Ws, missing: 0 };
        if emitter.emit(found, self.frame.as_deref()) {
            self.found();
        }
    }
}
