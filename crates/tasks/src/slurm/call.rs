//! Calls one of SLURM's programs.

use h5part_base::error::{ErrorKind, Result};
use std::io::{self, Write};
use std::process::{Command, Output, Stdio};

/// Runs a program with `input`, and returns what it printed.
///
/// # Errors
/// [`crate::ErrorKind::NoSlurm`]: the program does not exist. [`crate::ErrorKind::Slurm`]: it failed, with its own
/// message.
pub(super) fn call(mut command: Command, input: &[u8]) -> Result<String, ErrorKind> {
    let program = command.get_program().to_string_lossy().into_owned();
    let done = output(&mut command, input).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => crate::ErrorKind::NoSlurm(program.clone()).into(),
        _ => ErrorKind::Io(e),
    })?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let message = if said.is_empty() { format!("it ended with {}", done.status) } else { said };
    Err(crate::ErrorKind::Slurm { program, message }.into())
}

fn output(command: &mut Command, input: &[u8]) -> io::Result<Output> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        match stdin.write_all(input) {
            // It has ended without reading its input. Its output tells why.
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => {}
            other => other?,
        }
    }
    child.wait_with_output()
}
