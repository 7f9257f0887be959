//! Bytes of many files at once, in chunks of one pool: a call that ends gives its memory to the next.

use crate::near::fetch;
use crate::sink::encoder::Output;

/// Bytes of a chunk: a call of eight messages fills five or so, and wastes half of one.
pub(super) const CHUNK: usize = 1_024;

/// Chunks of a block.
const BLOCK: usize = 256;

const NONE: u32 = u32::MAX;

/// Chunks, used and free.
#[derive(Debug)]
pub(super) struct Pool {
    /// The bytes of the chunks. A block grows by one chunk at a time, and never moves.
    blocks: Vec<Vec<u8>>,
    /// The chunk behind each, in its chain or among the free ones: apart from the bytes, so that finding a chain's chunks
    /// takes few cache lines.
    next: Vec<u32>,
    free: u32,
    in_use: usize,
}

/// The bytes of one file, in order, as a list of chunks of a [`Pool`]: all are full but the last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chain {
    first: u32,
    last: u32,
    /// Number of bytes.
    pub(super) length: u64,
}

impl Default for Chain {
    fn default() -> Self {
        Self { first: NONE, last: NONE, length: 0 }
    }
}

impl Chain {
    /// Number of chunks.
    pub(super) const fn chunks(&self) -> usize {
        self.length.div_ceil(CHUNK as u64) as usize
    }

    /// Bytes in the last chunk; 0 when it is full, or when there is none.
    const fn used(&self) -> usize {
        self.length as usize % CHUNK
    }
}

impl Pool {
    pub(super) const fn new() -> Self {
        Self { blocks: Vec::new(), next: Vec::new(), free: NONE, in_use: 0 }
    }

    /// Bytes of memory in chunks that hold something.
    pub(super) const fn held(&self) -> usize {
        self.in_use * CHUNK
    }

    /// Appends `bytes` to `chain`.
    #[inline]
    pub(super) fn append(&mut self, chain: &mut Chain, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let used = chain.used();
            if used == 0 {
                self.extend(chain);
            }
            let Some(room) = self.chunk(chain.last).and_then(|chunk| chunk.get_mut(used..)) else { return };
            let (now, later) = bytes.split_at(room.len().min(bytes.len()));
            if let Some(place) = room.get_mut(..now.len()) {
                place.copy_from_slice(now);
            }
            chain.length += now.len() as u64;
            bytes = later;
        }
    }

    /// The bytes of `chain`, chunk by chunk.
    pub(super) fn slices<'a>(&'a self, chain: &Chain) -> impl Iterator<Item = &'a [u8]> {
        let (mut index, mut left) = (chain.first, chain.length as usize);
        std::iter::from_fn(move || {
            let bytes = self.bytes(index)?.get(..left.min(CHUNK))?;
            left -= bytes.len();
            index = self.next.get(index as usize).copied().filter(|_| left > 0).unwrap_or(NONE);
            Some(bytes)
        })
    }

    /// Fetches where `chain` will grow.
    pub(super) fn touch(&self, chain: &Chain) {
        self.bytes(chain.last).and_then(|chunk| chunk.get(chain.used())).into_iter().for_each(fetch);
    }

    /// Empties `chain`; its chunks are free for others.
    pub(super) fn release(&mut self, chain: &mut Chain) {
        if let Some(last) = self.next.get_mut(chain.last as usize) {
            *last = self.free;
            self.free = chain.first;
            self.in_use -= chain.chunks();
        }
        *chain = Chain::default();
    }

    fn bytes(&self, index: u32) -> Option<&[u8]> {
        let start = index as usize % BLOCK * CHUNK;
        self.blocks.get(index as usize / BLOCK)?.get(start..start + CHUNK)
    }

    fn chunk(&mut self, index: u32) -> Option<&mut [u8]> {
        let start = index as usize % BLOCK * CHUNK;
        self.blocks.get_mut(index as usize / BLOCK)?.get_mut(start..start + CHUNK)
    }

    /// Puts an empty chunk at the end of `chain`.
    fn extend(&mut self, chain: &mut Chain) {
        let index = self.take();
        match self.next.get_mut(chain.last as usize) {
            Some(next) => *next = index,
            None => chain.first = index,
        }
        chain.last = index;
        self.in_use += 1;
    }

    fn take(&mut self) -> u32 {
        let index = self.free;
        if let Some(next) = self.next.get_mut(index as usize) {
            self.free = std::mem::replace(next, NONE);
            return index;
        }
        let index = self.next.len();
        self.next.push(NONE);
        if self.blocks.last().is_none_or(|block| block.len() == BLOCK * CHUNK) {
            self.blocks.push(Vec::with_capacity(BLOCK * CHUNK));
        }
        if let Some(block) = self.blocks.last_mut() {
            block.resize(block.len() + CHUNK, 0);
        }
        index as u32
    }
}

/// A chain and the pool that it grows from.
pub(super) struct Tail<'a> {
    pub(super) pool: &'a mut Pool,
    pub(super) chain: &'a mut Chain,
}

impl Output for Tail<'_> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.pool.append(self.chain, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Against the obvious model: a vector per chain.
        #[test]
        fn chains_hold_what_was_put_in(operations in prop::collection::vec((0usize..4, 0usize..5_000), 0..60)) {
            let mut pool = Pool::new();
            let mut chains = [Chain::default(); 4];
            let mut model = vec![Vec::new(); 4];
            for (step, (which, length)) in operations.into_iter().enumerate() {
                if length % 7 == 0 {
                    pool.release(&mut chains[which]);
                    model[which].clear();
                } else {
                    let bytes = vec![step as u8; length];
                    let (header, body) = bytes.split_at(length / 3);
                    Tail { pool: &mut pool, chain: &mut chains[which] }.put_record(header, (&[], body));
                    model[which].extend_from_slice(&bytes);
                }
                for (chain, bytes) in chains.iter().zip(&model) {
                    prop_assert_eq!(&pool.slices(chain).collect::<Vec<_>>().concat(), bytes);
                    prop_assert_eq!(chain.length, bytes.len() as u64);
                    prop_assert_eq!(pool.slices(chain).count(), chain.chunks());
                }
                prop_assert_eq!(pool.in_use, chains.iter().map(Chain::chunks).sum::<usize>());
            }
            prop_assert!(pool.next.len() <= 60 * 5);
        }
    }
}
