//! The `h5part` program: see `h5part --help`.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
