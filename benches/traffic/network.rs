//! The wire: cuts datagrams into fragments where they must be or shall be, writes every frame, keeps the ledger.

use std::io;

use super::file::CaptureFile;
use super::frame::{Endpoint, Fragment, Framer, Segment};
use super::ledger::Ledger;
use super::profile::{Datagrams, Profile};
use super::rng::Rng;

/// Time between two frames that leave back to back.
const BACK_TO_BACK: u64 = 12_000;

/// Where everything is sent through.
pub(crate) struct Network<'w> {
    file: CaptureFile<'w>,
    framer: Framer,
    knobs: Datagrams,
    rng: Rng,
    fragments: Vec<Fragment>,
    pub(crate) ledger: Ledger,
}

impl<'w> Network<'w> {
    pub(crate) fn create(out: &'w mut dyn io::Write, profile: &Profile) -> io::Result<Self> {
        Ok(Self {
            file: CaptureFile::create(out, &profile.wire)?,
            framer: Framer::new(&profile.wire),
            knobs: profile.datagrams.clone(),
            rng: Rng::new(profile.load.seed ^ 0x6e65_7477),
            fragments: Vec::new(),
            ledger: Ledger::default(),
        })
    }

    /// Packets written so far.
    pub(crate) fn packets(&self) -> u64 {
        self.file.totals.packets
    }

    /// Sends a SIP datagram, maybe in fragments, and returns the time of its last frame.
    pub(crate) fn sip(&mut self, at: u64, from: Endpoint, to: Endpoint, payload: &[u8]) -> io::Result<u64> {
        self.framer.datagram(from, to, payload);
        let fits = self.framer.length() <= self.framer.room(false);
        if fits && !self.rng.share(self.knobs.fragmented) {
            self.framer.whole();
            return self.file.frame(at, self.framer.frame());
        }
        self.cut(fits);
        self.in_fragments(at)
    }

    /// Sends any other datagram.
    pub(crate) fn datagram(
        &mut self,
        at: u64,
        from: Endpoint,
        to: Endpoint,
        payload: &[u8],
    ) -> io::Result<u64> {
        self.framer.datagram(from, to, payload);
        self.framer.whole();
        self.file.frame(at, self.framer.frame())
    }

    /// Sends a TCP segment.
    pub(crate) fn segment(
        &mut self,
        at: u64,
        ends: [Endpoint; 2],
        segment: &Segment,
        payload: &[u8],
    ) -> io::Result<u64> {
        self.framer.segment(ends[0], ends[1], segment, payload);
        self.file.frame(at, self.framer.frame())
    }

    /// Builds the frame of a TCP segment that is sent later.
    pub(crate) fn prepare(&mut self, ends: [Endpoint; 2], segment: &Segment, payload: &[u8]) -> Box<[u8]> {
        self.framer.segment(ends[0], ends[1], segment, payload);
        self.framer.frame().into()
    }

    /// A copy of the frame sent last.
    pub(crate) fn copy(&self) -> Box<[u8]> {
        self.framer.frame().into()
    }

    /// Sends a frame that was built before.
    pub(crate) fn frame(&mut self, at: u64, frame: &[u8]) -> io::Result<u64> {
        self.file.frame(at, frame)
    }

    /// Sends an ARP request.
    pub(crate) fn arp(&mut self, at: u64, from: Endpoint, to: Endpoint) -> io::Result<u64> {
        self.framer.arp(from.ip, to.ip);
        self.file.frame(at, self.framer.frame())
    }

    /// Ends the file.
    pub(crate) fn finish(mut self) -> io::Result<Ledger> {
        self.file.finish()?;
        self.ledger.close(self.file.totals);
        Ok(self.ledger)
    }

    /// Plans the fragments: as few as fit, or at a random place where the datagram would fit whole.
    fn cut(&mut self, fits: bool) {
        let length = self.framer.length();
        let room = self.framer.room(true);
        let step = if fits { 8 * self.rng.between(1, length as u64 / 8 - 1) as usize } else { room };
        let step = step.max((length / 4) & !7).clamp(8, room);
        self.fragments.clear();
        for offset in (0..length).step_by(step) {
            let end = (offset + step).min(length);
            self.fragments.push(Fragment { offset, length: end - offset, more: end < length });
        }
    }

    fn in_fragments(&mut self, at: u64) -> io::Result<u64> {
        let counted = &mut self.ledger.fragments;
        counted.datagrams += 1;
        if self.rng.share(self.knobs.fragments_shuffled) {
            let last = self.fragments.len() - 1;
            let other = self.rng.index(last);
            self.fragments.swap(other, last);
            counted.shuffled += 1;
        }
        let mut duplicate = None;
        if self.rng.share(self.knobs.fragments_duplicated) {
            duplicate = Some(self.fragments[self.rng.index(self.fragments.len())]);
            counted.duplicated += 1;
        }
        self.framer.begin_fragments();
        let mut stamp = at;
        for index in 0..self.fragments.len() {
            stamp = self.one_fragment(at + index as u64 * BACK_TO_BACK, index)?;
        }
        if let Some(duplicate) = duplicate {
            self.fragments.push(duplicate);
            self.one_fragment(stamp + BACK_TO_BACK, self.fragments.len() - 1)?;
        }
        Ok(stamp)
    }

    fn one_fragment(&mut self, at: u64, index: usize) -> io::Result<u64> {
        self.ledger.fragments.seen += 1;
        self.framer.fragment(self.fragments[index]);
        self.file.frame(at, self.framer.frame())
    }
}
