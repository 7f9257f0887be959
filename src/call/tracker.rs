//! The one owner of every call: messages, media and ticks in capture order go in.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hash, Hasher};
use std::time::Duration;

use foldhash::fast::RandomState;
use smallvec::SmallVec;

use super::bindings::{Bindings, Registration};
use super::census::Census;
use super::deadlines::{Deadlines, Entry, Fired};
use super::dialog::{Activity, Announced, Dialog, Directions, Look, Step, TRANSACTION_TIMEOUT};
use super::filter::Filter;
use super::firsts::firsts;
use super::legs::{LegSettings, Legs};
use super::listener::{About, Delivery, Listener, MediaFrame, Wants};
use super::mark::Mark;
use super::record::{CallKind, CallResult, CallState};
use super::report::Archive;
use super::seen::Copy;
use super::signalling::{self, NamedDialog, Unnamed};
use super::tally::Tally;
use super::told::MAX_VALUE;
use crate::flow::{Endpoint, Index};
use crate::media::{
    self, CallRef, Claim, Effects, EndpointId, FlowHint, MediaTable, Payload, Sighting, Stranger, next_port,
};
use crate::near::{fetch, steps};
use crate::pipeline::View;
use crate::sip::header::{Name, values};
use crate::sip::sdp::{Candidate, DISCARD, Format, Media, MediaFlow, MediaKind};
use crate::sip::{Carriage, Message, Messages, Method, Rare, Span, StartLine};
use crate::slots::Slots;
use crate::time::{PacketTime, Timestamp};

/// Caps of the tracker.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Dialogs at a time. At the cap the oldest goes, counted.
    pub max_dialogs: usize,
    /// How long an answered call may stay without signalling and media.
    pub idle_timeout: Duration,
    /// Keys of calls that wait for their other leg.
    pub max_waiting: usize,
    /// Caps of media.
    pub media: media::Limits,
}

/// What to follow and keep.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Which calls to keep.
    pub filter: Filter,
    /// Keep REGISTER dialogs too.
    pub registrations: bool,
    /// Keep every other dialog too: OPTIONS, SUBSCRIBE, MESSAGE, PUBLISH.
    pub others: bool,
    /// Media frames go to their call's listener too.
    pub media_frames: bool,
    /// Records tell which keys were pressed, not only how many.
    pub digits: bool,
    /// Which legs are followed.
    pub legs: LegSettings,
    /// Somebody may ask about calls that are up, their other legs too, and who is registered where.
    pub is_asked: bool,
}

/// A UDP datagram that is not SIP, with what it was captured in.
#[derive(Clone, Copy, Debug)]
pub struct MediaPacket<'a> {
    /// The datagram.
    pub datagram: media::Datagram<'a>,
    /// Index of its packet in the batch.
    pub packet: u32,
    /// Index of the reassembled datagram that it is, if it came in fragments.
    pub reassembled: Option<u32>,
}

/// Where a dialog was when it was looked for; it may be somewhere else by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DialogHint(u32);

impl DialogHint {
    /// It was not looked for, or there was none.
    pub const NONE: Self = Self(u32::MAX);
}

/// Dialogs, or their files, that are looked up together before the first is used.
pub(crate) const GROUP: usize = 16;

/// The beginning of a dialog and its steps.
type Steps = SmallVec<[Option<Step>; 4]>;

/// Slots of so many.
type Group = SmallVec<[u32; GROUP]>;

/// What a dialog needs to be closed is fetched so many dialogs before it.
const CLOSINGS_AHEAD: usize = 2;

/// A call that is over is kept for its media where the latest packet of that is no older when the call was to be closed. Phones
/// that stream on for a moment, as all do, have stopped long before.
const STREAMS_ON: Duration = Duration::from_secs(16);

/// At the cap, one dialog of so many is found to be one of the oldest at once.
const OLDEST_PART: usize = 64;

/// What a tracker follows at present.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrackerGauges {
    /// Dialogs of any kind, those that ended a moment ago too.
    pub dialogs: u64,
    /// Calls that are not answered yet.
    pub early: u64,
    /// Calls that are up.
    pub confirmed: u64,
    /// Media flows.
    pub flows: u64,
    /// Of these, flows that no SDP has announced.
    pub unclaimed_flows: u64,
    /// Bindings of registrations that have not expired.
    pub bindings: u64,
}

/// Every dialog and every media flow.
#[derive(Debug)]
pub struct Tracker {
    limits: Limits,
    pub(super) settings: Settings,
    /// The filter does not keep everything.
    is_filtered: bool,
    /// Somebody is told of dialogs later than when they begin, or may ask about them: their text is kept.
    is_told: bool,
    wants: Wants,
    pub(super) dialogs: Slots<Dialog>,
    free: Vec<u32>,
    index: Index,
    /// Which dialog of the run is in each slot, 0 where there is none: who is oldest, without a look at each dialog.
    numbers: Vec<u64>,
    /// The oldest dialogs when it was last looked for them: numbers and slots.
    oldest: VecDeque<(u64, u32)>,
    hasher: RandomState,
    deadlines: Deadlines,
    begun: bool,
    number: u64,
    pub(super) media: MediaTable,
    effects: Effects,
    archive: Archive,
    fired: Vec<Entry>,
    pub(super) census: Census,
    /// None where nobody is told of legs.
    pub(super) legs: Option<Box<Legs>>,
    /// Calls up: not answered yet, and answered.
    active: [u64; 2],
    tally: Tally,
    bindings: Bindings,
    pub(super) unnamed: Unnamed,
    /// The latest tick.
    time: PacketTime,
}

