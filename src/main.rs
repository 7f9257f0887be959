//! The `lippycat` program.

fn main() {}
