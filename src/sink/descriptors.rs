//! The few descriptors that unfinished files share: a process may have no more than 256 of them.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A place in [`Descriptors`]; what stands there may have become another file's.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seat(usize);

#[derive(Debug)]
struct Held {
    owner: u32,
    file: OwnedFd,
    recent: bool,
}

/// Open files by owner; the next one in takes the seat of one that was not used lately (second chance).
#[derive(Debug)]
pub(super) struct Descriptors {
    seats: Vec<Option<Held>>,
    limit: usize,
    hand: usize,
    /// Seats that are taken.
    pub(super) open: usize,
}

impl Descriptors {
    /// Room for `limit` files, at least one.
    pub(super) fn new(limit: usize) -> Self {
        Self { seats: Vec::new(), limit: limit.max(1), hand: 0, open: 0 }
    }

    /// Whether the file of `owner` still has its seat; if so, it keeps it for a while.
    pub(super) fn keep(&mut self, owner: u32, seat: Seat) -> bool {
        let held = self.seats.get_mut(seat.0).and_then(Option::as_mut).filter(|held| held.owner == owner);
        held.map(|held| held.recent = true).is_some()
    }

    /// The file of `owner`, if it still has its seat.
    pub(super) fn get(&self, owner: u32, seat: Seat) -> Option<BorrowedFd<'_>> {
        let held = self.seats.get(seat.0)?.as_ref().filter(|held| held.owner == owner)?;
        Some(held.file.as_fd())
    }

    /// Seats `file`; another file may be closed for it.
    pub(super) fn put(&mut self, owner: u32, file: OwnedFd) -> Seat {
        let seat = self.choose();
        // Used once, it has no second chance yet: files that come and go do not drive out busy ones.
        let held = Held { owner, file, recent: false };
        if let Some(place) = self.seats.get_mut(seat) {
            self.open += usize::from(place.is_none());
            *place = Some(held);
        }
        Seat(seat)
    }

    /// Closes the file of `owner`.
    pub(super) fn close(&mut self, owner: u32, seat: Seat) {
        if let Some(place) = self.seats.get_mut(seat.0)
            && place.take_if(|held| held.owner == owner).is_some()
        {
            self.open -= 1;
        }
    }

    /// Closes all.
    pub(super) fn close_all(&mut self) {
        self.seats.clear();
        self.open = 0;
    }

    fn choose(&mut self) -> usize {
        if self.seats.len() < self.limit {
            self.seats.push(None);
            return self.seats.len() - 1;
        }
        // Twice around at most: the first round takes every second chance away.
        for _ in 0..self.limit.saturating_mul(2) {
            self.hand = (self.hand + 1) % self.limit;
            match self.seats.get_mut(self.hand) {
                Some(Some(held)) if held.recent => held.recent = false,
                _ => break,
            }
        }
        self.hand
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> OwnedFd {
        std::fs::File::open("/dev/null").unwrap().into()
    }

    #[test]
    fn never_more_than_the_limit_and_the_busy_one_stays() {
        let mut descriptors = Descriptors::new(4);
        let busy = descriptors.put(0, file());
        for owner in 1..100 {
            assert!(descriptors.keep(0, busy), "used before each of the others");
            let seat = descriptors.put(owner, file());
            assert!(descriptors.get(owner, seat).is_some());
            assert!(descriptors.open <= 4 && descriptors.seats.len() <= 4);
        }
        descriptors.close(0, busy);
        assert!(descriptors.get(0, busy).is_none());
        assert_eq!(descriptors.open, 3);
        descriptors.close_all();
        assert_eq!(descriptors.open, 0);
    }
}
