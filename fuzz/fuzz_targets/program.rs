//! Any bytes as an HDF5 file, given to the program: it ends in time, with an exit code of its own and at
//! most one line of standard error, whatever happens in the HDF5 library.
//!
//! `H5PART_BIN`: the program, built as usual.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// It must end within this.
const LONGEST: Duration = Duration::from_secs(60);
/// Exit codes are told in `docs/exit-codes.md`.
const CODES: std::ops::RangeInclusive<i32> = 0..=12;

static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
    let program = std::env::var_os("H5PART_BIN").map(PathBuf::from).filter(|path| path.is_file());
    program.unwrap_or_else(|| {
        eprintln!("set H5PART_BIN to the program under test: target/release/h5part");
        std::process::exit(2);
    })
});

fn run(arguments: &[&str]) -> (Option<ExitStatus>, String) {
    let told = h5part_fuzz::folder().join("told");
    let mut command = Command::new(&*PROGRAM);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    let mut child = command.stderr(File::create(&told).expect("create")).spawn().expect("starts");
    let start = Instant::now();
    let mut status = None;
    while status.is_none() && start.elapsed() < LONGEST {
        std::thread::sleep(Duration::from_micros(200));
        status = child.try_wait().expect("waits");
    }
    if status.is_none() {
        child.kill().and_then(|()| child.wait()).expect("ends");
    }
    (status, String::from_utf8_lossy(&std::fs::read(&told).expect("read")).into_owned())
}

fuzz_target!(init: LazyLock::force(&PROGRAM), |bytes: &[u8]| {
    let file = h5part_fuzz::folder().join("program.h5");
    std::fs::write(&file, bytes).expect("write");
    let (status, told) = run(&["info", file.to_str().expect("UTF-8"), "--json"]);
    let code = status.expect("it does not end").code();
    assert!(code.is_some_and(|code| CODES.contains(&code)), "{status:?}: {told}");
    assert!(told.lines().count() <= 1, "{told}");
});
