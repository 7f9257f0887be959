//! The `lippycat` program.

fn main() -> std::process::ExitCode {
    lippycat::app::run(std::env::args_os().collect()).into()
}
