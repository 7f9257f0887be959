//! Bytes of many files at once, in chunks of one pool: a call that ends gives its memory to the next.

use crate::near::fetch;
use crate::sink::encoder::Output;

/// Bytes of a chunk: a call of eight messages fills two or three, so the average waste stays near 1 KiB.
pub(super) const CHUNK: usize = 2_048;

const NONE: u32 = u32::MAX;

#[derive(Debug)]
struct Chunk {
    bytes: Box<[u8]>,
    used: usize,
    next: u32,
}

/// Chunks, used and free.
#[derive(Debug)]
pub(super) struct Pool {
    chunks: Vec<Chunk>,
    free: u32,
    in_use: usize,
}

/// The bytes of one file, in order, as a list of chunks of a [`Pool`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Chain {
    first: u32,
    last: u32,
    /// Number of bytes.
    pub(super) length: u64,
    /// Number of chunks.
    pub(super) chunks: usize,
}

impl Default for Chain {
    fn default() -> Self {
        Self { first: NONE, last: NONE, length: 0, chunks: 0 }
    }
}

impl Pool {
    pub(super) fn new() -> Self {
        Self { chunks: Vec::new(), free: NONE, in_use: 0 }
    }

    /// Bytes of memory in chunks that hold something.
    pub(super) fn held(&self) -> usize {
        self.in_use * CHUNK
    }

    /// Appends all of `parts` to `chain`, at once if its last chunk has room for them; false when it has not.
    #[inline]
    fn append_at_once(&mut self, chain: &mut Chain, parts: [&[u8]; 3]) -> bool {
        let Some(chunk) = self.chunk(chain.last) else { return false };
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let Some(mut room) = chunk.bytes.get_mut(chunk.used..chunk.used + length) else { return false };
        for part in parts {
            let Some((place, rest)) = room.split_at_mut_checked(part.len()) else { return false };
            place.copy_from_slice(part);
            room = rest;
        }
        chunk.used += length;
        chain.length += length as u64;
        true
    }

    /// Appends `bytes` to `chain`.
    pub(super) fn append(&mut self, chain: &mut Chain, mut bytes: &[u8]) {
        chain.length += bytes.len() as u64;
        while !bytes.is_empty() {
            let room = self.chunk(chain.last).map_or(0, |chunk| CHUNK - chunk.used);
            if room == 0 {
                self.extend(chain);
                continue;
            }
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            if let Some(chunk) = self.chunk(chain.last) {
                let end = chunk.used + now.len();
                if let Some(place) = chunk.bytes.get_mut(chunk.used..end) {
                    place.copy_from_slice(now);
                }
                chunk.used = end;
            }
            bytes = later;
        }
    }

    /// The bytes of `chain`, chunk by chunk.
    pub(super) fn slices<'a>(&'a self, chain: &Chain) -> impl Iterator<Item = &'a [u8]> {
        let mut next = chain.first;
        std::iter::from_fn(move || {
            let chunk = self.chunks.get(next as usize)?;
            next = chunk.next;
            Some(chunk.bytes.get(..chunk.used).unwrap_or_default())
        })
    }

    /// Fetches what says where `chain` ends.
    pub(super) fn touch(&self, chain: &Chain) {
        self.chunks.get(chain.last as usize).into_iter().for_each(|last| fetch(&last.used));
    }

    /// Fetches where `chain` will grow.
    pub(super) fn touch_end(&self, chain: &Chain) {
        let last = self.chunks.get(chain.last as usize);
        last.and_then(|chunk| chunk.bytes.get(chunk.used)).into_iter().for_each(fetch);
    }

    /// Empties `chain`; its chunks are free for others.
    pub(super) fn release(&mut self, chain: &mut Chain) {
        let free = self.free;
        if let Some(last) = self.chunk(chain.last) {
            last.next = free;
            self.free = chain.first;
            self.in_use -= chain.chunks;
        }
        *chain = Chain::default();
    }

    fn chunk(&mut self, index: u32) -> Option<&mut Chunk> {
        self.chunks.get_mut(index as usize)
    }

    /// Puts an empty chunk at the end of `chain`.
    fn extend(&mut self, chain: &mut Chain) {
        let index = self.take();
        match self.chunk(chain.last) {
            Some(last) => last.next = index,
            None => chain.first = index,
        }
        chain.last = index;
        chain.chunks += 1;
        self.in_use += 1;
    }

    fn take(&mut self) -> u32 {
        let index = self.free;
        if let Some(chunk) = self.chunks.get_mut(index as usize) {
            self.free = std::mem::replace(&mut chunk.next, NONE);
            chunk.used = 0;
            return index;
        }
        self.chunks.push(Chunk { bytes: vec![0; CHUNK].into_boxed_slice(), used: 0, next: NONE });
        (self.chunks.len() - 1) as u32
    }
}

/// A chain and the pool that it grows from.
pub(super) struct Tail<'a> {
    pub(super) pool: &'a mut Pool,
    pub(super) chain: &'a mut Chain,
}

impl Output for Tail<'_> {
    fn put(&mut self, bytes: &[u8]) {
        self.pool.append(self.chain, bytes);
    }

    #[inline]
    fn put_record(&mut self, header: &[u8], parts: (&[u8], &[u8])) {
        let parts = [header, parts.0, parts.1];
        if !self.pool.append_at_once(self.chain, parts) {
            parts.into_iter().for_each(|part| self.put(part));
        }
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
                    prop_assert_eq!(pool.slices(chain).count(), chain.chunks);
                }
                prop_assert_eq!(pool.in_use, chains.iter().map(|chain| chain.chunks).sum::<usize>());
            }
            prop_assert!(pool.chunks.len() <= 60 * 4);
        }
    }
}
