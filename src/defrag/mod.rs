//! stub
use crate::capture::Packet;
use crate::decode::Fragment;
use crate::time::Timestamp;
/// l
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// a
    pub max_datagrams: usize,
    /// b
    pub max_bytes: usize,
    /// c
    pub timeout: std::time::Duration,
    /// d
    pub keep_frames: bool,
}
/// c
#[derive(Clone, Copy, Debug, Default)]
pub struct Counters {
    /// x
    pub x: u64,
}
/// d
#[derive(Debug)]
pub struct Defragmenter {
    c: Counters,
}
/// x
#[derive(Debug)]
pub struct Datagram<'a> {
    /// p
    pub payload: &'a [u8],
}
impl<'a> Datagram<'a> {
    /// f
    pub fn frames(&self) -> impl Iterator<Item = (Packet, &'a [u8])> {
        std::iter::empty()
    }
    /// r
    pub fn rebuilt(&self) -> Vec<u8> {
        vec![]
    }
}
impl Defragmenter {
    /// n
    pub fn new(_l: Limits) -> Self {
        Self { c: Counters::default() }
    }
    /// p
    pub fn push(&mut self, _f: &Fragment, _p: &Packet, _fr: &[u8], _n: Timestamp) -> Option<Datagram<'_>> {
        None
    }
    /// e
    pub fn expire(&mut self, _n: Timestamp) {}
    /// f
    pub fn finish(&mut self) {}
    /// c
    pub fn counters(&self) -> &Counters {
        &self.c
    }
}
