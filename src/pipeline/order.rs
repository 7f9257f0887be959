//! Puts what the workers found and what came directly back into capture order, and feeds the tracker.

use std::sync::Arc;

use smallvec::SmallVec;

use super::board::Board;
use super::work::{MediaBatch, MediaWork, Staged, Task, Work};
use super::{View, stream_log};
use crate::call::{Delivery, GROUP, Listener, Tracker, Undelivered};
use crate::flow::PairHasher;
use crate::media::{AHEAD, FlowHint};
use crate::near::steps;
use crate::sip::{Message, Messages};
use crate::tls;

/// What a message's dialog needs is fetched so many messages before it.
const MESSAGES_AHEAD: usize = 2;

/// Packets by what the tracker found them to be.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    /// UDP packets that are not SIP, one each; fragments are counted as such.
    pub(crate) udp: u64,
}

/// The tracker's end of the pipeline.
pub(crate) struct Order {
    tracker: Tracker,
    flows: Vec<FlowHint>,
    hasher: PairHasher,
    counters: Counters,
    board: Option<Arc<Board>>,
    logs_streams: bool,
    tls: tls::Census,
}

impl Order {
    pub(crate) fn new(tracker: Tracker, board: Option<Arc<Board>>, logs_streams: bool) -> Self {
        let counters = Counters::default();
        Self {
            tracker,
            flows: Vec::new(),
            hasher: PairHasher::default(),
            counters,
            board,
            logs_streams,
            tls: tls::Census::default(),
        }
    }

    pub(crate) const fn tracker(&self) -> &Tracker {
        &self.tracker
    }

    pub(crate) const fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(crate) const fn tls(&self) -> &tls::Census {
        &self.tls
    }

    /// Applies one batch: `outputs` has one value per worker.
    pub(crate) fn apply(
        &mut self,
        staged: &Staged,
        outputs: &[Messages],
        view: &View<'_>,
        listener: &mut dyn Listener,
    ) {
        let mut flows = std::mem::take(&mut self.flows);
        flows.clear();
        self.tracker.look_up_flows(staged.media.iter().map(|work| work.hash), &mut flows);
        flows.extend([FlowHint::NONE; AHEAD]);
        let batch = MediaBatch { others: &staged.others, view };
        let mut direct = Direct { ticks: &staged.ticks, media: &staged.media, flows: &flows, batch };
        let mut merge = Merge::new(outputs);
        loop {
            let group = merge.group();
            if group.is_empty() {
                break;
            }
            self.group(&group, &mut direct, listener);
        }
        self.direct(&mut direct, u64::MAX, listener);
        self.flows = flows;
        self.handshakes(outputs, listener);
        listener.batch_end();
        if self.logs_streams {
            stream_log::ended(outputs);
        }
        if let Some(board) = &self.board {
            board.tracker(self);
        }
    }

    /// Takes some messages. What is known of them is fetched before.
    fn group(&mut self, group: &Group<'_>, direct: &mut Direct<'_>, listener: &mut dyn Listener) {
        let view = direct.batch.view;
        let hints = self.tracker.look_up(group, listener);
        for (soon, turn) in steps(group.len(), MESSAGES_AHEAD) {
            if let (Some((_, message)), Some(hint)) = (group.get(soon), hints.get(soon)) {
                self.tracker.touch(*hint, message, view);
            }
            let at = |turn: usize| Some((*group.get(turn)?, *hints.get(turn)?));
            let Some(((messages, message), hint)) = turn.and_then(at) else { continue };
            if direct.is_due(message.sequence) {
                self.direct(direct, message.sequence, listener);
            }
            let bytes = view.resolve(message.bytes, &messages.arena);
            self.tracker.message(hint, &Delivery { message, bytes, messages, view }, listener);
        }
    }

    /// What workers learned of TLS, in the order of its packets.
    fn handshakes(&mut self, outputs: &[Messages], listener: &mut dyn Listener) {
        let mut reports: SmallVec<[&tls::Report; 4]> =
            outputs.iter().flat_map(|messages| &messages.tls).collect();
        reports.sort_by_key(|report| (report.sequence, report.client));
        for report in reports {
            self.tls.count(report);
            listener.tls(report);
        }
    }

