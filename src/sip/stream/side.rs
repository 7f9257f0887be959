//! One direction of a connection: what it carries, and what of it waits for more.

use crate::near::fetch;
use crate::pipeline::Bytes;
use crate::reassembly::{Chunk, Verdict};
use crate::sip::stream::detect::{self, Guess};
use crate::sip::stream::emit::{Emitter, Found, Origin};
use crate::sip::stream::partial::Partial;
use crate::sip::websocket::WebSocket;
use crate::sip::{Frame, FrameHeader, Framer, Head, Messages, SipTransport};

/// The most that is held to find out what a stream carries: the longest HTTP head that is read, and something.
const MAX_DETECT: usize = 32 << 10;

/// One direction.
#[derive(Debug, Default)]
pub(super) struct Side {
    pub(super) mode: Mode,
    /// Bytes read before, which need more behind them.
    pub(super) partial: Option<Partial>,
    /// How long `partial` has to be before it is worth to look again.
    pub(super) wanted: usize,
    /// Bytes of the stream to pass over by count.
    pub(super) skip: u64,
    /// These are the rest of a message that was cut, and not a body that is too large.
    skips_rest: bool,
    /// It is certain that this is SIP.
    confirmed: bool,
    /// A message was found.
    pub(super) found: bool,
    /// It is a WebSocket of which it is not known where the next frame begins: in [`Mode::Sip`] one with a message is looked for.
    seeks_frame: bool,
    /// It is over.
    pub(super) ended: bool,
    /// The link layer of the last segment, when shares are kept.
    pub(super) frame: Option<Box<FrameHeader>>,
}

#[derive(Debug, Default)]
pub(super) enum Mode {
    /// Nothing has come yet.
    #[default]
    New,
    /// It is not known yet what comes.
    Detect { joined: bool },
    /// SIP, or a search for it through so many bytes.
    Sip { framer: Framer, searched: u64 },
    /// WebSocket, with the fragments of the message that has begun.
    WebSocket { codec: Box<WebSocket>, fragments: Option<Partial> },
    /// Nothing sensible, until a segment begins with a message again.
    Dormant,
}

/// What is to be done with the bytes at hand.
pub(super) enum Step {
    Consume(usize),
    /// At least so many more are needed.
    Wait(usize),
    Reject,
}

impl Side {
    /// Takes the next bytes. `upgraded`: the other direction is WebSocket.
    pub(super) fn data(&mut self, chunk: &Chunk<'_>, upgraded: bool, emitter: &mut Emitter<'_>) -> Verdict {
        self.ended = false;
        self.remember(emitter);
        if matches!(self.mode, Mode::New) {
            self.mode = Mode::Detect { joined: !chunk.opening };
        }
        if upgraded && matches!(self.mode, Mode::Sip { .. }) && !self.seeks_frame {
            // What was found in it was the payload of frames: a WebSocket is one in both directions (RFC 6455 1.2).
            self.drop_partial(emitter.output);
            self.seek_frame();
        }
        if chunk.segment_start && !self.found {
            self.take_up(chunk, emitter.output);
        }
        let verdict = self.take(chunk, upgraded, emitter);
        if chunk.missing > 0 && verdict == Verdict::Continue {
            self.cut(u64::from(chunk.missing), chunk.bytes.len(), emitter);
        }
        verdict
    }

    fn take(&mut self, chunk: &Chunk<'_>, upgraded: bool, emitter: &mut Emitter<'_>) -> Verdict {
        let Some(mut partial) = self.partial.take() else {
            return self.read_segment(chunk, 0, upgraded, emitter);
        };
        let old = partial.bytes.len();
        partial.append(chunk.bytes, chunk.captured, emitter.output.settings.keep_shares);
        if partial.bytes.len() < self.wanted {
            self.partial = Some(partial);
            return Verdict::Continue;
        }
        let (bytes, shares) = partial.parts();
        let Some(consumed) = self.read(bytes, Origin::Buffer(shares), old, upgraded, emitter) else {
            return Verdict::Reject;
        };
        if consumed < old {
            partial.consume(consumed);
            self.wanted = self.wanted.saturating_sub(consumed);
            self.partial = Some(partial);
            return Verdict::Continue;
        }
        // What is left lies in the new segment alone: no need to copy it.
        partial.put(&mut emitter.output.spare);
        self.read_segment(chunk, consumed - old, upgraded, emitter)
    }

