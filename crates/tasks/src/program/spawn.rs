//! The few system calls between fork(2) and exec(2) that no safe interface has.
#![expect(unsafe_code, reason = "what happens in the child before exec(2) cannot be said in safe code")]

use super::limit::MemoryLimit;
use nix::libc;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::getppid;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Arranges that the program inherits descriptors 0, 1 and 2 alone, leads a process group of its own, of which the
/// keeper knows before the program begins, is killed when the thread that starts it dies, and has so much memory.
pub(super) fn prepare(command: &mut Command, memory: Option<&MemoryLimit>, keeper: Option<i32>) {
    let parent = std::process::id();
    // Nobody may ask for more than what is allowed already.
    let most = getrlimit(Resource::RLIMIT_DATA).map_or(u64::MAX, |(_, hard)| hard);
    let limit = memory.and_then(MemoryLimit::rlimit).map(|bytes| bytes.min(most));
    let group = memory.and_then(MemoryLimit::group_descriptor);
    command.process_group(0);
    let before_exec = move || {
        set_pdeathsig(Signal::SIGKILL)?;
        if u32::try_from(getppid().as_raw()) != Ok(parent) {
            // The runner died before it could be asked to take the program with it.
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if let Some(keeper) = keeper {
            tell_keeper(keeper)?;
        }
        if let Some(group) = group {
            // "0" in a control group's list of processes: the process that writes it.
            write_to(group, b"0")?;
        }
        if let Some(bytes) = limit {
            setrlimit(Resource::RLIMIT_DATA, bytes, bytes)?;
        }
        close_others()
    };
    // SAFETY: the closure makes system calls only, allocates nothing and takes no lock: what fork(2) leaves of
    // a process with several threads is enough for it.
    unsafe { command.pre_exec(before_exec) };
}

/// Descriptors from 3 on are closed by exec(2); until then std tells of a failed exec through one of them.
fn close_others() -> io::Result<()> {
    // SAFETY: takes three numbers.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if closed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A plus and the number of this process, which leads its group, and the end of the line.
fn tell_keeper(descriptor: i32) -> io::Result<()> {
    let mut line = *b"+0000000000\n";
    let mut rest = std::process::id();
    for digit in line[1..11].iter_mut().rev() {
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
    }
    write_to(descriptor, &line)
}

fn write_to(descriptor: i32, bytes: &[u8]) -> io::Result<()> {
    // SAFETY: bytes that are there are read; the descriptor is open as long as who lent it, which is until the
    // program was started.
    let written = unsafe { libc::write(descriptor, bytes.as_ptr().cast(), bytes.len()) };
    if usize::try_from(written) == Ok(bytes.len()) { Ok(()) } else { Err(io::Error::last_os_error()) }
}
