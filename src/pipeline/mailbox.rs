//! Questions to the tracker from other threads. It looks once a batch, answers one page, and goes on with packets.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use serde::Serialize;

use super::order::Order;
use crate::call::{Binding, CallPage};

/// Questions that may wait.
const WAITING: usize = 8;

/// How long a page may take the tracker.
const SLICE: Duration = Duration::from_micros(800);

/// How long when no batch waits: the kernel holds what comes meanwhile.
const IDLE_SLICE: Duration = Duration::from_millis(8);

/// Bindings of a page; each takes well below a microsecond.
const MAX_BINDINGS: usize = 500;

/// What can be asked of the tracker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Calls that are up, from a cursor on, at most so many.
    Calls {
        /// 0, or where the page before said that the next begins.
        cursor: u32,
        /// Greatest number of calls.
        limit: usize,
    },
    /// Bindings from a cursor on, at most so many.
    Bindings {
        /// 0, or where the page before said that the next begins.
        cursor: u32,
        /// Greatest number of bindings; those of one address stay together.
        limit: usize,
    },
}

/// A page of an answer.
#[derive(Debug)]
pub enum Page {
    /// Calls that are up.
    Calls(CallPage),
    /// Bindings.
    Bindings(BindingPage),
}

/// A part of the bindings.
#[derive(Debug, Default, Serialize)]
pub struct BindingPage {
    /// The bindings.
    #[serde(rename = "registrations")]
    pub rows: Vec<Binding>,
    /// Where the next page begins; none when this was the last.
    pub next: Option<u32>,
}

type Letter = (Ask, Sender<Page>);

/// Questions that wait for the tracker to look.
#[derive(Debug)]
pub(super) struct Mailbox {
    /// Set when there is one: all that the tracker looks at when there is none.
    any: AtomicBool,
    letters: (Sender<Letter>, Receiver<Letter>),
}

impl Mailbox {
    pub(super) fn new() -> Self {
        Self { any: AtomicBool::new(false), letters: bounded(WAITING) }
    }

    /// Asks, and waits.
    pub(super) fn put(&self, ask: Ask, patience: Duration) -> Option<Page> {
        let (reply, page) = bounded(1);
        self.letters.0.send_timeout((ask, reply), patience).ok()?;
        self.any.store(true, Ordering::Release);
        page.recv_timeout(patience).ok()
    }

    /// Answers one question, if there is one. `is_idle`: no batch waits.
    #[inline]
    pub(super) fn answer(&self, order: &Order, is_idle: &dyn Fn() -> bool) {
        if self.any.load(Ordering::Relaxed) {
            self.look(order, is_idle);
        }
    }

    #[cold]
    fn look(&self, order: &Order, is_idle: &dyn Fn() -> bool) {
        // Cleared first: what comes in between is found by the next look.
        self.any.store(false, Ordering::Release);
        let Ok((ask, reply)) = self.letters.1.try_recv() else { return };
        // Whoever asked may have lost patience and be gone.
        let _ = reply.try_send(page(ask, order, is_idle));
        if !self.letters.1.is_empty() {
            self.any.store(true, Ordering::Release);
        }
    }
}

fn page(ask: Ask, order: &Order, is_idle: &dyn Fn() -> bool) -> Page {
    let tracker = order.tracker();
    match ask {
        Ask::Calls { cursor, limit } => {
            let gone = stopwatch();
            let go_on = || gone() < SLICE || (gone() < IDLE_SLICE && is_idle());
            Page::Calls(tracker.active_calls(cursor, limit, &mut { go_on }))
        }
        Ask::Bindings { cursor, limit } => {
            let (rows, next) = tracker.bindings().page(cursor, limit.clamp(1, MAX_BINDINGS));
            Page::Bindings(BindingPage { rows, next })
        }
    }
}

/// Tells how much of the slice is used up.
#[allow(clippy::disallowed_methods, reason = "packets wait in wall time while a page is made")]
fn stopwatch() -> impl Fn() -> Duration {
    let began = Instant::now();
    move || began.elapsed()
}
