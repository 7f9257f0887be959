//! Questions to the tracker from other threads. It looks once a batch, answers for a moment, and goes on with packets. On a
//! silent wire a question brings about a batch: it rings a bell that the capturing thread hears.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use rustix::event::{EventfdFlags, eventfd};
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
    /// An eventfd(2), rung with each: who waits for packets hears it. None when there was no descriptor left for it.
    bell: Option<Arc<OwnedFd>>,
    letters: (Sender<Letter>, Receiver<Letter>),
}

impl Mailbox {
    pub(super) fn new() -> Self {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).ok().map(Arc::new);
        Self { any: AtomicBool::new(false), bell, letters: bounded(WAITING) }
    }

    /// Asks, and waits.
    pub(super) fn put(&self, ask: Ask, patience: Duration) -> Option<Page> {
        let (reply, page) = bounded(1);
        self.letters.0.send_timeout((ask, reply), patience).ok()?;
        self.ring();
        page.recv_timeout(patience).ok()
    }

    pub(super) fn bell(&self) -> Option<Arc<OwnedFd>> {
        self.bell.clone()
    }

    pub(super) fn is_asked(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    fn ring(&self) {
        self.any.store(true, Ordering::Release);
        if let Some(bell) = &self.bell {
            // Full only when it was rung and nobody heard it yet.
            let _ = rustix::io::write(bell, &1u64.to_ne_bytes());
        }
    }

    /// Answers the questions that wait, if there are any: those for which a slice is enough. `is_idle`: no batch waits.
    #[inline]
    pub(super) fn answer(&self, order: &Order, is_idle: &dyn Fn() -> bool) {
        if self.is_asked() {
            self.look(order, is_idle);
        }
    }

    #[cold]
    fn look(&self, order: &Order, is_idle: &dyn Fn() -> bool) {
        // Cleared first: what comes in between is found by the next look.
        self.any.store(false, Ordering::Release);
        let gone = stopwatch();
        // Whoever has his answer asks for the next page: no more than wait now.
        for (ask, reply) in self.letters.1.try_iter().take(WAITING) {
            // Whoever asked may have lost patience and be gone.
            let _ = reply.try_send(page(ask, order, is_idle));
            if gone() >= SLICE && !is_idle() {
                break;
            }
        }
        if !self.letters.1.is_empty() {
            self.ring();
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