    /// Gives the tracker what came directly, up to that sequence number. A tick comes behind the messages that it made
    /// workers let go of, which have its number: they were captured before it, however long the wire was silent.
    fn direct(&mut self, direct: &mut Direct<'_>, until: u64, listener: &mut dyn Listener) {
        let is_due = |tick: &Work| tick.sequence < until || until == u64::MAX;
        while let Some((tick, later)) = direct.ticks.split_first().filter(|(tick, _)| is_due(tick)) {
            direct.ticks = later;
            self.media(direct, tick.sequence, listener);
            match tick.task {
                Task::Undelivered(why) => {
                    let (source, destination) = (tick.source, tick.destination);
                    let payload = direct.batch.view.resolve(tick.payload, &[]);
                    let at = tick.timestamp;
                    self.tracker.undelivered(&Undelivered { at, source, destination, why, payload });
                }
                Task::Finish => {
                    self.board.iter().for_each(|board| board.over());
                    self.tracker.finish(tick.time(), listener);
                }
                _ => self.tracker.tick(tick.time(), listener),
            }
        }
        self.media(direct, until, listener);
    }

    fn media(&mut self, direct: &mut Direct<'_>, until: u64, listener: &mut dyn Listener) {
        let batch = direct.batch;
        let (media, flows) = direct.media_until(until);
        let mut done = 0;
        while let (Some(work), Some(&flow)) = (media.get(done), flows.get(done)) {
            let media = media.get(done..).unwrap_or_default();
            let rest = media.iter().zip(flows.get(done..).unwrap_or_default());
            let taken = if flow == FlowHint::NONE {
                let unknown = rest.take_while(|(_, flow)| **flow == FlowHint::NONE);
                let hasher = &self.hasher;
                self.tracker.nobodys_media(unknown.map_while(|(work, _)| batch.stranger(work, hasher)))
            } else {
                let ahead = flows.get(done + AHEAD..).unwrap_or_default();
                let known = rest
                    .zip(ahead)
                    .map_while(|((work, &flow), &ahead)| Some((flow, ahead, batch.sighting(work)?)));
                self.tracker.usual_media(known)
            };
            done += taken;
            if taken == 0 {
                if let Some(packet) = batch.packet(work) {
                    self.tracker.media(flow, &packet, batch.view, listener);
                }
                done += 1;
            }
        }
        self.counters.udp += media.iter().filter(|work| batch.reassembled(work).is_none()).count() as u64;
    }
}

/// What of a batch no worker saw and is still to be done.
struct Direct<'a> {
    /// Ticks, and what was not delivered.
    ticks: &'a [Work],
    media: &'a [MediaWork],
    /// Where the flow of each of `media` was found when the batch began, and [`AHEAD`] more that are none.
    flows: &'a [FlowHint],
    batch: MediaBatch<'a>,
}

impl<'a> Direct<'a> {
    /// Whether there is something up to that sequence number.
    #[inline]
    fn is_due(&self, until: u64) -> bool {
        self.ticks.first().is_some_and(|tick| tick.sequence <= until)
            || self.media.first().is_some_and(|work| work.sequence <= until)
    }

    /// Takes the datagrams up to that sequence number.
    fn media_until(&mut self, until: u64) -> (&'a [MediaWork], &'a [FlowHint]) {
        let is_due = |work: &MediaWork| work.sequence <= until;
        let due = match self.media.last() {
            Some(last) if !is_due(last) => self.media.partition_point(is_due),
            _ => self.media.len(),
        };
        let flows = self.flows.get(..due + AHEAD).unwrap_or_default();
        let taken = (self.media.get(..due).unwrap_or_default(), flows);
        self.media = self.media.get(due..).unwrap_or_default();
        self.flows = self.flows.get(due..).unwrap_or_default();
        taken
    }
}

/// Messages that follow each other, each with those of its worker.
type Group<'a> = SmallVec<[(&'a Messages, &'a Message); GROUP]>;

/// Walks the messages of all workers in the order of their sequence numbers.
struct Merge<'a> {
    outputs: &'a [Messages],
    cursors: SmallVec<[usize; 8]>,
}

impl<'a> Merge<'a> {
    fn new(outputs: &'a [Messages]) -> Self {
        Self { outputs, cursors: SmallVec::from_elem(0, outputs.len()) }
    }

    /// The next messages, as many as are looked up together.
    fn group(&mut self) -> Group<'a> {
        // Those of one worker are in order, as they are.
        if let ([messages], [cursor]) = (self.outputs, &mut self.cursors[..]) {
            let list = messages.list.get(*cursor..).unwrap_or_default();
            let list = list.get(..GROUP).unwrap_or(list);
            *cursor += list.len();
            return list.iter().map(|message| (messages, message)).collect();
        }
        self.by_ref().take(GROUP).collect()
    }
}

impl<'a> Iterator for Merge<'a> {
    type Item = (&'a Messages, &'a Message);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let heads = self.outputs.iter().zip(&mut self.cursors);
        let next =
            heads.filter_map(|(messages, cursor)| Some((messages, messages.list.get(*cursor)?, cursor)));
        let (messages, message, cursor) =
            next.min_by_key(|(_, message, _)| (message.sequence, message.connection()))?;
        *cursor += 1;
        Some((messages, message))
    }
}