    fn read_segment(
        &mut self,
        chunk: &Chunk<'_>,
        from: usize,
        upgraded: bool,
        emitter: &mut Emitter<'_>,
    ) -> Verdict {
        let bytes = chunk.bytes.get(from..).unwrap_or_default();
        let place = chunk.place.map(|place| part(place, from, bytes.len()));
        let origin = Origin::Segment { place, captured: chunk.captured };
        let Some(consumed) = self.read(bytes, origin, bytes.len(), upgraded, emitter) else {
            return Verdict::Reject;
        };
        let rest = bytes.get(consumed..).unwrap_or_default();
        if !rest.is_empty() {
            let mut partial = Partial::get(&mut emitter.output.spare);
            partial.append(rest, chunk.captured, emitter.output.settings.keep_shares);
            self.wanted = self.wanted.saturating_sub(consumed);
            self.partial = Some(partial);
        }
        Verdict::Continue
    }

    /// Reads until `stop` bytes are consumed, or no more can be without others. None: reject.
    fn read(
        &mut self,
        bytes: &[u8],
        mut origin: Origin<'_>,
        stop: usize,
        upgraded: bool,
        emitter: &mut Emitter<'_>,
    ) -> Option<usize> {
        let mut at = 0;
        while at < stop {
            let rest = bytes.get(at..).unwrap_or_default();
            let step = if self.skip > 0 {
                self.pass_over(rest, &mut origin, emitter.output)
            } else {
                match self.mode {
                    Mode::Detect { joined } => {
                        let guess = detect::guess(rest, joined, upgraded);
                        self.follow(guess, rest, &mut origin, emitter.output)
                    }
                    Mode::Sip { .. } => self.read_sip(rest, at, &mut origin, emitter),
                    Mode::WebSocket { .. } => self.read_websocket(rest, &mut origin, emitter),
                    Mode::New | Mode::Dormant => skip(rest.len(), &mut origin, emitter.output),
                }
            };
            match step {
                Step::Consume(length) => at = at.saturating_add(length),
                Step::Wait(need) => {
                    self.wanted = bytes.len().saturating_add(need);
                    break;
                }
                Step::Reject => return None,
            }
        }
        Some(at)
    }

    fn pass_over(&mut self, rest: &[u8], origin: &mut Origin<'_>, output: &mut Messages) -> Step {
        let length = usize::try_from(self.skip).unwrap_or(usize::MAX).min(rest.len());
        origin.pass(length);
        self.skip = self.skip.saturating_sub(length as u64);
        let counters = &mut output.counters;
        let counter =
            if self.skips_rest { &mut counters.skipped_bytes } else { &mut counters.oversize_bytes };
        count(counter, length as u64);
        self.skips_rest &= self.skip > 0;
        Step::Consume(length)
    }

    fn follow(&mut self, guess: Guess, rest: &[u8], origin: &mut Origin<'_>, output: &mut Messages) -> Step {
        let max_message = output.settings.max_message;
        match guess {
            Guess::LineEnds(length) => {
                origin.pass(length);
                count(&mut output.counters.keepalive_bytes, length as u64);
                return Step::Consume(length);
            }
            Guess::Sip | Guess::Search => {
                let mut framer = Framer::new(max_message);
                self.confirmed = guess == Guess::Sip;
                if guess == Guess::Search {
                    framer.resynchronise();
                }
                self.mode = Mode::Sip { framer, searched: 0 };
            }
            Guess::WebSocket { head } => {
                origin.pass(head);
                self.upgrade(max_message);
                return Step::Consume(head);
            }
            Guess::NeedMore if rest.len() < MAX_DETECT => return Step::Wait(1),
            Guess::Proxy(length) => {
                origin.pass(length);
                return Step::Consume(length);
            }
            Guess::Unknown => {
                self.mode = Mode::Dormant;
                origin.pass(rest.len());
                return Step::Consume(rest.len());
            }
            Guess::Tls => {
                count(&mut output.counters.tls_streams, 1);
                return Step::Reject;
            }
            Guess::Other | Guess::NeedMore => return Step::Reject,
        }
        Step::Consume(0)
    }

    fn upgrade(&mut self, max_message: usize) {
        (self.confirmed, self.seeks_frame) = (true, false);
        self.mode = Mode::WebSocket { codec: Box::new(WebSocket::new(max_message)), fragments: None };
    }

