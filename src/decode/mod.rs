//! From a frame's first byte to its transport payload: link layers, VLAN tags, tunnels, IP, transport headers.
//!
//! In: a link type and a captured frame. Out: one [`Decoded`], or a [`DecodeError`] that names the layer whose
//! length was wrong. Every offset is relative to the buffer that was decoded. Nothing is copied, nothing is
//! remembered between packets, and the number of nested layers is capped.

mod unit;

pub use unit::{DecodeError, Decoded, Fault, Fragment, Layer, TcpFlags, TcpHeader, Transport, Unit};