impl Tracker {
    /// A tracker that knows nothing yet.
    #[must_use]
    pub fn new(limits: Limits, mut settings: Settings, wants: Wants) -> Self {
        let bindings = Bindings::new(settings.is_asked);
        Self {
            legs: Self::follows_legs(&mut settings, wants.records, limits.max_waiting),
            media: MediaTable::new(limits.media),
            limits,
            is_filtered: !settings.filter.is_empty(),
            is_told: wants != Wants { frames: wants.frames, ..Wants::default() } || settings.is_asked,
            settings,
            wants,
            dialogs: Slots::default(),
            free: Vec::new(),
            index: Index::default(),
            numbers: Vec::new(),
            oldest: VecDeque::new(),
            hasher: RandomState::default(),
            deadlines: Deadlines::new(),
            begun: false,
            number: 0,
            effects: Effects::default(),
            archive: Archive::default(),
            fired: Vec::new(),
            census: Census::default(),
            active: [0; 2],
            tally: Tally::default(),
            bindings,
            unnamed: Unnamed::default(),
            time: PacketTime::default(),
        }
    }

    /// What was counted so far.
    #[must_use]
    pub const fn census(&self) -> &Census {
        &self.census
    }

    /// What media counted so far.
    #[must_use]
    pub const fn media_counters(&self) -> &media::Counters {
        self.media.counters()
    }

    /// First copies and retransmissions so far.
    #[must_use]
    pub const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// What time it is to a tick, as packets are stamped now.
    #[must_use]
    pub const fn stamp(&self) -> Timestamp {
        self.time.stamp
    }

    /// Who is registered where.
    #[must_use]
    pub const fn bindings(&self) -> &Bindings {
        &self.bindings
    }

    /// What is followed at present.
    #[must_use]
    pub fn gauges(&self) -> TrackerGauges {
        // Where time does not matter: sums of steps are what a count of the table gives.
        debug_assert_eq!(self.active, self.count_active());
        let [early, confirmed] = self.active;
        TrackerGauges {
            dialogs: self.len() as u64,
            early,
            confirmed,
            flows: self.media.len() as u64,
            unclaimed_flows: self.media.unclaimed() as u64,
            bindings: self.bindings.len() as u64,
        }
    }

    fn count_active(&self) -> [u64; 2] {
        let count = |activity| {
            let up = |dialog: &Dialog| dialog.in_use && dialog.activity() == Some(activity);
            self.dialogs.iter().filter(|(dialog, _)| up(dialog)).count() as u64
        };
        [count(Activity::Early), count(Activity::Confirmed)]
    }

    /// A dialog was active in one way and is in another now.
    fn moved(&mut self, before: Option<Activity>, after: Option<Activity>) {
        if before == after {
            return;
        }
        let mut change = |activity: Option<Activity>, by: fn(u64) -> u64| {
            let count = activity.and_then(|activity| self.active.get_mut(activity as usize));
            count.into_iter().for_each(|count| *count = by(*count));
        };
        change(before, |count| count.saturating_sub(1));
        change(after, |count| count.saturating_add(1));
    }

    /// Dialogs at present.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is no dialog at present.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Tells where the dialogs of what is about to come probably are, at most sixteen messages, all looked up before the first is
    /// used, and fetches the endpoints that it announces: they are waited for together then. For the same reason nothing here
    /// waits for what was found the moment before.
    pub fn look_up(&self, group: &[(&Messages, &Message)], listener: &dyn Listener) -> [DialogHint; GROUP] {
        group.iter().for_each(|(_, message)| self.index.fetch(message.head.keys.call_id));
        let mut hints = [DialogHint::NONE; GROUP];
        for (hint, (_, message)) in hints.iter_mut().zip(group) {
            let likely = self.index.find(message.head.keys.call_id, |_| true);
            likely.into_iter().for_each(|slot| hint.0 = slot);
        }
        let media = group.iter().flat_map(|(messages, message)| descriptions(message, messages));
        self.media.touch_endpoints(media.map(|media| media.endpoint));
        if self.wants.frames {
            let known = hints.iter().filter(|hint| **hint != DialogHint::NONE).map(|hint| hint.0);
            listener.touch(&known.collect::<Group>());
        }
        hints
    }

    /// Fetches the dialog of a message that comes soon, and what tells its datagram.
    #[inline]
    pub fn touch(&self, hint: DialogHint, message: &Message, view: &View<'_>) {
        Mark::touch(message, view);
        if let Some(dialog) = self.dialogs.get(hint.0 as usize) {
            dialog.touch_for(message);
            self.media.touch_call(hint.0);
        }
    }

    /// Fetches the dialog that whoever is new next gets.
    fn touch_free(&self) {
        let Some(&slot) = self.free.last() else { return };
        self.dialogs.get(slot as usize).into_iter().for_each(Dialog::touch_all);
        self.media.touch_call(slot);
    }

    /// Calls `close` with the number of each dialog in these slots, which it may close. They, their endpoints and their files are
    /// fetched before.
    fn each_closing(
        &mut self,
        slots: impl Iterator<Item = u32>,
        listener: &mut dyn Listener,
        close: impl Fn(&mut Self, usize, &mut dyn Listener),
    ) {
        let slots: Group = slots.collect();
        if self.wants.frames {
            listener.touch(&slots);
        }
        for (soon, turn) in steps(slots.len(), CLOSINGS_AHEAD) {
            self.touch_closing(&slots, soon);
            turn.into_iter().for_each(|turn| close(self, turn, listener));
        }
    }

    /// Fetches the dialog in slot number `soon` of those that may be closed, and the endpoints of the one before it, which was
    /// fetched the step before.
    fn touch_closing(&self, slots: &[u32], soon: usize) {
        let dialog = |index: usize| self.dialogs.get(*slots.get(index)? as usize);
        dialog(soon).into_iter().for_each(Dialog::touch_all);
        if let Some(dialog) = soon.checked_sub(1).and_then(dialog) {
            let announced = dialog.endpoints.iter();
            self.media.touch_announced(announced.map(|announced| (announced.id, announced.endpoint)));
            self.index.fetch(dialog.hash);
        }
    }

