//! Between the tracker and whoever writes down what it tells.

use super::{Privacy, free_text};
use crate::call::{About, CallEvent, CallRecord, Delivery, Listener, MediaFrame, Wants};
use crate::time::Timestamp;
use crate::tls;

/// Tells another listener what may be told.
pub struct Private<'a> {
    listener: &'a mut (dyn Listener + Send),
    privacy: Privacy,
}

impl<'a> Private<'a> {
    /// Stands before `listener`.
    pub fn new(listener: &'a mut (dyn Listener + Send), privacy: Privacy) -> Self {
        Self { listener, privacy }
    }

    /// Whoever is told: itself where there is something to hide, else the listener behind it.
    pub fn told(&mut self) -> &mut (dyn Listener + Send) {
        if self.privacy.masked { self } else { &mut *self.listener }
    }
}

impl Listener for Private<'_> {
    fn wants(&self) -> Wants {
        self.listener.wants()
    }

    fn opened(&mut self, call: u32, about: &About<'_>) {
        let mask = |uri: &[u8]| free_text(&String::from_utf8_lossy(uri));
        let (from, to) = (mask(about.from), mask(about.to));
        self.listener.opened(call, &About { from: from.as_bytes(), to: to.as_bytes(), ..*about });
    }

    fn kept(&mut self, call: u32) {
        self.listener.kept(call);
    }

    fn touch(&self, calls: &[u32]) {
        self.listener.touch(calls);
    }

    fn message(&mut self, call: u32, delivery: &Delivery<'_>) {
        self.listener.message(call, delivery);
    }

    fn media(&mut self, call: u32, frame: &MediaFrame<'_>) {
        self.listener.media(call, frame);
    }

    fn tls(&mut self, report: &tls::Report) {
        self.listener.tls(report);
    }

    fn event(&mut self, call: u32, event: &CallEvent) {
        let mut event = event.clone();
        self.privacy.event(&mut event);
        self.listener.event(call, &event);
    }

    fn ended(&mut self, call: u32) {
        self.listener.ended(call);
    }

    fn closed(&mut self, call: u32, kept: bool, mut record: Option<CallRecord>) {
        if let Some(record) = &mut record {
            self.privacy.record(record);
        }
        self.listener.closed(call, kept, record);
    }

    fn tick(&mut self, now: Timestamp) {
        self.listener.tick(now);
    }

    fn batch_end(&mut self) {
        self.listener.batch_end();
    }
}
