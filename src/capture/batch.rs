//! A batch that owns its bytes: what a live source fills and later stages hand back.

use super::{Packet, PacketBatch};

/// Packets and their bytes. Emptied and filled again, it keeps its memory.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    arena: Vec<u8>,
    packets: Vec<Packet>,
}

impl Batch {
    /// Forgets the packets and keeps the memory.
    pub fn clear(&mut self) {
        self.arena.clear();
        self.packets.clear();
    }

    /// Adds a packet; its offset is set here. False when the arena is at its end (4 GiB).
    #[inline]
    pub fn push(&mut self, packet: Packet, frame: &[u8]) -> bool {
        let (Ok(offset), Ok(captured)) = (u32::try_from(self.arena.len()), u32::try_from(frame.len())) else {
            return false;
        };
        self.arena.extend_from_slice(frame);
        self.packets.push(Packet { offset, captured, ..packet });
        true
    }

    /// Forgets all packets but the first `count`.
    pub fn truncate(&mut self, count: usize) {
        self.packets.truncate(count);
    }

    /// The packets.
    #[must_use]
    pub fn packets(&self) -> &[Packet] {
        &self.packets
    }

    /// The packets with their bytes.
    #[must_use]
    #[inline]
    pub fn view(&self) -> PacketBatch<'_> {
        PacketBatch::new(&self.arena, &self.packets)
    }
}
