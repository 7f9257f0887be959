//! The place in a frame that decoding has reached, and what the layers so far have said.

use super::{DecodeError, Decoded, Fault, Layer, Transport, Unit};
use crate::flow::{Address, Endpoint};

/// Walks over a frame. `at` never passes the end of `bytes`, so a header is either whole or an error.
#[derive(Clone, Debug)]
pub(super) struct Cursor<'a> {
    /// The captured bytes, up to the end of the innermost layer that tells its length: Ethernet padding is gone.
    bytes: &'a [u8],
    at: usize,
    /// Where the innermost layer that tells its length ends on the wire; `usize::MAX` before the first one.
    wire: usize,
    /// Layers entered.
    pub(super) depth: u8,
    /// The innermost IP header came out of a tunnel.
    pub(super) tunnelled: bool,
    /// Offset of the innermost IP header.
    pub(super) network: usize,
    /// Source of the innermost IP header.
    pub(super) source: Address,
    /// Destination of the innermost IP header.
    pub(super) destination: Address,
}

impl<'a> Cursor<'a> {
    /// A cursor at the first byte of a frame of which nothing is known. Offsets are 32 bits wide, and so is a
    /// captured length in every file format; bytes beyond are not looked at.
    #[inline]
    pub(super) fn new(frame: &'a [u8]) -> Self {
        Self {
            bytes: frame.get(..u32::MAX as usize).unwrap_or(frame),
            at: 0,
            wire: usize::MAX,
            depth: 0,
            tunnelled: false,
            network: 0,
            source: Address::default(),
            destination: Address::default(),
        }
    }

    /// Offset of the next byte.
    #[inline]
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    /// The captured bytes from here to the layer's end.
    #[inline]
    pub(super) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// Bytes from here to the layer's end that the capture cut off.
    #[inline]
    pub(super) const fn missing(&self) -> usize {
        if self.wire == usize::MAX { 0 } else { self.wire.saturating_sub(self.bytes.len()) }
    }

    /// Bytes from here to the layer's end on the wire.
    #[inline]
    pub(super) const fn remaining(&self) -> usize {
        self.wire.saturating_sub(self.at)
    }

    /// The next `N` bytes, without going past them.
    #[inline]
    pub(super) fn peek<const N: usize>(&self) -> Option<&'a [u8; N]> {
        self.rest().first_chunk()
    }

    /// The next `N` bytes.
    #[inline]
    pub(super) fn take<const N: usize>(&mut self, layer: Layer) -> Result<&'a [u8; N], DecodeError> {
        let bytes = self.peek().ok_or_else(|| self.short(N, layer))?;
        self.at += N;
        Ok(bytes)
    }

    /// Goes `count` bytes on.
    #[inline]
    pub(super) fn skip(&mut self, count: usize, layer: Layer) -> Result<(), DecodeError> {
        if count > self.rest().len() {
            return Err(self.short(count, layer));
        }
        self.at += count;
        Ok(())
    }

    /// An IP header begins here. Inside another IP packet it came out of a tunnel, by whatever layers between.
    #[inline]
    pub(super) fn enter_network(&mut self) -> usize {
        self.tunnelled |= self.wire != usize::MAX;
        self.network = self.at;
        self.at
    }

    /// The innermost layer ends at offset `end` of the buffer, by its own length field. A layer that claims to
    /// be longer than the one around it was cut off before it was wrapped (an ERSPAN mirror does so): the
    /// difference is missing, not wrong.
    #[inline]
    pub(super) fn end_at(&mut self, end: usize) {
        self.wire = end;
        self.bytes = self.bytes.get(..end).unwrap_or(self.bytes);
    }

    /// The innermost layer does not tell its length: it ends where the bytes around it do.
    #[inline]
    pub(super) fn end_with_bytes(&mut self) {
        self.wire = self.bytes.len();
    }

    /// What `count` bytes that are not there mean: the layer contradicts its length, or the capture cut it.
    fn short(&self, count: usize, layer: Layer) -> DecodeError {
        let fault = if self.remaining() < count { Fault::BadLength } else { Fault::Truncated };
        DecodeError { layer, fault }
    }

    /// Everything from here on is the payload of `transport`.
    #[inline]
    pub(super) fn unit(&self, transport: Transport, source: u16, destination: u16) -> Decoded {
        Decoded::Unit(Unit {
            source: Endpoint::new(self.source, source),
            destination: Endpoint::new(self.destination, destination),
            transport,
            start: self.at as u32,
            length: self.rest().len() as u32,
            missing: self.missing() as u32,
            network: self.network as u32,
            tunnelled: self.tunnelled,
        })
    }
}

/// The two bytes of a port, a length or a type.
#[inline]
pub(super) const fn be16(high: u8, low: u8) -> u16 {
    u16::from_be_bytes([high, low])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_a_cut_from_a_wrong_length() {
        let mut cursor = Cursor::new(&[0; 6]);
        assert_eq!(cursor.take::<8>(Layer::Link).unwrap_err().fault, Fault::Truncated);
        cursor.end_at(8);
        assert_eq!(cursor.missing(), 2);
        assert_eq!(cursor.take::<8>(Layer::Udp).unwrap_err().fault, Fault::Truncated);
        cursor.end_at(4);
        assert_eq!(cursor.missing(), 0);
        assert_eq!(cursor.take::<6>(Layer::Udp).unwrap_err().fault, Fault::BadLength);
        assert_eq!(cursor.take::<4>(Layer::Udp).unwrap(), &[0; 4]);
        assert_eq!(cursor.skip(1, Layer::Udp).unwrap_err().fault, Fault::BadLength);
    }
}
