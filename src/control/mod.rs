//! How the running sniffer is asked from outside: a Unix socket for `lippycat debug`, and HTTP for Prometheus.
//!
//! In: questions of [`protocol`], a line of JSON each. Out: an answer each, made from the monitor's latest view;
//! questions about single calls go to the tracker, which answers a page at a time between two batches.
//!
//! Whoever asks is not trusted: a question has a greatest length that is checked before it is stored, clients are
//! limited in number and time, and nobody who asks can make the pipeline wait. Absent on purpose: commands. Nothing
//! that is said here changes anything.

pub mod answer;
pub mod client;
pub mod http;
pub mod protocol;
mod serve;
pub mod server;
pub mod socket;
