//! One flow: its streams, what else it carries, and since when it is of which calls.

use std::time::Duration;

use smallvec::SmallVec;

use super::others::{LeftOut, Others, Shared};
use super::terms::Terms;
use super::{FaxReport, Owners, arrival};
use crate::flow::Endpoint;
use crate::media::endpoints::CallRef;
use crate::media::rtp::RtpHeader;
use crate::media::udptl::Numbers;
use crate::quality::{Control, Events, PayloadFormat, Playout, Role, Stream};
use crate::time::{PacketTime, Timestamp};

/// How long a flow has to be there for its calls to be known: descriptions are late by no more, see [`Backlog`](crate::media::backlog::Backlog).
const KNOWN_AFTER: Duration = Duration::from_millis(500);

/// How long a flow may be silent and still be spoken on, by what it carries; RTCP comes every 5 s or so (RFC 3550 6.2).
pub(super) const PAUSE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(10));

/// One flow. What every packet needs comes first: two cache lines, the second of which is the stream's.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub(super) struct Flow {
    /// The hash of its ends. It depends on a secret of this process: nobody outside can make two flows share one.
    pub(super) hash: u64,
    pub(super) source: Endpoint,
    pub(super) destination: Endpoint,
    pub(super) owners: Owners,
    /// The stream of the latest packet.
    pub(super) stream: Stream,
    pub(super) generation: u32,
    pub(super) in_use: bool,
    /// It is among the recent ones.
    pub(super) is_recent: bool,
    /// It began with RTCP: it may go to the port next to the one announced.
    pub(super) is_rtcp: bool,
    pub(super) listed: Listed,
    pub(super) rtcp: u64,
    /// Packets that are neither.
    pub(super) other: u64,
    /// What these are known by, if they are a fax.
    pub(super) numbers: Numbers,
    /// Time of the latest packet that was not RTP.
    pub(super) last_other: Timestamp,
    /// What its RTCP says.
    pub(super) control: Option<Box<Control>>,
    pub(super) aside: Option<Box<Aside>>,
}

/// What a usual packet needs of its stream is the second cache line, and a third has the rest: many thousands of flows
/// are to fit into the cache.
const _: () = assert!(std::mem::offset_of!(Flow, stream) == 64 && size_of::<Flow>() == 192);

/// In the lists of which of its ends a flow is. It is in that of one of them that its calls announced, if any did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Listed {
    #[default]
    Both,
    Source,
    Destination,
}

/// What few flows have.
#[derive(Debug, Default)]
pub(super) struct Aside {
    /// Streams before or beside the latest packet's.
    pub(super) others: Option<Box<Others>>,
    pub(super) events: Events,
    /// Time of the first packet of a fax.
    pub(super) fax_began: Option<Timestamp>,
    /// RTP and RTCP packets that came in fragments.
    pub(super) fragmented: (u64, u64),
    /// What its ends had announced when its calls were over and another announced one of them.
    pub(super) terms: Option<Terms>,
    /// Calls that it became one of while it was another's, and when its latest packet was then.
    pub(super) joined: SmallVec<[(CallRef, Timestamp); 2]>,
}

impl Flow {
    #[inline]
    pub(super) fn joins(&self, source: &Endpoint, destination: &Endpoint) -> bool {
        self.source == *source && self.destination == *destination
    }

    pub(super) fn is_listed_at(&self, end: Endpoint) -> bool {
        match self.listed {
            Listed::Both => true,
            Listed::Source => self.source == end,
            Listed::Destination => self.destination == end,
        }
    }

    /// Whether somebody has been heard there for long enough. A stream goes on after any silence: what does not is one that
    /// begins. RTCP is known by what is reported.
    pub(super) fn is_under_way(&self, time: PacketTime) -> bool {
        self.is_old(time) || (self.is_rtcp && self.speaks(time))
    }

    /// Whether descriptions that are late are there by now.
    pub(super) fn is_old(&self, time: PacketTime) -> bool {
        self.streams().any(|stream| time.stamp.since(stream.first()) >= KNOWN_AFTER)
    }

    /// Whether somebody spoke there a moment ago.
    pub(super) fn speaks(&self, time: PacketTime) -> bool {
        let (media, control) = PAUSE;
        let pause = if self.is_rtcp { control } else { media };
        self.last(time).is_some_and(|last| time.stamp.since(last) < pause)
    }

    /// The stamp of its first packet.
    pub(super) fn first(&self) -> Timestamp {
        self.streams().map(Stream::first).min().unwrap_or(self.last_other)
    }

    /// Whether a packet goes on with the stream of the one before it.
    #[inline]
    pub(super) const fn is_next(&self, header: &RtpHeader) -> bool {
        self.stream.takes(header.ssrc, header.payload_type)
    }

    /// Counts a packet of another SSRC or payload type; true when it begins a stream. The stream of its SSRC
    /// comes to the front.
    pub(super) fn switch(
        &mut self,
        header: &RtpHeader,
        at: Timestamp,
        (format, role): (PayloadFormat, Role),
        shared: &mut Shared,
    ) -> bool {
        let arrival = arrival(header, at);
        if self.stream.is_some() && self.stream.ssrc != header.ssrc {
            let others = self.aside.as_mut().and_then(|aside| aside.others.as_mut());
            if !others.is_some_and(|others| others.swap(&mut self.stream, header.ssrc)) {
                let before = std::mem::take(&mut self.stream);
                self.aside_mut().others.get_or_insert_default().add(before, at, shared);
            }
        }
        if !self.stream.is_some() {
            self.stream = Stream::new(header.ssrc, header.payload_type, &arrival, format, Playout::default());
            if role != Role::Media {
                // Its media is still to come.
                self.stream.set_aside(header.payload_type);
            }
            return true;
        }
        let begins = role != Role::Nothing && self.stream.is_nothing();
        if begins || (role == Role::Media && !self.is_next(header)) {
            self.stream.set_format(header.payload_type, format, at);
        }
        if begins {
            self.stream.begin_at(&arrival);
            if role != Role::Media {
                self.stream.set_aside(header.payload_type);
            }
        }
        match role {
            Role::Media => {
                self.stream.observe(&arrival);
            }
            aside => self.stream.observe_aside(&arrival, aside),
        }
        false
    }

