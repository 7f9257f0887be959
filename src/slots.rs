//! A list that grows without moving what is in it: a list that doubles copies all that is in it, and holds both copies
//! meanwhile.

/// Items of one block.
const BLOCK: usize = 256;

/// Items in the order of their slots.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    blocks: Vec<Vec<T>>,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { blocks: Vec::new() }
    }
}

impl<T> Slots<T> {
    #[inline]
    pub(crate) fn get(&self, slot: usize) -> Option<&T> {
        self.blocks.get(slot / BLOCK)?.get(slot % BLOCK)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, slot: usize) -> Option<&mut T> {
        self.blocks.get_mut(slot / BLOCK)?.get_mut(slot % BLOCK)
    }

    /// Appends an item and tells its slot.
    pub(crate) fn push(&mut self, item: T) -> u32 {
        if self.blocks.last().is_none_or(|block| block.len() == BLOCK) {
            self.blocks.push(Vec::with_capacity(BLOCK));
        }
        if let Some(block) = self.blocks.last_mut() {
            block.push(item);
        }
        self.len() as u32 - 1
    }

    /// Number of items.
    pub(crate) fn len(&self) -> usize {
        self.blocks.last().map_or(0, |last| (self.blocks.len() - 1) * BLOCK + last.len())
    }

    /// The items from a slot on, each with its own.
    pub(crate) fn from(&self, slot: u32) -> impl Iterator<Item = (&T, u32)> {
        let place = slot as usize;
        let blocks = self.blocks.get(place / BLOCK..).unwrap_or_default();
        blocks.iter().flatten().zip(slot - slot % BLOCK as u32..).skip(place % BLOCK)
    }

    /// All items, each with its slot.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&T, u32)> {
        self.from(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_keep_their_slots() {
        let mut slots = Slots::default();
        for number in 0..1000u32 {
            assert_eq!(slots.push(number), number);
        }
        *slots.get_mut(300).unwrap() = 7;
        assert_eq!((slots.get(300), slots.get(999), slots.get(1000)), (Some(&7), Some(&999), None));
        assert!(slots.iter().map(|(_, slot)| slot).eq(0..1000));
        assert!(slots.from(511).map(|(&item, _)| item).eq(511..1000));
        assert_eq!(slots.from(5000).count(), 0);
    }
}