    /// Takes the next message, whose dialog is probably there.
    pub fn message(&mut self, hint: DialogHint, delivery: &Delivery<'_>, listener: &mut dyn Listener) {
        let Delivery { message, bytes, messages, .. } = *delivery;
        self.begin(PacketTime::plain(message.timestamp));
        if message.completes {
            self.complete(delivery, listener);
            return;
        }
        self.census.message(message, bytes);
        let head = &message.head;
        if head.call_id.is_empty() {
            return;
        }
        let look = Look { message, head, bytes: head.known(bytes) };
        let slot = self.slot(hint, &look, listener);
        let identity = self.identity(&look);
        let Some(dialog) = self.dialogs.get_mut(slot as usize) else { return };
        let was_call = dialog.kind == Some(CallKind::Call);
        let was = dialog.activity();
        let (copy, step) = dialog.observe(&look, identity, Mark::of(delivery));
        if step == Some(Step::Answered) {
            self.census.performance.answered(dialog);
        }
        let became_call = !was_call && dialog.kind == Some(CallKind::Call);
        if became_call {
            self.census.calls += 1;
        }
        let is = dialog.activity();
        self.moved(was, is);
        self.tally.count(copy, &head.start, look.about());
        match copy {
            Copy::Retransmission => self.census.retransmissions += 1,
            Copy::Duplicate => self.census.duplicates += 1,
            Copy::First => self.census.answered += u64::from(step == Some(Step::Answered)),
        }
        let newly_wanted = self.want(slot, &look);
        self.tell_kept(slot, became_call || newly_wanted, listener);
        // What a stream of the other side says once more is no part of the stream that is written.
        if self.wants.frames && (copy != Copy::Duplicate || !message.is_of_both_sides()) {
            listener.message(slot, delivery);
        }
        if copy == Copy::First {
            let media = descriptions(message, messages);
            self.pace(slot, &look, media);
            self.follow_leg(slot, &look, media);
            if !media.is_empty() {
                self.describe(slot, &look, media, listener);
            }
            self.register(slot, &look);
            self.replace(slot, &look);
        }
        self.after(slot, step, became_call || newly_wanted, listener);
    }

    /// The rest of a message has come that was told as far as it went. It is not told again: its call gets the frames, and the user agent
    /// and the media that the rest tells of; and it may be kept for what the rest says.
    #[cold]
    #[inline(never)]
    fn complete(&mut self, delivery: &Delivery<'_>, listener: &mut dyn Listener) {
        let Delivery { message, bytes, messages, view } = *delivery;
        let look = Look { message, head: &message.head, bytes: message.head.known(bytes) };
        let Some(slot) = self.find(message.head.keys.call_id) else { return };
        let newly_wanted = self.want(slot, &look);
        self.tell_kept(slot, newly_wanted, listener);
        if let Carriage::Datagram(index) = message.carriage
            && self.wants.frames
        {
            frames((u32::MAX, Some(index)), view).for_each(|frame| listener.media(slot, &frame));
        }
        if let Some(told) = self.dialogs.get_mut(slot as usize).and_then(|dialog| dialog.told.as_mut())
            && look.head.keys.agent != 0
        {
            told.note_agent(&look);
        }
        let media = descriptions(message, messages);
        if !media.is_empty() {
            self.describe(slot, &look, media, listener);
        }
        self.after(slot, None, newly_wanted, listener);
    }

    /// A dialog is to take the place of another one, which is not given up by whoever ends it then; or that was refused, and
    /// the other one goes on.
    #[inline]
    fn replace(&mut self, slot: u32, look: &Look<'_>) {
        if let Some(named) = signalling::replaced(look) {
            let is_invite = look.method() == Some(Method::Invite);
            let by = if is_invite { look.head.call_id.of(look.bytes) } else { &[] };
            self.set_replaced(named, (true, by));
        } else if matches!(look.about(), Method::Refer | Method::Notify)
            && let Some(dialog) = self.dialogs.get_mut(slot as usize)
            && let Some((named, is_replaced)) = dialog.decided_transfer()
        {
            self.set_replaced(named, (is_replaced, &[]));
        }
    }

    /// A dialog is replaced, by one with that Call-ID if it is known, or is not after all.
    fn set_replaced(&mut self, named: NamedDialog, (is_replaced, by): (bool, &[u8])) {
        let dialog = self.find(named.call_id).and_then(|slot| self.dialogs.get_mut(slot as usize));
        let dialog = dialog.filter(|dialog| dialog.is(named));
        dialog.into_iter().for_each(|dialog| dialog.set_replaced(is_replaced, by));
    }

    /// Learns from the answer to a REGISTER who is reached where.
    #[inline]
    fn register(&mut self, slot: u32, look: &Look<'_>) {
        let (head, bytes) = (look.head, look.bytes);
        let StartLine::Response { status: 200..=299, .. } = head.start else { return };
        if head.cseq_method != Method::Register {
            return;
        }
        let Some(dialog) = self.dialogs.get_mut(slot as usize) else { return };
        let learned = self.bindings.learn(&Registration {
            head,
            bytes,
            source: dialog.source,
            registrar: dialog.destination,
            client: look.message.destination,
            server: look.message.source,
            user_agent: dialog.agents().next().unwrap_or_default(),
            contact: dialog.contact(),
            asked: self.time.bound(dialog.progress),
            now: self.time.bound(look.message.timestamp),
        });
        dialog.bound(&learned, look.message.timestamp);
        self.census.bindings = self.bindings.counts();
    }

