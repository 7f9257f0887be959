//! A stream worker: owns its flows alone, turns datagrams and segments into messages.

use std::sync::Arc;

use super::board::Board;
use super::foreign::{Foreign, Verdicts};
use super::work::{Task, Work};
use super::{Bytes, View};
use crate::call::GROUP;
use crate::counters::counters;
use crate::decode::{DataChunk, data_chunks};
use crate::flow::EntryId;
use crate::near::steps;
use crate::reassembly::{self, Budget, Reassembler, Segment, Space, Taken, UserMessages};
use crate::sip::sdp;
use crate::sip::{
    Carriage, FrameHeader, Glimpse, Message, Messages, Probe, Share, SipStream, SipTransport, StreamCounters,
    StreamSettings, certain, is_sip_datagram, line_ends, probe,
};
use crate::time::Timestamp;

counters! {
    /// Packets by what a worker found in them. Those that came in fragments are counted as fragments.
    pub(crate) struct Counters {
        /// UDP and HEP packets that are a SIP message.
        sip_datagrams,
        /// Datagrams that begin like SIP and are not.
        not_sip,
        /// TCP segments that brought bytes of a SIP stream.
        sip_segments,
        /// Every other TCP segment.
        other_segments,
        /// SCTP packets that carried SIP.
        sip_sctp,
        /// Every other SCTP packet.
        other_sctp,
        /// Pieces of SIP in SCTP that did not become whole.
        sctp_pieces,
        /// Chunks of it that came again.
        sctp_repeated,
    }
}

/// What a segment's connection needs is fetched so many segments before it, and what its application needs half as many.
const AHEAD: usize = 4;

/// Connections that are remembered to have been told of: nearly all of those in a batch.
const SAID: usize = 8;

/// One worker.
pub(crate) struct StreamWorker {
    reassembler: Reassembler<SipStream>,
    user_messages: UserMessages,
    settings: StreamSettings,
    counters: Counters,
    streams: StreamCounters,
    verdicts: Verdicts,
    /// What was said of some connections in this batch: nobody hears it before the next.
    said: [u64; SAID],
    /// Where it says how it goes, and which of the workers it is.
    board: Option<(Arc<Board>, usize)>,
}

impl StreamWorker {
    pub(crate) fn new(
        limits: reassembly::Limits,
        budget: Arc<Budget>,
        settings: StreamSettings,
        verdicts: Verdicts,
        board: Option<(Arc<Board>, usize)>,
    ) -> Self {
        Self {
            reassembler: Reassembler::new(limits, budget),
            user_messages: UserMessages::default(),
            settings,
            counters: Counters::default(),
            streams: StreamCounters::default(),
            verdicts,
            said: [0; SAID],
            board,
        }
    }

    pub(crate) const fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(crate) const fn streams(&self) -> &StreamCounters {
        &self.streams
    }

    pub(crate) const fn reassembler(&self) -> &Reassembler<SipStream> {
        &self.reassembler
    }

    /// Does the work of one lane of one batch.
    pub(crate) fn process(&mut self, lane: &[Work], view: &View<'_>, messages: &mut Messages) {
        messages.clear();
        messages.settings = self.settings;
        self.said = [0; SAID];
        for group in lane.chunks(GROUP) {
            let mut hints = [None; GROUP];
            let hash = |work: &Work| matches!(work.task, Task::Segment(_)).then_some(work.hash);
            self.reassembler.look_up(group.iter().map(hash), &mut hints);
            let at = |index: usize| hints.get(index).copied().flatten();
            for (soon, turn) in steps(group.len(), AHEAD) {
                self.reassembler.look_ahead(at(soon), soon.checked_sub(AHEAD / 2).and_then(at));
                let Some((turn, work)) = turn.and_then(|turn| Some((turn, group.get(turn)?))) else {
                    continue;
                };
                let hint = at(turn);
                match work.task {
                    Task::Tick | Task::Finish => self.tick(work, messages),
                    Task::Believed => self.reassembler.heard(work.hash, work.now),
                    Task::Datagram(transport, known) => {
                        self.datagram(work, (transport, known), view, messages);
                    }
                    Task::Segment(_) => self.segment(work, hint, view, messages),
                    Task::Chunks => self.chunks(work, view, messages),
                    // That is for the tracker alone.
                    Task::Undelivered(_) => {}
                }
            }
        }
        self.streams.add(&messages.counters);
        self.counters.sctp_pieces = self.user_messages.given_up();
        self.counters.sctp_repeated = self.user_messages.repeated();
        if let Some((board, lane)) = &self.board {
            board.worker(*lane, self);
        }
    }

