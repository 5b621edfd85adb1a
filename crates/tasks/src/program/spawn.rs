//! The few system calls between fork(2) and exec(2) that have no safe interface.
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

/// Prepares a program. It inherits only descriptors 0, 1 and 2, and leads a process group of its own, which the keeper
/// knows before the program begins. It is killed when the thread that starts it ends, and may use this much memory.
pub(super) fn prepare(command: &mut Command, memory: Option<&MemoryLimit>, keeper: Option<i32>) {
    let parent = std::process::id();
    // A process cannot raise its own hard limit.
    let most = getrlimit(Resource::RLIMIT_DATA).map_or(u64::MAX, |(_, hard)| hard);
    let limit = memory.and_then(MemoryLimit::rlimit).map(|bytes| bytes.min(most));
    let group = memory.and_then(MemoryLimit::group_descriptor);
    command.process_group(0);
    let before_exec = move || {
        set_pdeathsig(Signal::SIGKILL)?;
        if u32::try_from(getppid().as_raw()) != Ok(parent) {
            // The runner died before it could ask to be followed in death.
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if let Some(keeper) = keeper {
            tell_keeper(keeper)?;
        }
        if let Some(group) = group {
            // "0" in a control group's list of processes means the process that writes it.
            write_to(group, b"0")?;
        }
        if let Some(bytes) = limit {
            setrlimit(Resource::RLIMIT_DATA, bytes, bytes)?;
        }
        close_others()
    };
    // SAFETY: the closure only makes system calls; it allocates nothing and takes no lock. This is allowed after
    // fork(2) of a process with several threads.
    unsafe { command.pre_exec(before_exec) };
}

/// exec(2) closes descriptors from 3 on. Until then, std uses one of them to report a failed exec.
fn close_others() -> io::Result<()> {
    // SAFETY: takes three numbers.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if closed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Writes a plus, the id of this process, which leads its group, and a line end.
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
    // SAFETY: the bytes are valid. The descriptor is open while its lender lives, which is until the program has
    // started.
    let written = unsafe { libc::write(descriptor, bytes.as_ptr().cast(), bytes.len()) };
    if usize::try_from(written) == Ok(bytes.len()) { Ok(()) } else { Err(io::Error::last_os_error()) }
}