    /// What a first copy says about the pace of its transaction, and about the media of an established call.
    #[inline]
    fn pace(&mut self, slot: u32, look: &Look<'_>, media: &[Media]) {
        let Some(dialog) = self.dialogs.get_mut(slot as usize) else { return };
        if let Some(took) = dialog.signalling.pace.observe(look, dialog.born) {
            self.census.performance.response(look.about(), took);
        }
        let may_change = match look.about() {
            Method::Invite | Method::Update => true,
            Method::Ack => !media.is_empty(),
            _ => false,
        };
        if may_change && dialog.is_answered {
            dialog.change(look, media);
        }
    }

    /// Looks up the flows of what is about to come, as [`Self::touch`] does dialogs.
    #[inline]
    pub fn look_up_flows(&mut self, hashes: impl Iterator<Item = u64>, found: &mut Vec<FlowHint>) {
        self.media.look_up(hashes, found);
    }

    /// Takes datagrams that are not SIP as long as they are usual packets of media; tells how many those are. The one
    /// behind them is for [`Self::media`], as are all when their frames are asked for.
    #[inline]
    pub fn usual_media<'a>(
        &mut self,
        datagrams: impl Iterator<Item = (FlowHint, FlowHint, Sighting<'a>)>,
    ) -> usize {
        if self.wants.frames && self.settings.media_frames { 0 } else { self.media.usual(datagrams) }
    }