    fn read_sip(
        &mut self,
        rest: &[u8],
        at: usize,
        origin: &mut Origin<'_>,
        emitter: &mut Emitter<'_>,
    ) -> Step {
        let Mode::Sip { framer, searched } = &mut self.mode else { return Step::Consume(0) };
        let synchronised = framer.is_synchronised();
        let mut parsed = None;
        let frame = framer.next_with_head(rest, &mut parsed);
        let lost_track = synchronised && !framer.is_synchronised();
        count(&mut emitter.output.counters.resynchronisations, u64::from(lost_track));
        match frame {
            Frame::Message { length: head, .. } | Frame::Oversize { head, .. } if self.seeks_frame => {
                framer.resynchronise();
                skip(head, origin, emitter.output)
            }
            Frame::Message { length, .. } => {
                *searched = 0;
                self.emit((rest.get(..length).unwrap_or(rest), parsed.as_mut()), at, origin, emitter);
                Step::Consume(length)
            }
            Frame::Oversize { head, body } => {
                *searched = 0;
                count(&mut emitter.output.counters.oversize, 1);
                self.skip = body;
                self.emit((rest.get(..head).unwrap_or(rest), parsed.as_mut()), at, origin, emitter);
                Step::Consume(head)
            }
            Frame::Incomplete { need } => Step::Wait(need.max(1)),
            Frame::KeepAlive { length } => {
                origin.pass(length);
                count(&mut emitter.output.counters.keepalive_bytes, length as u64);
                Step::Consume(length)
            }
            Frame::NotSip { skip } => {
                let skip = skip.clamp(1, rest.len());
                let frame = rest.get(..skip).and_then(detect::frame_before).filter(|_| !self.found);
                if let Some(frame) = frame
                    && begins_websocket(rest.get(frame..).unwrap_or_default(), emitter.output)
                {
                    self.upgrade(emitter.output.settings.max_message);
                    return self::skip(frame, origin, emitter.output);
                }
                *searched = searched.saturating_add(skip as u64);
                if !self.found && *searched > emitter.output.settings.search_limit {
                    self.mode = Mode::Dormant;
                }
                self::skip(skip, origin, emitter.output)
            }
        }
    }

    fn emit(
        &mut self,
        (message, head): (&[u8], Option<&mut Head>),
        at: usize,
        origin: &mut Origin<'_>,
        emitter: &mut Emitter<'_>,
    ) {
        let place = origin.place(at, message.len());
        let shares = origin.note(message.len(), emitter.output);
        let found = Found { message, head, place, shares, transport: SipTransport::Tcp, missing: 0 };
        if emitter.emit(found, self.frame.as_deref()) {
            self.found();
        } else {
            count(&mut emitter.output.counters.skipped_bytes, message.len() as u64);
        }
    }

    /// A message was found.
    pub(super) const fn found(&mut self) {
        (self.confirmed, self.found) = (true, true);
    }

    /// The next bytes are the rest of a message that was cut.
    pub(super) const fn pass_over_rest(&mut self, length: u64) {
        (self.skip, self.skips_rest) = (length, length > 0);
    }

    /// Looks whether a segment begins with something to start over with: when nothing came of this direction so far,
    /// or nothing sensible any more.
    fn take_up(&mut self, chunk: &Chunk<'_>, output: &mut Messages) {
        let searching = match &self.mode {
            Mode::Dormant => true,
            Mode::Detect { joined } => *joined && self.partial.is_none(),
            Mode::Sip { .. } => !self.confirmed || self.seeks_frame,
            Mode::New | Mode::WebSocket { .. } => false,
        };
        if !searching {
            return;
        }
        if detect::may_be_websocket(chunk.bytes) {
            if begins_websocket(chunk.bytes, output) {
                self.drop_partial(output);
                self.upgrade(output.settings.max_message);
            }
        } else if matches!(self.mode, Mode::Dormant) && detect::again(chunk.bytes) {
            self.mode = Mode::Detect { joined: false };
        }
    }

    /// Bytes were lost.
    pub(super) fn gap(&mut self, lost: u64, emitter: &mut Emitter<'_>) {
        self.cut(lost, usize::MAX, emitter);
        if lost > 0 && lost <= self.skip {
            // All of them are in what is passed over anyway.
            self.skip -= lost;
            self.skips_rest &= self.skip > 0;
            return;
        }
        let output = &mut *emitter.output;
        self.pass_over_rest(0);
        self.drop_partial(output);
        count(&mut output.counters.resynchronisations, u64::from(self.confirmed));
        self.resynchronise();
    }

    fn resynchronise(&mut self) {
        match &mut self.mode {
            Mode::Sip { framer, .. } => framer.resynchronise(),
            Mode::Detect { joined } => *joined = true,
            Mode::WebSocket { .. } => self.seek_frame(),
            Mode::New | Mode::Dormant => {}
        }
    }