    /// What waited for its time. Connections of several workers speak in the order of their numbers, whatever the
    /// reason that made them speak.
    fn tick(&mut self, work: &Work, messages: &mut Messages) {
        let before = messages.list.len();
        if work.task == Task::Finish {
            self.reassembler.finish(work.sequence, messages);
            self.user_messages.finish();
        } else {
            self.reassembler.expire(work.sequence, work.time(), messages);
            self.user_messages.expire(work.now);
        }
        messages.list.get_mut(before..).unwrap_or_default().sort_by_key(Message::connection);
    }

    fn datagram(
        &mut self,
        work: &Work,
        (transport, known): (SipTransport, Glimpse),
        view: &View<'_>,
        messages: &mut Messages,
    ) {
        let is_whole = u64::from(work.reassembled.is_none());
        let bytes = view.resolve(work.payload, &[]);
        if read(work, (transport, known), bytes, messages) {
            self.counters.sip_datagrams += is_whole;
        } else {
            self.counters.not_sip += is_whole;
        }
    }

    fn segment(&mut self, work: &Work, hint: Option<EntryId>, view: &View<'_>, messages: &mut Messages) {
        let Task::Segment(header) = work.task else { return };
        let segment = Segment {
            source: work.source,
            destination: work.destination,
            hash: work.hash,
            header,
            payload: view.resolve(work.payload, &[]),
            place: Some(work.payload),
            missing: work.missing,
            captured: work.timestamp,
        };
        if self.settings.keep_shares {
            messages.frame = frame_header(work, view);
        }
        let before = messages.list.len();
        let packet = work.reassembled.is_none().then_some(work.packet);
        let connection =
            self.reassembler.segment(hint, (work.sequence, packet), work.now, &segment, messages);
        if let Some(rejected) = connection.and_then(|id| self.reassembler.rejected_until(id)) {
            self.say(work, rejected);
        }
        let is_sip = messages.list.len() > before
            || !segment.payload.is_empty() && connection.is_some_and(|id| self.reassembler.is_certain(id));
        if work.reassembled.is_none() {
            self.counters.sip_segments += u64::from(is_sip);
            self.counters.other_segments += u64::from(!is_sip);
        }
    }

    /// Says that the connection of a segment was rejected.
    fn say(&mut self, work: &Work, (until, may_resume): (Timestamp, bool)) {
        let Work { hash, sequence, .. } = *work;
        // What it says of one that may be read again is another thing.
        let verdict = hash ^ u64::from(may_resume);
        let said = self.said.get_mut(hash as usize % SAID);
        if said.is_some_and(|said| std::mem::replace(said, verdict) != verdict) {
            self.verdicts.say(Foreign { hash, sequence, until, may_resume });
        }
    }

    /// SIP over SCTP (RFC 4168): one message per user message. One that the capture cut is read as far as it goes.
    fn chunks(&mut self, work: &Work, view: &View<'_>, messages: &mut Messages) {
        let payload = view.resolve(work.payload, &[]);
        let is_alone = data_chunks(payload, work.missing).nth(1).is_none();
        let mut is_sip = false;
        for chunk in data_chunks(payload, work.missing) {
            let is_cut = chunk.missing > 0;
            is_sip |= if !(chunk.begin && (chunk.end || is_cut)) {
                !is_cut && self.piece(work, &chunk, view, messages)
            } else if is_sip_datagram(chunk.bytes) {
                let payload = work.payload.part(chunk.start, chunk.bytes.len() as u32);
                let part = Work { payload, missing: chunk.missing, ..*work };
                let carriage = is_alone.then(|| work.carriage());
                self.user_messages.is_repeated(work.hash, &chunk, work.now)
                    || user_message(&part, chunk.bytes, carriage, view, messages)
            } else {
                false
            };
        }
        if work.reassembled.is_none() {
            self.counters.sip_sctp += u64::from(is_sip);
            self.counters.other_sctp += u64::from(!is_sip);
        }
    }