    /// Passes over datagrams whose flows nobody knows, as long as it is plain that no call has to do with them. Tells how
    /// many those are.
    #[inline]
    pub fn nobodys_media<'a>(&self, datagrams: impl Iterator<Item = Stranger<'a>>) -> usize {
        self.media.nobodys(datagrams)
    }

    /// Takes the next datagram that is not SIP; `hint` is where its flow probably is. Tells what it is and whether it
    /// belongs to a call.
    #[inline]
    pub fn media(
        &mut self,
        hint: FlowHint,
        packet: &MediaPacket<'_>,
        view: &View<'_>,
        listener: &mut dyn Listener,
    ) -> (Payload, bool) {
        let finding = self.media.packet(hint, &packet.datagram, &self.dialogs, &mut self.effects);
        if !self.effects.is_empty() {
            self.settle(listener);
        }
        if self.wants.frames && self.settings.media_frames {
            self.deliver_media(finding.flow, (packet.packet, packet.reassembled), view, listener);
        }
        (finding.payload, finding.is_owned)
    }

    /// Gives a packet's frame, or those of its fragments, to the calls that its flow belongs to.
    #[inline(never)]
    fn deliver_media(
        &mut self,
        flow: Option<u32>,
        carrier: (u32, Option<u32>),
        view: &View<'_>,
        listener: &mut dyn Listener,
    ) {
        let Some(flow) = flow else { return };
        let owners = self.media.owners(flow);
        for frame in frames(carrier, view) {
            for call in owners.as_slice() {
                listener.media(call.slot, &frame);
            }
            if owners.is_empty() {
                self.media.keep(flow, frame.packet, frame.frame);
            }
        }
    }

    /// It is that time now: what is over is over.
    pub fn tick(&mut self, time: PacketTime, listener: &mut dyn Listener) {
        self.begin(time);
        self.time = time;
        self.media.expire(time);
        self.bindings.expire(time);
        self.census.bindings = self.bindings.counts();
        let now = time.now;
        let mut fired = std::mem::take(&mut self.fired);
        self.deadlines.expire(now, &mut fired);
        for group in fired.chunks(GROUP) {
            let due = self.due_of(group, now);
            self.each_closing(due.iter().map(|entry| entry.slot), listener, |tracker, turn, listener| {
                due.get(turn).into_iter().for_each(|entry| tracker.due(*entry, now, listener));
            });
        }
        fired.clear();
        self.fired = fired;
        let armed = |entry: &Entry| {
            let dialog = self.dialogs.get(entry.slot as usize)?;
            dialog.is_of(entry.generation).then_some(dialog.armed)
        };
        self.deadlines.tidy(self.index.len(), armed);
        listener.tick(now);
    }

    /// Of the entries that fired those whose dialogs are due; the others' time has been put off.
    fn due_of(&mut self, group: &[Entry], now: Timestamp) -> SmallVec<[Entry; GROUP]> {
        // Of most, all that is needed is in one cache line.
        let dialogs = group.iter().filter_map(|entry| self.dialogs.get(entry.slot as usize));
        dialogs.for_each(|dialog| fetch(&dialog.armed));
        let is_due = |entry: &&Entry| {
            let dialog = self.dialogs.get_mut(entry.slot as usize);
            dialog
                .filter(|dialog| dialog.is_of(entry.generation))
                .is_some_and(|dialog| self.deadlines.fired(**entry, &mut dialog.armed, now) == Fired::Due)
        };
        group.iter().filter(is_due).copied().collect()
    }

    /// The input is over: every dialog is closed, those that were not over as open.
    pub fn finish(&mut self, time: PacketTime, listener: &mut dyn Listener) {
        self.tick(time, listener);
        self.media.finish();
        let mut open = self.numbered();
        open.sort_unstable();
        for group in open.chunks(GROUP) {
            self.each_closing(group.iter().map(|&(_, slot)| slot), listener, |tracker, turn, listener| {
                let Some(&(_, slot)) = group.get(turn) else { return };
                tracker.hear_media(slot);
                tracker.conclude(slot, listener);
            });
        }
    }

    /// Tells a dialog when its media was last heard.
    fn hear_media(&mut self, slot: u32) {
        let Some(dialog) = self.dialogs.get_mut(slot as usize) else { return };
        if dialog.state != Some(CallState::Ended) {
            let endpoints = dialog.endpoints.iter();
            let media = endpoints.filter_map(|announced| self.media.last_packet(announced.id)).max();
            media.into_iter().for_each(|at| dialog.hear_media(at));
        }
    }

    /// Begins with the first tick, or with the first message where none was before it.
    fn begin(&mut self, time: PacketTime) {
        if !self.begun {
            self.begun = true;
            self.time = time;
            self.deadlines.begin(time.now);
            self.bindings.begin(time.now);
            self.media.begin(time);
        }
    }

    /// Finds the message's dialog, or makes one.
    fn slot(&mut self, hint: DialogHint, look: &Look<'_>, listener: &mut dyn Listener) -> u32 {
        let hash = look.head.keys.call_id;
        let is_it = |dialog: &Dialog| dialog.hash == hash && dialog.in_use;
        let is_there = self.dialogs.get(hint.0 as usize).is_some_and(is_it);
        if let Some(slot) = if is_there { Some(hint.0) } else { self.find(hash) } {
            let is_reused = self.dialogs.get(slot as usize).is_some_and(|dialog| dialog.is_reused_by(look));
            if !is_reused {
                return slot;
            }
            self.conclude(slot, listener);
        }
        self.open(look, listener)
    }

    /// The dialog of the Call-ID with that hash. Its 64 bits depend on a secret of this process: nobody outside can make
    /// two Call-IDs share one, and the text, which lies elsewhere, need not be compared.
    #[inline]
    pub(super) fn find(&self, hash: u64) -> Option<u32> {
        self.index
            .find(hash, |slot| self.dialogs.get(slot as usize).is_some_and(|dialog| dialog.hash == hash))
    }

    fn open(&mut self, look: &Look<'_>, listener: &mut dyn Listener) -> u32 {
        let hash = look.head.keys.call_id;
        if self.len() >= self.limits.max_dialogs {
            self.evict(listener);
        }
        let slot = self.free.pop().unwrap_or_else(|| self.dialogs.push(Dialog::default()));
        self.touch_free();
        let Some(dialog) = self.dialogs.get_mut(slot as usize) else { return slot };
        self.number += 1;
        dialog.reset(hash, self.is_told);
        if self.numbers.len() <= slot as usize {
            self.numbers.resize(slot as usize + 1, 0);
        }
        self.numbers.get_mut(slot as usize).into_iter().for_each(|number| *number = self.number);
        dialog.begin(look);
        dialog.wanted = !self.is_filtered;
        match dialog.kind {
            Some(CallKind::Call) => self.census.calls += 1,
            Some(CallKind::Registration) => self.census.registrations += 1,
            _ => {}
        }
        let activity = dialog.activity();
        self.census.call_id(hash);
        if self.wants != Wants::default() {
            let kept = is_kept(&self.settings, dialog);
            listener.opened(slot, &about(dialog, look, kept));
        }
        self.index.insert(hash, slot);
        self.moved(None, activity);
        slot
    }

    /// The table is full: the oldest dialog goes.
    fn evict(&mut self, listener: &mut dyn Listener) {
        if !self.evict_oldest(listener) {
            self.find_oldest();
            self.evict_oldest(listener);
        }
    }

    /// Closes the oldest dialog of those that were found, if one of them is left.
    fn evict_oldest(&mut self, listener: &mut dyn Listener) -> bool {
        while let Some((number, slot)) = self.oldest.pop_front() {
            if self.numbers.get(slot as usize) == Some(&number) {
                self.census.evicted += 1;
                self.conclude(slot, listener);
                return true;
            }
        }
        false
    }

    /// Numbers of all dialogs, and their slots.
    fn numbered(&self) -> Vec<(u64, u32)> {
        self.numbers.iter().copied().zip(0..).filter(|&(number, _)| number > 0).collect()
    }

    /// Finds the oldest of all dialogs, a part of them at once: one walk over all serves many that are to go. Those
    /// that begin meanwhile are younger.
    fn find_oldest(&mut self) {
        self.oldest = firsts(self.numbered(), OLDEST_PART);
    }

    /// What makes a message itself within its call: another copy has the same.
    fn identity(&self, look: &Look<'_>) -> u64 {
        let message = look.message;
        let kind = match look.head.start {
            StartLine::Request { method, .. } => method as u16,
            StartLine::Response { status, .. } => 0x8000 | status,
        };
        let about = u64::from(kind) << 40 | u64::from(look.head.cseq_method as u8) << 32;
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u64(about | u64::from(look.head.cseq));
        hasher.write_u64(look.head.keys.branch);
        hasher.write_u64(look.head.keys.to_tag);
        if let StartLine::Response { status: 101..=199, .. } = look.head.start {
            // What follows may say more than the one before (RFC 3262 3).
            hasher.write_u32(look.head.body.length);
            if look.head.rare.has(Rare::RSEQ) {
                hasher.write(values(look.bytes, Name::RSeq).next().unwrap_or_default());
            }
        }
        (message.source, message.destination).hash(&mut hasher);
        hasher.finish()
    }

    /// Applies the filter; true when this message makes the call one to keep.
    fn want(&mut self, slot: u32, look: &Look<'_>) -> bool {
        if !self.is_filtered {
            return false;
        }
        let filter = &self.settings.filter;
        let Some(dialog) = self.dialogs.get_mut(slot as usize) else { return false };
        if dialog.matched || !filter.matches(look.head, look.bytes) {
            return false;
        }
        dialog.matched = true;
        dialog.wanted = !filter.invert;
        dialog.wanted
    }

    /// Takes the media of a message: a session description, or candidates that come after theirs.
    fn describe(&mut self, slot: u32, look: &Look<'_>, media: &[Media], listener: &mut dyn Listener) {
        let Some(dialog) = self.dialogs.get_mut(slot as usize) else { return };
        if look.message.sdp {
            dialog.keep_sections(look, media);
            // Whose place comes later (ICE) lets it flow there.
            let has_place = |media: &Media| is_claimable(media) || media.endpoint.port == DISCARD;
            let is_both_ways = |media: &Media| has_place(media) && may(media) == Directions::BOTH;
            dialog.note_directions(look, media.iter().any(is_both_ways));
            dialog.note_listener(look, media);
            self.claim(slot, look, media, listener);
        } else {
            let media = dialog.trickled(look, media);
            self.claim(slot, look, &media, listener);
        }
    }

    /// Registers the media endpoints that a message announces.
    fn claim(&mut self, slot: u32, look: &Look<'_>, media: &[Media], listener: &mut dyn Listener) {
        let Some(dialog) = self.dialogs.get_mut(slot as usize) else { return };
        let call = CallRef { slot, generation: dialog.generation };
        let by_caller = dialog.is_caller(look) == look.method().is_some();
        let described_by = describer(&self.hasher, look);
        if look.message.sdp {
            dialog.begin_description(described_by);
        }
        self.media.describe(call, by_caller);
        dialog.note_media(by_caller, media);
        // Attack: one endpoint with many flows, named by each candidate of each section.
        let mut claimed: SmallVec<[EndpointId; 8]> = SmallVec::new();
        let mut is_elsewhere = false;
        for media in media.iter().filter(|media| is_claimable(media)) {
            dialog.note_codecs(media);
            for Place { endpoint, formats, may, is_rtcp, is_candidate } in places(media) {
                let (id, since) = (EndpointId::default(), dialog.last);
                let mut announced = Announced {
                    endpoint,
                    id,
                    is_rtcp,
                    is_candidate,
                    by_caller,
                    may,
                    is_current: true,
                    described_by,
                    since,
                    opened_after: 0,
                };
                if !dialog.has_room_for(endpoint, is_candidate) {
                    let given_up = dialog.give_way(&announced, |id| self.media.is_heard(id));
                    let is_lost = given_up.is_none_or(|given_up| given_up.is_current);
                    self.census.endpoints_left_out += u64::from(is_lost);
                    let Some(given_up) = given_up else { continue };
                    self.media.withdraw(call, given_up.id, &mut self.effects);
                }
                let claim = Claim { endpoint, formats, srtp: media.srtp, kind: media.kind };
                announced.id = self.media.claim(call, &claim);
                if !claimed.contains(&announced.id) {
                    claimed.push(announced.id);
                }
                dialog.note_endpoint(announced);
                is_elsewhere |= self.media.has_unlisted(announced.id);
            }
        }
        if is_elsewhere || self.media.shares(call) {
            // What it said at one end may tell whose a flow at another is, and flows at a port of many calls are found there.
            claimed.clear();
            claimed.extend(dialog.endpoints.iter().map(|announced| announced.id));
        }
        self.media.settle_at(claimed.into_iter(), &self.dialogs, &mut self.effects);
        self.settle(listener);
    }

    /// Carries out what media says a change of ownership entails.
    fn settle(&mut self, listener: &mut dyn Listener) {
        if self.effects.is_empty() {
            return;
        }
        for (call, media) in self.effects.parted.drain(..) {
            let dialog = self.dialogs.get_mut(call.slot as usize);
            if let Some(dialog) = dialog.filter(|dialog| dialog.is_of(call.generation)) {
                self.census.streams_left_out += self.archive.keep(dialog, media);
            }
        }
        for (call, stored) in self.effects.backlog.drain(..) {
            listener.media(call.slot, &MediaFrame { packet: &stored.packet, frame: &stored.frame });
        }
    }

    /// Tells what a message changed, and when to look again. Of a dialog that may have become one to keep with it, all steps before.
    fn after(&mut self, slot: u32, step: Option<Step>, may_be_news: bool, listener: &mut dyn Listener) {
        let Some(dialog) = self.dialogs.get_mut(slot as usize) else { return };
        let (since, wait) = dialog.waits(self.limits.idle_timeout);
        let (due, generation) = (self.time.bound(since).after(wait), dialog.generation);
        self.deadlines.set(slot, generation, &mut dialog.armed, due);
        let is_new = dialog.messages.saturating_add(dialog.duplicates) == 1;
        if self.wants.events && (may_be_news || (is_new && dialog.wanted)) {
            let before = dialog.steps().filter(|it| it.is_none() || *it != step);
            before.collect::<Steps>().into_iter().for_each(|before| self.tell(slot, before, listener));
        }
        match step {
            Some(Step::Ended) => self.ended(slot, listener),
            Some(step) => self.tell(slot, Some(step), listener),
            None => {}
        }
    }

    fn ended(&mut self, slot: u32, listener: &mut dyn Listener) {
        let Some(dialog) = self.dialogs.get(slot as usize) else { return };
        self.census.performance.ended(dialog);
        // It was refused: the one that it was to replace goes on.
        let refused = dialog.not_replaced();
        let call = CallRef { slot, generation: dialog.generation };
        let endpoints = dialog.endpoints.iter().map(|announced| announced.id);
        self.media.end(call, endpoints, &self.dialogs, &mut self.effects);
        self.settle(listener);
        refused.into_iter().for_each(|named| self.set_replaced(named, (false, &[])));
        if self.wants.frames {
            listener.ended(slot);
        }
        self.tell(slot, Some(Step::Ended), listener);
    }

    /// Tells of a step, or of the beginning.
    fn tell(&self, slot: u32, step: Option<Step>, listener: &mut dyn Listener) {
        if !self.wants.events {
            return;
        }
        let Some(dialog) = self.dialogs.get(slot as usize) else { return };
        if !self.settings.filter.invert {
            self.tell_of(slot, dialog, step, listener);
        } else if step == Some(Step::Ended) && dialog.kind != Some(CallKind::Call) {
            // Others have an end with each answer, and begin once.
            if dialog.attempted == dialog.start {
                self.tell_of(slot, dialog, None, listener);
            }
            self.tell_of(slot, dialog, step, listener);
        }
    }

    /// Whether an inverted filter keeps a call is known only when nothing more of it comes: its steps are told then.
    fn tell_inverted(&self, slot: u32, dialog: &Dialog, listener: &mut dyn Listener) {
        let is_call = dialog.kind == Some(CallKind::Call);
        if self.wants.events && self.settings.filter.invert && is_call {
            dialog.steps().for_each(|step| self.tell_of(slot, dialog, step, listener));
        }
    }

    fn tell_of(&self, slot: u32, dialog: &Dialog, step: Option<Step>, listener: &mut dyn Listener) {
        let kept = is_kept(&self.settings, dialog);
        let is_audited = || matches!(dialog.kind, Some(CallKind::Call | CallKind::Registration));
        if kept || (self.wants.audit && is_audited() && passes(&self.settings, dialog)) {
            listener.event(slot, &dialog.event(step, kept));
        }
    }

    /// Says that a dialog has become one to keep: by a message that matched, or by an INVITE after another request.
    fn tell_kept(&self, slot: u32, may_be_news: bool, listener: &mut dyn Listener) {
        if !may_be_news || !self.wants.frames {
            return;
        }
        let Some(dialog) = self.dialogs.get(slot as usize) else { return };
        if is_kept(&self.settings, dialog) {
            listener.kept(slot);
        }
    }

    /// A dialog's time is over: it timed out, or what followed its end is past.
    fn due(&mut self, entry: Entry, now: Timestamp, listener: &mut dyn Listener) {
        let (slot, idle_timeout) = (entry.slot, self.limits.idle_timeout);
        if !self.dialogs.get(slot as usize).is_some_and(|dialog| dialog.is_of(entry.generation)) {
            return;
        }
        self.hear_media(slot);
        let Some(dialog) = self.dialogs.get_mut(slot as usize) else { return };
        // From a stamp that is far off it was counted otherwise, and is over.
        let (since, wait) = dialog.waits(idle_timeout);
        let due = self.time.of(since).map_or(dialog.armed.due, |since| since.after(wait));
        let is_over = dialog.state == Some(CallState::Ended);
        let goes_on = if is_over && due <= now { self.streams_on(slot, now) } else { None };
        let due = goes_on.unwrap_or(due);
        let Some(dialog) = self.dialogs.get_mut(slot as usize) else { return };
        if due > now {
            let generation = dialog.generation;
            self.deadlines.set(slot, generation, &mut dialog.armed, due);
        } else if is_over {
            self.close(slot, listener);
        } else if self.end(slot, |dialog| dialog.time_out(idle_timeout), listener)
            && let Some(dialog) = self.dialogs.get_mut(slot as usize)
        {
            let (generation, due) = (dialog.generation, now.after(TRANSACTION_TIMEOUT));
            self.deadlines.set(slot, generation, &mut dialog.armed, due);
        }
    }

    /// Until when a call is kept that is over, and whose media flows on: one end has not heard of it, or hangs. What is the next
    /// call's at its ports says nothing of it.
    fn streams_on(&self, slot: u32, now: Timestamp) -> Option<Timestamp> {
        let dialog = self.dialogs.get(slot as usize)?;
        let call = CallRef { slot, generation: dialog.generation };
        let endpoints = dialog.endpoints.iter();
        let last = endpoints.filter_map(|announced| self.media.last_packet_of(call, announced.id)).max();
        let (last, end) = (self.time.of(last?)?, self.time.of(dialog.end?)?);
        let is_kept = now.since(last) < STREAMS_ON && now.since(end) < self.limits.idle_timeout;
        is_kept.then(|| last.after(TRANSACTION_TIMEOUT))
    }

    /// Ends a dialog without a message, if there is reason to.
    fn end(
        &mut self,
        slot: u32,
        step: impl FnOnce(&mut Dialog) -> Option<Step>,
        listener: &mut dyn Listener,
    ) -> bool {
        let Some(dialog) = self.dialogs.get_mut(slot as usize) else { return false };
        let was = dialog.activity();
        let has_ended = step(dialog).is_some();
        if has_ended {
            self.moved(was, None);
            self.ended(slot, listener);
        }
        has_ended
    }

    /// Nothing more of a dialog is heard.
    fn conclude(&mut self, slot: u32, listener: &mut dyn Listener) {
        let idle_timeout = self.limits.idle_timeout;
        self.end(slot, |dialog| dialog.conclude(idle_timeout), listener);
        self.close(slot, listener);
    }

    /// The dialog is over for good.
    fn close(&mut self, slot: u32, listener: &mut dyn Listener) {
        self.settle_legs(slot);
        let Some(dialog) = self.dialogs.get(slot as usize) else { return };
        let (hash, generation) = (dialog.hash, dialog.generation);
        let kept = is_kept(&self.settings, dialog);
        let is_call = dialog.kind == Some(CallKind::Call);
        let was = dialog.activity();
        if is_call {
            self.census.kept += u64::from(kept);
            self.census.result(dialog.result.unwrap_or(CallResult::Open));
            self.census.performance.closed(dialog);
        }
        let told = (kept && self.wants.records).then(|| {
            let (media, left_out) = self.told_media(slot, dialog);
            (self.record(slot, dialog, media), left_out)
        });
        self.tell_inverted(slot, dialog, listener);
        if self.wants != Wants::default() {
            let (record, left_out) = told.unzip();
            self.census.streams_left_out += left_out.unwrap_or_default();
            listener.closed(slot, kept, record);
        }
        self.moved(was, None);
        self.leave_session(slot);
        self.forget_media(slot, CallRef { slot, generation }, listener);
        self.index.remove(hash, slot);
        if let Some(dialog) = self.dialogs.get_mut(slot as usize) {
            dialog.in_use = false;
            self.free.push(slot);
            self.numbers.get_mut(slot as usize).into_iter().for_each(|number| *number = 0);
        }
    }

    fn forget_media(&mut self, slot: u32, call: CallRef, listener: &mut dyn Listener) {
        let Some(dialog) = self.dialogs.get_mut(slot as usize) else { return };
        self.archive.forget(dialog);
        for announced in std::mem::take(&mut dialog.endpoints) {
            self.media.close(call, announced.id);
        }
        self.settle(listener);
    }
}

