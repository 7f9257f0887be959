//! A request on its way over several hops, each of which may number it anew: a B2BUA has dialogs of its own (RFC 7092), and a proxy
//! that answers challenges itself is ahead by one.

use crate::call::dialog::Look;
use crate::flow::Address;
use crate::sip::Method;

/// The latest request of a kind that one end sent, over the hop on which it was seen first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Passing {
    pub(super) cseq: u32,
    /// Hash of the host that it came from.
    from: u16,
    method: Method,
    /// It has no final answer.
    is_open: bool,
}

impl Passing {
    pub(super) fn new(look: &Look<'_>) -> Self {
        Self {
            cseq: look.head.cseq,
            from: hash(look.message.source.address),
            method: look.about(),
            is_open: true,
        }
    }

    /// Whether a request by the same end is this one, over this or another hop: no end has two of a kind under way in a dialog
    /// (RFC 3261 14.1, RFC 3311 5.1).
    pub(super) fn is(self, other: Self) -> bool {
        let goes_on = self.is_open && self.from != other.from;
        self.method == other.method && (self.cseq == other.cseq || goes_on)
    }

    /// Whether a message is of its transaction, over whatever hop that has the same number.
    pub(super) fn has(self, look: &Look<'_>) -> bool {
        (self.cseq, self.method) == (look.head.cseq, look.about())
    }

    /// Whether a message is this request, where it was seen first.
    pub(super) fn came_as(self, look: &Look<'_>) -> bool {
        self.has(look) && self.from == hash(look.message.source.address)
    }

    /// A final answer by the other end.
    pub(super) fn answered(&mut self, look: &Look<'_>) {
        let is_its = self.has(look) && self.from == hash(look.message.destination.address);
        self.is_open &= !is_its;
    }
}

/// Who makes two hosts the same has a call counted wrong that is his own.
const fn hash(host: Address) -> u16 {
    let (high, low) = host.halves();
    ((high ^ low).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as u16
}