    /// A piece of a user message, with which it may be whole; true when the message is SIP as far as is known.
    fn piece(
        &mut self,
        work: &Work,
        chunk: &DataChunk<'_>,
        view: &View<'_>,
        messages: &mut Messages,
    ) -> bool {
        match self.user_messages.piece(work.hash, chunk, work.now, begins_sip) {
            Taken::Not => false,
            Taken::Held => true,
            Taken::Whole(bytes) => messages.store(bytes).is_some_and(|payload| {
                user_message(&Work { payload, missing: 0, ..*work }, bytes, None, view, messages)
            }),
        }
    }
}

/// Whether a message is SIP that begins with these bytes; nothing while that is open.
fn begins_sip(bytes: &[u8]) -> Option<bool> {
    let is_sip = is_sip_datagram(bytes);
    (is_sip || probe(bytes) != Probe::NeedMore).then_some(is_sip)
}

/// Reads the message that the work's payload, `bytes`, is; false when it is none.
fn read(
    work: &Work,
    (transport, known): (SipTransport, Glimpse),
    bytes: &[u8],
    messages: &mut Messages,
) -> bool {
    // Line ends before the start line are no part of the message (RFC 3261 7.5).
    let (payload, bytes) = match bytes {
        [b'\r' | b'\n', ..] => behind_line_ends(work.payload, bytes),
        _ => (work.payload, bytes),
    };
    let first = messages.media.len() as u32;
    // The head is read where it stays: it is too large to be moved for nothing.
    messages.list.extend_from_slice(&messages.empty);
    let Some(message) = messages.list.last_mut() else { return false };
    message.sequence = work.sequence;
    message.timestamp = work.timestamp;
    (message.source, message.destination) = (work.source, work.destination);
    message.transport = transport;
    message.bytes = payload;
    message.media = (first, first);
    message.carriage = work.carriage();
    message.completes = work.completes;
    let bytes = if work.missing > 0 { certain(bytes) } else { bytes };
    if !message.head.fill(bytes, known, true) {
        messages.list.pop();
        return false;
    }
    if transport == SipTransport::Tls {
        // HEP has one number for all of them.
        message.transport = SipTransport::over_tls(message.head.via.of(bytes));
    }
    if !message.head.body.is_empty() {
        let parse = if work.missing > 0 { sdp::parse_cut } else { sdp::parse };
        message.sdp = parse(bytes, &message.head, &mut messages.sections, &mut messages.media);
        message.media.1 = messages.media.len() as u32;
    }
    true
}

#[cold]
fn behind_line_ends(payload: Bytes, bytes: &[u8]) -> (Bytes, &[u8]) {
    let ends = line_ends(bytes);
    let bytes = bytes.get(ends..).unwrap_or_default();
    (payload.part(ends as u32, bytes.len() as u32), bytes)
}

/// Reads an SCTP user message, which goes on in a packet of its own unless it is `carried` alone; false when it is no SIP.
fn user_message(
    work: &Work,
    bytes: &[u8],
    carried: Option<Carriage>,
    view: &View<'_>,
    messages: &mut Messages,
) -> bool {
    if !read(work, (SipTransport::Sctp, Glimpse::NOTHING), bytes, messages) {
        return false;
    }
    let carriage = carried.unwrap_or_else(|| apart(work, view, messages));
    if let Some(message) = messages.list.last_mut() {
        message.carriage = carriage;
    }
    true
}

/// How a message goes on that was in a packet with others, or in several.
fn apart(work: &Work, view: &View<'_>, messages: &mut Messages) -> Carriage {
    if !messages.settings.keep_shares {
        return work.carriage();
    }
    let frame = frame_header(work, view).unwrap_or_default();
    let share = messages.shares.len() as u32;
    let length = messages.list.last().map_or(0, |message| message.bytes.length);
    messages.shares.push(Share { timestamp: work.timestamp, length });
    // An association is known by its endpoints; its number only has to differ from TCP's, which are packets'.
    Carriage::stream(&mut messages.arena, (u64::MAX, Space::Only), ((share, share + 1), 0), &frame)
}

impl Work {
    #[inline]
    fn carriage(&self) -> Carriage {
        self.reassembled.map_or(Carriage::Frame(self.packet), Carriage::Datagram)
    }
}

/// The link layer of the work's frame.
fn frame_header(work: &Work, view: &View<'_>) -> Option<FrameHeader> {
    let (packet, frame) = view.packet(work.packet)?;
    let header = frame.get(..work.link_header as usize).unwrap_or_default();
    Some(FrameHeader { link: packet.link, header: header.into(), nanosecond: packet.nanosecond })
}
