//! SIP over TCP (RFC 3261 18.3) and over WebSocket (RFC 7118): the application of a TCP connection.
//!
//! In: ordered bytes and gaps of both directions. Out: whole messages in [`Messages`], in place when they lie in one
//! captured segment, else copied. What is found depends on the bytes only, not on how they were cut into segments,
//! with one exception: a stream that was joined in the middle, or that stopped making sense, is taken up again where
//! a segment begins with a message.
//!
//! Of TLS that carries SIP the handshake is followed ([`crate::tls`]); other TLS is counted and rejected.

mod counters;
mod cut;
mod detect;
mod emit;
mod frames;
mod partial;
mod side;
#[cfg(test)]
mod tests;

pub use counters::{StreamCounters, StreamEnd, StreamSettings};
pub use detect::may_resume;
pub(super) use partial::Partial;

use crate::near::fetch;
use crate::reassembly::{Application, Chunk, Context, Direction, Space, Verdict};
use crate::sip::Messages;
use crate::sip::stream::detect::Guess;
use crate::sip::stream::emit::Emitter;
use crate::sip::stream::side::Side;
use crate::tls::{Handshake, SIPS_PORT};

/// Finds the SIP messages of one TCP connection.
#[derive(Debug, Default)]
pub struct SipStream {
    up: Side,
    down: Side,
    /// Messages found, in both directions.
    messages: u64,
    /// Bytes of it were lost or dropped.
    lossy: bool,
    /// Both directions have ended and that has been told.
    closed: bool,
    /// Nothing was found so far, and nothing is known that it is instead.
    paused: bool,
    /// It is TLS, and perhaps SIP inside.
    tls: Option<Box<Handshake>>,
}

impl SipStream {
    fn sides(&mut self, direction: Direction) -> (&mut Side, &mut Side) {
        match direction {
            Direction::Up => (&mut self.up, &mut self.down),
            Direction::Down => (&mut self.down, &mut self.up),
        }
    }

    /// Whether a connection that has not spoken yet begins with a TLS handshake that may be followed.
    fn begins_tls(&mut self, context: &Context, chunk: &Chunk<'_>, output: &mut Messages) -> bool {
        if !self.up.is_new() || !self.down.is_new() {
            return false;
        }
        let Some(by_port) = sips(context, chunk) else { return false };
        output.counters.tls_streams = output.counters.tls_streams.saturating_add(1);
        self.tls = Some(Box::new(Handshake::new(!chunk.opening, by_port)));
        true
    }

    fn handshake(&mut self, context: &Context, chunk: &Chunk<'_>, output: &mut Messages) -> Verdict {
        let Some(tls) = &mut self.tls else { return Verdict::Continue };
        output.tls.extend(tls.data(context, chunk.bytes));
        if !tls.is_over() {
            return Verdict::Continue;
        }
        output.counters.rejected_streams = output.counters.rejected_streams.saturating_add(1);
        Verdict::Reject
    }

    /// Counts the messages found since there were `before`; returns how many.
    fn count(&mut self, before: usize, output: &mut Messages) -> u64 {
        let found = output.list.len().saturating_sub(before) as u64;
        if self.messages == 0 && found > 0 {
            output.counters.streams_created = output.counters.streams_created.saturating_add(1);
        }
        self.messages = self.messages.saturating_add(found);
        found
    }

    fn close(&mut self, context: &Context, output: &mut Messages) {
        if self.closed || !self.up.ended || !self.down.ended {
            return;
        }
        self.closed = true;
        if self.messages > 0 {
            let counters = &mut output.counters;
            let counter =
                if self.lossy { &mut counters.streams_failed } else { &mut counters.streams_completed };
            *counter = counter.saturating_add(1);
            output.ended.push(StreamEnd {
                sequence: context.sequence,
                timestamp: context.timestamp,
                connection: context.connection,
                source: context.source,
                destination: context.destination,
                messages: self.messages,
                complete: !self.lossy,
            });
        }
    }
}

