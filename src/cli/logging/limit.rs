//! What repeats itself is logged a few times and then counted: a hostile sender must not fill the disk with
//! complaints about itself.

use std::collections::HashMap;
use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use super::STREAM_LOG;

/// So many messages of one kind are logged in one window; the others are counted.
const BURST: u64 = 20;
const WINDOW: Duration = Duration::from_secs(10);

/// Our own words about what was left out.
pub(super) const SUMMARY: &str = "lippycat::limit";

/// A kind of message is the line of code that it comes from, so there are as many as the program has.
struct Kind {
    began: Instant,
    seen: u64,
    level: Level,
    /// The last that was left out.
    text: String,
}

#[derive(Default)]
pub(super) struct Limiter {
    kinds: Mutex<HashMap<Identifier, Kind>>,
}

impl Limiter {
    pub(super) fn layer(self: Arc<Self>) -> LimitLayer {
        LimitLayer(self)
    }

    /// Logs how much was left out in windows that are over, or in all.
    pub(super) fn settle(&self, at_once: bool) {
        for (level, text) in self.left_out(at_once, now()) {
            match level {
                Level::ERROR => tracing::error!(target: SUMMARY, "{text}"),
                Level::WARN => tracing::warn!(target: SUMMARY, "{text}"),
                Level::INFO => tracing::info!(target: SUMMARY, "{text}"),
                Level::DEBUG => tracing::debug!(target: SUMMARY, "{text}"),
                Level::TRACE => tracing::trace!(target: SUMMARY, "{text}"),
            }
        }
    }

    fn left_out(&self, at_once: bool, now: Instant) -> Vec<(Level, String)> {
        let mut told = Vec::new();
        self.lock().retain(|_, kind| {
            let over = at_once || now.duration_since(kind.began) >= WINDOW;
            if over && kind.seen > BURST {
                let count = kind.seen - BURST;
                told.push((kind.level, format!("{count} more like this were not logged: {}", kind.text)));
            }
            !over
        });
        told.sort();
        told
    }

    /// Whether this one is logged.
    fn admits(&self, event: &Event<'_>, now: Instant) -> bool {
        let metadata = event.metadata();
        if metadata.target() == STREAM_LOG || metadata.target() == SUMMARY {
            return true;
        }
        let mut kinds = self.lock();
        let fresh = || Kind { began: now, seen: 0, level: *metadata.level(), text: String::new() };
        let kind = kinds.entry(metadata.callsite()).or_insert_with(fresh);
        if kind.seen <= BURST && now.duration_since(kind.began) >= WINDOW {
            *kind = fresh();
        }
        kind.seen += 1;
        if kind.seen > BURST {
            kind.text.clear();
            event.record(&mut Message(&mut kind.text));
        }
        kind.seen <= BURST
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Identifier, Kind>> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct LimitLayer(Arc<Limiter>);

impl<S: Subscriber> Layer<S> for LimitLayer {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        self.0.admits(event, now())
    }
}

struct Message<'a>(&'a mut String);

impl Visit for Message<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            // Writing to a string cannot fail.
            let _ = write!(self.0, "{value:?}");
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "how often something is logged has nothing to do with packets")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::layer::SubscriberExt;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<String>>>);

    impl<S: Subscriber> Layer<S> for Kept {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            let mut text = String::new();
            event.record(&mut Message(&mut text));
            self.0.lock().unwrap().push(text);
        }
    }

    #[test]
    fn what_repeats_itself_is_counted_and_streams_never_are() {
        let (kept, limiter) = (Kept::default(), Arc::new(Limiter::default()));
        let subscriber = tracing_subscriber::registry().with(kept.clone()).with(Arc::clone(&limiter).layer());
        tracing::subscriber::with_default(subscriber, || {
            for number in 0..50 {
                tracing::warn!("error: bad {number}");
                tracing::info!(target: STREAM_LOG, "Stream completed");
            }
            tracing::error!("another");
            limiter.settle(false);
            assert_eq!(kept.0.lock().unwrap().len(), 20 + 50 + 1, "the window is not over");
            limiter.settle(true);
            tracing::warn!("once");
        });
        let kept = kept.0.lock().unwrap();
        let count = |text: &str| kept.iter().filter(|it| it.contains(text)).count();
        assert_eq!((count("Stream completed"), count("another")), (50, 1));
        assert_eq!(kept[71], "30 more like this were not logged: error: bad 49");
        assert_eq!(kept.len(), 73);
    }

    #[test]
    fn a_window_ends() {
        let limiter = Limiter::default();
        let start = now();
        let id = {
            #[derive(Clone, Default)]
            struct Once(Arc<Mutex<Option<Identifier>>>);
            impl<S: Subscriber> Layer<S> for Once {
                fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
                    *self.0.lock().unwrap() = Some(event.metadata().callsite());
                }
            }
            let once = Once::default();
            let subscriber = tracing_subscriber::registry().with(once.clone());
            tracing::subscriber::with_default(subscriber, || tracing::error!("x"));
            let id = once.0.lock().unwrap().clone();
            id.unwrap()
        };
        let kind = Kind { began: start, seen: 23, level: Level::ERROR, text: "x".to_owned() };
        limiter.lock().insert(id, kind);
        assert_eq!(limiter.left_out(false, start), []);
        assert_eq!(
            limiter.left_out(false, start + WINDOW),
            [(Level::ERROR, "3 more like this were not logged: x".to_owned())]
        );
        assert_eq!(limiter.left_out(true, start + WINDOW), []);
    }
}
