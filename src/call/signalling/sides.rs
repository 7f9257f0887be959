//! What is known of each side of a dialog. A capture of one direction has the messages of one side only.

use super::change::holds;
use super::record::Side;
use crate::call::dialog::{Dialog, Look};
use crate::sip::sdp::Media;

/// For each thing that is known one bit of the caller, and the next of the callee.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sides(u8);

/// A message of it was captured.
const HEARD: u8 = 1;

/// It described its audio when the call was set up.
const DESCRIBED: u8 = 1 << 2;

/// It has wanted to hear the other side, then or later.
const LISTENS: u8 = 1 << 4;

impl Sides {
    const fn mark(&mut self, side: Side, what: u8) {
        self.0 |= what << side as u8;
    }

    const fn has(self, side: Side, what: u8) -> bool {
        self.0 & what << side as u8 != 0
    }
}

impl Dialog {
    /// Who sent a message.
    pub(in crate::call) fn sender(&self, look: &Look<'_>) -> Side {
        let requester = self.requester(look);
        if look.method().is_some() { requester } else { requester.other() }
    }

    /// A message that is seen for the first time.
    pub(super) fn hear_side(&mut self, look: &Look<'_>) {
        if self.has_heard(Side::Caller) && self.has_heard(Side::Callee) {
            return;
        }
        let sender = self.sender(look);
        self.signalling.sides.mark(sender, HEARD);
    }

    /// Whether any message of that side was captured.
    pub(in crate::call) const fn has_heard(&self, side: Side) -> bool {
        self.signalling.sides.has(side, HEARD)
    }

    /// Remembers whether a side wants to hear the other, as its description says.
    pub(in crate::call) fn note_listener(&mut self, look: &Look<'_>, media: &[Media]) {
        let side = self.sender(look);
        if self.signalling.sides.has(side, LISTENS) {
            return;
        }
        let is_set_up = self.signalling.invited && (!self.is_answered || self.is_first_invite(look));
        match holds(media) {
            Some(false) => self.signalling.sides.mark(side, LISTENS),
            Some(true) if is_set_up => self.signalling.sides.mark(side, DESCRIBED),
            _ => {}
        }
    }

    /// Whether a side that does not want to hear holds the other by that. Hold is a change (RFC 3264 8.4): who never wanted to hear
    /// announces or is recorded (RFC 7866), and says so again when the session is refreshed.
    pub(super) const fn may_hold(&self, side: Side) -> bool {
        let sides = self.signalling.sides;
        sides.has(side, LISTENS) || !sides.has(side, DESCRIBED)
    }
}