/// Whether the first bytes of a connection are a TLS handshake that may be followed; then, whether its port says so.
fn sips(context: &Context, chunk: &Chunk<'_>) -> Option<bool> {
    if !detect::begins_tls(chunk) {
        return None;
    }
    let by_port = [context.source.port, context.destination.port].contains(&SIPS_PORT);
    let may_be_sip = by_port || chunk.opening && detect::may_greet_sip(chunk.bytes);
    may_be_sip.then_some(by_port)
}

impl Application for SipStream {
    type Output = Messages;

    fn declines(context: &Context, chunk: &Chunk<'_>, output: &mut Messages) -> bool {
        if context.space == Space::Second && detect::begins_tls(chunk) {
            // It is told of the first.
            return true;
        }
        if !chunk.opening || sips(context, chunk).is_some() {
            return false;
        }
        let guess = detect::guess(chunk.bytes, false, false);
        let is_foreign = matches!(guess, Guess::Tls | Guess::Other);
        let counters = &mut output.counters;
        counters.tls_streams = counters.tls_streams.saturating_add(u64::from(guess == Guess::Tls));
        counters.rejected_streams = counters.rejected_streams.saturating_add(u64::from(is_foreign));
        is_foreign
    }

    fn data(&mut self, context: &Context, chunk: &Chunk<'_>, output: &mut Messages) -> Verdict {
        if self.tls.is_some() || self.begins_tls(context, chunk, output) {
            return self.handshake(context, chunk, output);
        }
        let before = output.list.len();
        let silent = self.messages == 0;
        let (side, other) = self.sides(context.direction);
        let was_open = side.is_open();
        let verdict = side.data(chunk, other.is_upgraded(), &mut Emitter { context, output });
        let foreign = verdict == Verdict::Reject && !other.is_confirmed();
        if verdict == Verdict::Reject && !foreign {
            side.give_up(output);
        }
        self.lossy |= chunk.missing > 0;
        let found = self.count(before, output);
        let (side, other) = self.sides(context.direction);
        let paused = silent && found == 0 && side.is_dormant() && !other.is_confirmed();
        if paused {
            other.drop_partial(output);
        }
        self.paused = paused;
        // What was searched in vain may have been SIP before.
        let is_other = foreign || paused && was_open;
        output.counters.rejected_streams =
            output.counters.rejected_streams.saturating_add(u64::from(is_other));
        if foreign || paused { Verdict::Reject } else { Verdict::Continue }
    }

    fn is_certain(&self) -> bool {
        self.up.is_confirmed() || self.down.is_confirmed() || self.messages > 0 || self.tls.is_some()
    }

    fn may_resume(&self) -> bool {
        self.paused
    }

    fn resumes(payload: &[u8]) -> bool {
        may_resume(payload)
            && (detect::again(payload) || detect::websocket(payload, usize::MAX, &mut Vec::new()))
    }

    fn gap(&mut self, context: &Context, lost: u64, output: &mut Messages) {
        self.lossy = true;
        if let Some(tls) = &mut self.tls {
            output.tls.extend(tls.gap(context));
            return;
        }
        let before = output.list.len();
        self.sides(context.direction).0.gap(lost, &mut Emitter { context, output });
        self.count(before, output);
    }

    fn end(&mut self, context: &Context, output: &mut Messages) {
        if let Some(tls) = &mut self.tls {
            output.tls.extend(tls.end(context));
            return;
        }
        let before = output.list.len();
        self.sides(context.direction).0.end(&mut Emitter { context, output });
        self.count(before, output);
        self.close(context, output);
    }

    fn shed(&mut self) {
        self.lossy = true;
        self.up.shed();
        self.down.shed();
        if let Some(tls) = &mut self.tls {
            tls.give_up();
        }
    }

    #[inline]
    fn touch(&self) {
        fetch(&self.messages);
        self.up.touch();
        self.down.touch();
    }

    #[inline]
    fn held(&self) -> usize {
        let tls = self.tls.as_ref().map_or(0, |tls| tls.held());
        self.up.held().saturating_add(self.down.held()).saturating_add(tls)
    }
}
