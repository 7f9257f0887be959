//! Makes telephone traffic from a [`Profile`] and a seed, as a capture file and a [`Ledger`] of what is in it.
//!
//! In: knobs. Out: the bytes of a pcap or pcapng file, written as they come (a file of gigabytes needs megabytes of
//! memory), and the ledger. The same profile gives the same bytes.
//!
//! The ledger is the truth that tests and measurements compare with, so nothing here uses code of the program that is
//! tested: not its parsers, not its types. Deliberately absent: anything that reads.

#![allow(
    dead_code,
    unused_imports,
    reason = "a bench without test harness and several tests include this module, each uses a part of it"
)]
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "nothing here comes from outside: an index out of range is a mistake of the generator and has to stop it"
)]

use std::io::{self, Write};

mod address;
mod bridge;
mod connection;
mod file;
mod frame;
mod ledger;
mod media;
mod message;
mod network;
mod noise;
mod preset;
mod profile;
mod rng;
mod schedule;
mod script;
mod segmentation;
mod simulation;
mod step;
mod stretch;
mod websocket;

pub(crate) use bridge::MARK;
pub(crate) use ledger::{Call, Ledger, Stream};
pub(crate) use preset::PRESETS;
pub(crate) use profile::{Format, Link, Profile};

/// Writes the capture that a profile describes.
///
/// # Errors
/// Those of `out`.
pub(crate) fn generate(profile: &Profile, out: &mut dyn Write) -> io::Result<Ledger> {
    simulation::Simulation::new(profile, out)?.run()
}
