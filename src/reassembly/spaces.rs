//! Connections that are two for who captures them.
//!
//! A firewall may choose sequence numbers of its own, so that nobody can guess those of the hosts behind it (Cisco ASA does
//! so unless told otherwise). Captured on both sides of it, one connection has two spaces of numbers between the same endpoints.
//! Each space is a connection here: neither tears a hole into the other, and nothing has to be guessed of how they lie to each
//! other. What is said twice then is known by what it says, as it is of datagrams.

use crate::decode::{TcpFlags, TcpHeader};
use crate::flow::{Direction, EntryId};
use crate::reassembly::connection::Connection;
use crate::reassembly::reassembler::{Cause, Reassembler};
use crate::reassembly::seq::Seq;
use crate::reassembly::stray::Stray;
use crate::reassembly::{Application, Segment, Space};

/// What the hash of a connection's endpoints is joined with, for the second between them.
pub(super) const SECOND: u64 = 0x9e37_79b9_7f4a_7c15;

impl<A: Application> Reassembler<A> {
    /// The second connection when a segment is the next of its stream, which the first would take for what comes behind a hole.
    pub(super) fn second_next(
        &mut self,
        first: EntryId,
        direction: Direction,
        segment: &Segment<'_>,
    ) -> Option<EntryId> {
        let sequence = Seq(segment.header.sequence);
        let is_ahead = sequence.distance(self.table.get(first)?.half(direction).next()) > 0;
        let second = is_ahead.then(|| self.table.find(segment.hash ^ SECOND))??;
        let half = self.table.get(second)?.half(direction);
        let is_next = !half.is_unknown() && half.next() == sequence;
        is_next.then_some(second).filter(|&second| self.table.touch(second, self.now).is_some())
    }

    /// The connection beside that one to which a segment belongs that is apart from it; none when it is that one's all the same.
    #[cold]
    #[inline(never)]
    pub(super) fn beside(
        &mut self,
        id: EntryId,
        cause: Cause,
        direction: Direction,
        segment: &Segment<'_>,
        output: &mut A::Output,
    ) -> Option<EntryId> {
        // Nothing is heard of the second either while the first is not read.
        let is_read = self.table.get(id).is_some_and(Connection::reads);
        let second = is_read.then(|| self.table.find(segment.hash ^ SECOND))?;
        if let Some(second) = second
            && !self.table.get(second)?.is_apart(direction, segment)
        {
            self.table.touch(second, self.now)?;
            return Some(second);
        }
        let first = self.table.get(id).filter(|first| first.has_beside(direction, segment, self.now))?;
        if first.is_followed_by(direction, segment) && !segment.header.flags.syn() {
            return None;
        }
        let old = second.and_then(|second| self.table.remove(second));
        if let Some((key, old)) = old {
            self.bury(key, old, cause, output);
        }
        self.open_beside(id, cause, direction, segment, output)
    }

    /// A second connection beside that one, which begins with a segment, or with a stray one before it.
    fn open_beside(
        &mut self,
        id: EntryId,
        cause: Cause,
        direction: Direction,
        segment: &Segment<'_>,
        output: &mut A::Output,
    ) -> Option<EntryId> {
        let (_, first) = self.table.get_mut(id)?;
        first.space = Space::First;
        let stray = first.take_stray(direction, Seq(segment.header.sequence));
        self.settle(id, cause, output);
        let second = self.insert(Space::Second, segment, cause, output)?;
        if let Some(stray) = stray {
            let aside = self.aside(cause);
            let before = before(segment, &stray);
            self.visit(second, aside, output, |connection: &mut Connection<A>, turn, key| {
                connection.push(turn, key, direction, &before);
            });
        }
        Some(second)
    }
}

/// A stray segment as it came, before another of the same sender.
fn before<'a>(segment: &Segment<'a>, stray: &'a Stray) -> Segment<'a> {
    let header = TcpHeader { sequence: stray.sequence.0, acknowledgement: 0, flags: TcpFlags::default() };
    Segment {
        header,
        payload: &stray.bytes,
        place: None,
        missing: stray.missing,
        captured: stray.captured,
        ..*segment
    }
}