    pub(super) fn aside_mut(&mut self) -> &mut Aside {
        self.aside.get_or_insert_default()
    }

    pub(super) fn others(&self) -> Option<&Others> {
        self.aside.as_ref().and_then(|aside| aside.others.as_deref())
    }

    /// Of its streams those that were more than can be followed.
    pub(super) fn left_out(&self) -> LeftOut {
        self.others().map(|others| others.left_out).unwrap_or_default()
    }

    pub(super) fn has_stream(&self, ssrc: u32) -> bool {
        (self.stream.is_some() && self.stream.ssrc == ssrc)
            || self.others().is_some_and(|others| others.has(ssrc))
    }

    pub(super) fn streams(&self) -> impl Iterator<Item = &Stream> {
        let others = self.others().into_iter().flat_map(Others::iter);
        others.chain([&self.stream]).filter(|stream| stream.is_some())
    }

    pub(super) fn streams_mut(&mut self) -> impl Iterator<Item = &mut Stream> {
        let others = self.aside.iter_mut().filter_map(|aside| aside.others.as_mut());
        others
            .flat_map(|others| others.iter_mut())
            .chain([&mut self.stream])
            .filter(|stream| stream.is_some())
    }

    pub(super) fn rtp(&self) -> u64 {
        self.streams().map(Stream::packets).sum::<u64>() + self.left_out().packets
    }

    /// The stamp of its latest packet.
    pub(super) fn latest(&self) -> Timestamp {
        self.stream.latest().max(self.last_other)
    }

    /// The stamp of its latest packet, of those whose time has come.
    pub(super) fn last(&self, time: PacketTime) -> Option<Timestamp> {
        [self.stream.latest(), self.last_other].into_iter().filter(|stamp| time.of(*stamp).is_some()).max()
    }

    /// Whether it is one that nobody has announced, of that generation.
    pub(super) fn is_unclaimed(&self, generation: u32) -> bool {
        self.in_use && self.generation == generation && self.owners.is_empty()
    }

    /// Those of its calls that it was not of `before` begin at its next packet.
    pub(super) fn join(&mut self, before: Owners) {
        let (owners, last) = (self.owners, self.latest());
        let Aside { joined, terms, .. } = self.aside_mut();
        *terms = None;
        joined.retain(|(call, _)| owners.as_slice().contains(call));
        let new = owners.as_slice().iter().filter(|owner| !before.as_slice().contains(owner));
        joined.extend(new.map(|&call| (call, last)));
    }

    /// When its latest packet was before it became that call's; none when all of its packets are.
    fn joined(&self, call: CallRef) -> Option<Timestamp> {
        let joined = self.aside.iter().flat_map(|aside| &aside.joined);
        joined.copied().find_map(|(known, at)| (known == call).then_some(at))
    }

    /// Streams that had packets since it became that call's.
    pub(super) fn streams_for(&self, call: CallRef) -> impl Iterator<Item = &Stream> {
        let joined = self.joined(call);
        self.streams().filter(move |stream| joined.is_none_or(|at| stream.latest() > at))
    }

    /// RTP packets of these.
    pub(super) fn rtp_for(&self, call: CallRef) -> u64 {
        match self.joined(call) {
            None => self.rtp(),
            Some(_) => self.streams_for(call).map(Stream::packets).sum(),
        }
    }

    /// Of its streams, as far as it was that call's, those that were more than can be followed.
    pub(super) fn left_out_for(&self, call: CallRef) -> u64 {
        if self.joined(call).is_none() { self.left_out().streams } else { 0 }
    }

    pub(super) fn had_packets(&self) -> bool {
        self.stream.is_some() || self.rtcp + self.other > 0
    }

    pub(super) fn had_packets_for(&self, call: CallRef) -> bool {
        self.joined(call).is_none_or(|at| self.latest() > at)
    }

    /// What its ends had announced, where that is not what they have announced now.
    pub(super) fn terms(&self) -> Option<&Terms> {
        self.aside.as_ref().and_then(|aside| aside.terms.as_ref())
    }

    pub(super) fn fax_began(&self) -> Option<Timestamp> {
        self.aside.as_ref().and_then(|aside| aside.fax_began)
    }

    /// Its packets that are neither RTP nor RTCP, where it is one of a fax.
    pub(super) fn fax(&self) -> FaxReport {
        FaxReport {
            source: self.source,
            destination: self.destination,
            packets: self.other,
            first: self.fax_began().unwrap_or(self.last_other),
            latest: self.last_other,
        }
    }

    pub(super) fn forget_streams(&mut self, shared: &mut Shared) {
        shared.give_back(self.others());
        self.stream = Stream::default();
        (self.control, self.aside, self.rtcp, self.other) = (None, None, 0, 0);
        self.numbers = Numbers::default();
    }
}
