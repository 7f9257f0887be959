//! Questions about the calls that are up, answered a page at a time: the tracker has packets to look at.

use serde::Serialize;

use super::dialog::{Activity, Dialog};
use super::record::{CallRecord, CallState};
use super::tracker::Tracker;
use crate::time::Timestamp;

/// Slots looked at in one go, calls or not.
const MAX_SLOTS: u32 = 16_384;

/// A call that is up.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ActiveCall {
    /// Where it stands.
    pub state: CallState,
    /// Everything known of it.
    #[serde(flatten)]
    pub record: CallRecord,
}

/// A part of the calls that are up.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CallPage {
    /// The calls.
    pub calls: Vec<ActiveCall>,
    /// Where the next page begins; none when this was the last.
    pub next: Option<u32>,
}

impl Tracker {
    /// The calls that are up, from `cursor` on, at most `limit` and as long as `go_on` says so; at least one is told
    /// if there is one. Calls that begin or end between two pages may be missing, none is told twice.
    pub fn active_calls(&self, cursor: u32, limit: usize, go_on: &mut dyn FnMut() -> bool) -> CallPage {
        let mut page = CallPage::default();
        for (dialog, slot) in self.dialogs.from(cursor) {
            if slot - cursor >= MAX_SLOTS || page.calls.len() >= limit {
                page.next = Some(slot);
                break;
            }
            let up: Option<Activity> = dialog.activity().filter(|_| dialog.in_use);
            if let Some(state) = up.and(dialog.state) {
                let is_over = !page.calls.is_empty() && !go_on();
                if is_over {
                    page.next = Some(slot);
                    break;
                }
                page.calls.push(ActiveCall { state, record: self.as_of_now(slot, dialog) });
            }
        }
        page
    }

    /// The record of a call that is up, as long as it is now.
    fn as_of_now(&self, slot: u32, dialog: &Dialog) -> CallRecord {
        let (media, _) = self.told_media(slot, dialog);
        let record = self.record(slot, dialog, media);
        let since = |answered: Timestamp| self.stamp().since(answered).as_micros() as f64 / 1e6;
        CallRecord { duration_seconds: record.answered.map(since), ..record }
    }
}