    /// The next frame of a WebSocket may begin anywhere.
    pub(super) fn seek_frame(&mut self) {
        if let Mode::WebSocket { codec, .. } = &self.mode {
            self.mode = Mode::Sip { framer: Framer::new(codec.max_message()), searched: 0 };
        }
        (self.found, self.seeks_frame) = (false, true);
        if let Mode::Sip { framer, .. } = &mut self.mode {
            framer.resynchronise();
        }
    }

    pub(super) fn drop_partial(&mut self, output: &mut Messages) {
        self.wanted = 0;
        if let Some(partial) = self.partial.take() {
            count(&mut output.counters.skipped_bytes, partial.bytes.len() as u64);
            partial.put(&mut output.spare);
        }
    }

    /// It is over.
    pub(super) fn end(&mut self, emitter: &mut Emitter<'_>) {
        self.ended = true;
        self.cut(0, usize::MAX, emitter);
        self.pass_over_rest(0);
        let output = &mut *emitter.output;
        let fragments = matches!(&self.mode, Mode::WebSocket { fragments: Some(_), .. });
        if self.confirmed && (self.partial.is_some() || fragments) {
            count(&mut output.counters.incomplete, 1);
        }
        self.drop_partial(output);
        self.resynchronise();
    }

    /// Memory is short.
    pub(super) fn shed(&mut self) {
        if self.held() > 0 {
            self.partial = None;
            self.wanted = 0;
            self.resynchronise();
        }
    }

    /// This direction makes no sense, but the other one is SIP.
    pub(super) fn give_up(&mut self, output: &mut Messages) {
        self.drop_partial(output);
        self.mode = Mode::Dormant;
        self.found = false;
    }

    fn remember(&mut self, emitter: &Emitter<'_>) {
        let output = &*emitter.output;
        if output.settings.keep_shares && emitter.context.packet.is_some() {
            let frame = output.frame.as_ref().filter(|&frame| Some(frame) != self.frame.as_deref());
            if let Some(frame) = frame {
                self.frame = Some(Box::new(frame.clone()));
            }
        }
    }

    /// Whether nothing has come yet.
    #[inline]
    pub(super) const fn is_new(&self) -> bool {
        matches!(self.mode, Mode::New)
    }

    pub(super) fn is_confirmed(&self) -> bool {
        self.confirmed
    }

    /// Whether it is not known yet what it carries.
    pub(super) const fn is_open(&self) -> bool {
        matches!(self.mode, Mode::New | Mode::Detect { .. })
    }

    /// Whether it begins with nothing that is known, or nothing was found in it for as long as is searched.
    #[inline]
    pub(super) const fn is_dormant(&self) -> bool {
        matches!(self.mode, Mode::Dormant)
    }

    pub(super) fn is_upgraded(&self) -> bool {
        matches!(self.mode, Mode::WebSocket { .. })
    }

    /// Fetches what the next bytes will need.
    #[inline]
    pub(super) fn touch(&self) {
        fetch(&self.skip);
        fetch(&self.confirmed);
        if let Some(partial) = &self.partial {
            partial.touch();
        }
    }

    /// Bytes allocated to wait for more.
    #[inline]
    pub(super) fn held(&self) -> usize {
        let beside = match &self.mode {
            Mode::WebSocket { fragments: Some(fragments), .. } => fragments.allocated(),
            Mode::Sip { framer, .. } => framer.held(),
            _ => 0,
        };
        self.partial.as_ref().map_or(0, Partial::allocated).saturating_add(beside)
    }
}

/// Whether bytes begin with a WebSocket frame that holds a SIP message.
fn begins_websocket(bytes: &[u8], output: &mut Messages) -> bool {
    let mut scratch = Partial::get(&mut output.spare);
    let found = detect::websocket(bytes, output.settings.max_message, &mut scratch.bytes);
    scratch.put(&mut output.spare);
    found
}

fn skip(length: usize, origin: &mut Origin<'_>, output: &mut Messages) -> Step {
    origin.pass(length);
    count(&mut output.counters.skipped_bytes, length as u64);
    Step::Consume(length)
}

fn part(place: Bytes, from: usize, length: usize) -> Bytes {
    place.part(u32::try_from(from).unwrap_or(u32::MAX), u32::try_from(length).unwrap_or(u32::MAX))
}

#[inline]
pub(super) fn count(counter: &mut u64, by: u64) {
    *counter = counter.saturating_add(by);
}
