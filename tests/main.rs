//! The program as its users meet it: captures in, calls, files and exit codes out.
//!
//! Expected values come from outside: tshark's counts, RFC texts, the traffic generator's ledger.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test stops where its expectation is wrong, and waits by the wall clock for a program that runs"
)]

mod audio;
mod capture_loss;
mod classic;
mod clean_output;
mod cli;
mod clock;
mod corpus;
mod cut;
mod dead_air;
mod debug;
mod determinism;
mod disk;
mod documents;
mod early_media;
mod ending;
mod faults;
mod fax_and_video;
mod follow;
mod formats;
mod fuzz_seeds;
mod ice;
mod inspect;
mod isolation;
mod joined;

mod ledger;
mod legs;
mod lifecycle;
mod live;
mod machine;
mod many_ports;
mod mutation;
mod operations;
mod outputs;
mod peers;
mod privacy;
mod quality;
mod recut;
mod reports;
mod rewritten;
mod routes;
mod scene;
mod sctp;
mod selection;
mod service;
mod shared_ports;
mod silence;
mod sources;
mod srtp;
mod support;
mod tidy;
mod tls;
mod traffic;
mod tunnels;
mod two_sides;
mod unreachable;
mod wire;
