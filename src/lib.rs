//! lippycat: every VoIP call in a capture, one PCAP and one record per call.
//!
//! The modules below stand in the order in which a packet meets them:
//!
//! ```text
//!  capture ─► decode ⇄ defrag ─► pipeline ═► reassembly ─► sip ─► call, media ─► sink
//!  files      link to transport  by flow     TCP streams   SIP    who with whom   PCAPs, records
//! ```

pub mod time;
mod counters;
mod near;
mod slots;
pub mod escape;

pub mod capture;
pub mod decode;
pub mod defrag;
pub mod flow;
pub mod reassembly;
pub mod tls;
pub mod sip;
pub mod quality;
pub mod media;
pub mod call;
pub mod privacy;
pub mod sink;
pub mod inspect;
pub mod report;
pub mod config;
pub mod pipeline;
pub mod monitor;
pub mod control;
pub mod cli;
pub mod app;
pub mod exit_code;
