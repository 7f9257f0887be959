//! The program as its users meet it: captures in, calls, files and exit codes out.
//!
//! Expected values come from outside: tshark's counts, RFC texts, the traffic generator's ledger.

mod cli;
mod corpus;
mod support;
mod traffic;
