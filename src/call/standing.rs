//! What the signalling of calls tells of media that no description names.

use super::dialog::Dialog;
use super::record::CallState;
use super::slots::Slots;
use crate::flow::{Address, Endpoint};
use crate::media::{CallRef, Standing, Standings};

impl Slots<Dialog> {
    fn of(&self, call: CallRef) -> Option<&Dialog> {
        self.get(call.slot as usize).filter(|dialog| dialog.is_of(call.generation))
    }
}

impl Standings for Slots<Dialog> {
    fn standing(&self, call: CallRef, end: Endpoint, other: Address) -> Standing {
        self.of(call).map(|dialog| dialog.standing(end, other)).unwrap_or_default()
    }

    fn may_be_legs(&self, one: CallRef, other: CallRef) -> bool {
        let Some((one, other)) = self.of(one).zip(self.of(other)) else { return false };
        let (first, later) = if one.born <= other.born { (one, other) } else { (other, one) };
        first.answered.is_none_or(|answered| later.born <= answered)
    }
}

impl Dialog {
    fn standing(&self, end: Endpoint, other: Address) -> Standing {
        let announced = || self.endpoints.iter();
        let is_under_way = self.state != Some(CallState::Calling);
        let by_caller = announced().find(|it| it.endpoint == end).is_some_and(|it| it.by_caller);
        Standing {
            knows_other: announced().any(|it| it.endpoint.address == other)
                || [self.source, self.destination].iter().any(|it| it.address == other),
            is_under_way,
            since: if is_under_way { self.last } else { self.start },
            announced_by: if by_caller { self.source.address } else { self.destination.address },
        }
    }
}