/// Whether a dialog is one of those that the user wants files, records and events of.
fn is_kept(settings: &Settings, dialog: &Dialog) -> bool {
    let kind = match dialog.kind {
        Some(CallKind::Call) => true,
        Some(CallKind::Registration) => settings.registrations,
        _ => settings.others,
    };
    kind && passes(settings, dialog)
}

/// Whether the filter leaves it.
fn passes(settings: &Settings, dialog: &Dialog) -> bool {
    dialog.wanted || (settings.filter.invert && !dialog.matched)
}

fn about<'a>(dialog: &Dialog, look: &Look<'a>, kept: bool) -> About<'a> {
    let text = |span: Span| {
        let text = span.of(look.bytes);
        text.get(..MAX_VALUE).unwrap_or(text)
    };
    About {
        call_id: text(look.head.call_id),
        from: text(look.head.from_uri),
        to: text(look.head.to_uri),
        kind: dialog.kind.unwrap_or(CallKind::Other),
        start: dialog.start,
        message: look.bytes,
        kept,
    }
}

fn descriptions<'a>(message: &Message, messages: &'a Messages) -> &'a [Media] {
    let (first, end) = message.media;
    messages.media.get(first as usize..end as usize).unwrap_or_default()
}

/// Who a description is of, and over which hop: what comes later from there takes its place. A proxy may have rewritten it on
/// another hop, and branches of a fork have tags of their own.
fn describer(hasher: &RandomState, look: &Look<'_>) -> u32 {
    let keys = &look.head.keys;
    let message = look.message;
    let mut hasher = hasher.build_hasher();
    hasher.write_u64(if look.method().is_some() { keys.from_tag } else { keys.to_tag });
    (message.source.address, message.destination.address).hash(&mut hasher);
    hasher.finish() as u32
}

/// What an announcement says about the directions of its audio (RFC 3264 5.1).
const fn may(media: &Media) -> Directions {
    let is_audio = matches!(media.kind, MediaKind::Audio);
    Directions {
        send: is_audio && matches!(media.flow, MediaFlow::SendRecv | MediaFlow::SendOnly),
        receive: is_audio && matches!(media.flow, MediaFlow::SendRecv | MediaFlow::RecvOnly),
    }
}

/// Whether an announcement may name somewhere that packets can go to: not refused (a refused section has no candidates
/// either, RFC 8839 4.4.1.1.2), not MSRP.
const fn is_claimable(media: &Media) -> bool {
    let has_packets =
        matches!(media.kind, MediaKind::Audio | MediaKind::Video | MediaKind::Image | MediaKind::Text);
    has_packets && media.endpoint.port != 0 && (has_address(media) || !media.candidates.is_empty())
}

/// Whether it has an address: it is not on hold as in RFC 2543, and does not leave that to its candidates.
const fn has_address(media: &Media) -> bool {
    !media.endpoint.address.is_unspecified()
}

/// Somewhere that an announcement says packets go to.
#[derive(Clone, Copy)]
struct Place<'a> {
    endpoint: Endpoint,
    formats: &'a [Format],
    may: Directions,
    is_rtcp: bool,
    is_candidate: bool,
}

/// Where the packets of an announcement go: to its endpoint, for RTCP to another one where that is not the next port, and to
/// its candidates. What the other side's candidates take is for that side to say.
fn places(media: &Media) -> impl Iterator<Item = Place<'_>> {
    let may = may(media);
    let formats = media.formats.as_slice();
    let rtp = Place { endpoint: media.endpoint, formats, may, is_rtcp: false, is_candidate: false };
    let rtcp = Place { endpoint: media.rtcp, formats: &[], is_rtcp: true, ..rtp };
    let is_plain = media.rtcp == media.endpoint || Some(media.rtcp) == next_port(media.endpoint);
    let count = if !has_address(media) {
        0
    } else if is_plain {
        1
    } else {
        2
    };
    let candidates = media.candidates.iter().map(move |candidate| {
        let Candidate { endpoint, is_rtcp, is_remote } = *candidate;
        let may = if is_remote { Directions { send: may.receive, receive: may.send } } else { may };
        let formats = if is_rtcp || is_remote { &[] } else { formats };
        Place { endpoint, formats, may, is_rtcp, is_candidate: true }
    });
    [rtp, rtcp].into_iter().take(count).chain(candidates)
}

/// The frame of a datagram, or the frames of its fragments.
fn frames<'a>(
    (packet, reassembled): (u32, Option<u32>),
    view: &View<'a>,
) -> impl Iterator<Item = MediaFrame<'a>> {
    let whole = reassembled.is_none().then(|| view.packet(packet)).flatten();
    let fragments = reassembled.map(|datagram| view.fragments(datagram)).into_iter().flatten();
    whole.into_iter().chain(fragments).map(|(packet, frame)| MediaFrame { packet, frame })
}
