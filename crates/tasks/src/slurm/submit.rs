//! Submits job arrays, as many as SLURM's limit requires.

use super::call::call;
use super::queue::cancel;
use super::script::Array;
use super::shard::{FIRST_SHARD, SHARDS};
use h5part_base::error::{ErrorKind, Result};
use std::ffi::OsString;
use std::process::Command;

/// A job array that was submitted.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Submitted {
    /// Number of the job.
    pub id: String,
    /// Its elements.
    pub elements: u64,
}

/// Sizes of arrays with at most `most` elements that add up to `size`, as equal as possible.
#[must_use]
pub fn parts(size: u64, most: u64) -> Vec<u64> {
    let count = size.div_ceil(most.max(1));
    (0..count).map(|k| size / count + u64::from(k < size % count)).collect()
}

/// Submits an array of `size` elements, or several arrays if SLURM accepts fewer at once (`MaxArraySize`). With a
/// throttle they run one after the other, so that it applies to all together. A copy of each script is kept beside the
/// logs, as `JOB.sbatch`. Either all are submitted, or none stays in the queue.
///
/// **Concurrency.** Beside anything.
///
/// # Errors
/// [`crate::ErrorKind::NoSlurm`], [`crate::ErrorKind::Slurm`] with its message; I/O errors of the folder of logs.
pub fn submit(array: &Array, size: u64) -> Result<Vec<Submitted>, ErrorKind> {
    submit_parts(array, size, |_| Vec::new())
}

/// As [`submit`], for elements that share work by their numbers: [`Shard::of_job`](super::Shard::of_job) tells each
/// element its place among those of all arrays.
///
/// **Concurrency.** Beside anything.
///
/// # Errors
/// As [`submit`].
pub fn submit_shards(array: &Array, size: u64) -> Result<Vec<Submitted>, ErrorKind> {
    let told = |name: &str, value: u64| (name.to_owned(), OsString::from(value.to_string()));
    submit_parts(array, size, |first| vec![told(SHARDS, size), told(FIRST_SHARD, first)])
}

/// `variables` are further ones of the array that begins with this element.
fn submit_parts(
    array: &Array,
    size: u64,
    variables: impl Fn(u64) -> Vec<(String, OsString)>,
) -> Result<Vec<Submitted>, ErrorKind> {
    std::fs::create_dir_all(&array.logs)?;
    let most = max_array_size()?;
    let mut submitted: Vec<Submitted> = Vec::new();
    for elements in parts(size, most) {
        let after = submitted.last().filter(|_| array.throttle.is_some()).map(|last| format!("afterany:{}", last.id));
        let mut part = match after {
            // The first part has waited for whatever the whole waits for.
            Some(after) => Array { dependency: Some(after), ..array.clone() },
            None => array.clone(),
        };
        part.environment.extend(variables(submitted.iter().map(|job| job.elements).sum()));
        match submit_one(&part, elements) {
            Ok(id) => submitted.push(Submitted { id, elements }),
            Err(e) => {
                let ids: Vec<_> = submitted.into_iter().map(|job| job.id).collect();
                // The first error matters more than a failed cancellation.
                let _ = cancel(&ids);
                return Err(e);
            }
        }
    }
    Ok(submitted)
}

fn submit_one(array: &Array, size: u64) -> Result<String, ErrorKind> {
    let script = array.script(size)?;
    let mut command = Command::new("sbatch");
    command.arg("--parsable");
    // These variables would override the script.
    for name in ["ARRAY_INX", "JOB_NAME", "OUTPUT", "OPEN_MODE", "SIGNAL"] {
        command.env_remove(format!("SBATCH_{name}"));
    }
    for (name, value) in [("PARTITION", &array.partition), ("TIMELIMIT", &array.time)] {
        if value.is_some() {
            command.env_remove(format!("SBATCH_{name}"));
        }
    }
    let id = id_of(&call(command, &script)?)?;
    std::fs::write(array.logs.join(format!("{id}.sbatch")), &script)?;
    Ok(id)
}

/// Parses `JOB` or `JOB;CLUSTER` from the last line, since a site's own notices may precede it.
fn id_of(said: &str) -> Result<String, ErrorKind> {
    let last = said.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
    let id = last.split(';').next().unwrap_or_default();
    if !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(id.to_owned());
    }
    let message = format!("expected a job number, found '{}'", last.escape_debug());
    Err(crate::ErrorKind::Slurm { program: "sbatch".to_owned(), message }.into())
}

/// The largest number of elements of an array.
fn max_array_size() -> Result<u64, ErrorKind> {
    let mut command = Command::new("scontrol");
    command.args(["show", "config"]);
    let size = setting(&call(command, b"")?, "MaxArraySize").and_then(|text| text.parse().ok());
    let slurm = |message: &str| {
        ErrorKind::from(crate::ErrorKind::Slurm { program: "scontrol".to_owned(), message: message.to_owned() })
    };
    match size {
        Some(0) => Err(slurm("job arrays are switched off here (MaxArraySize is 0)")),
        Some(size) => Ok(size),
        None => Err(slurm("it does not report MaxArraySize")),
    }
}

/// The value of a line `Name = value` of `scontrol show config`.
pub(super) fn setting(config: &str, name: &str) -> Option<String> {
    config.lines().find_map(|line| {
        let (found, value) = line.split_once('=')?;
        (found.trim() == name).then(|| value.trim().to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_is_larger_than_the_limit_and_all_make_the_whole() {
        for size in 0..50 {
            for most in 1..20 {
                let parts = parts(size, most);
                assert_eq!(parts.iter().sum::<u64>(), size);
                assert!(parts.iter().all(|part| (1..=most).contains(part)), "{size} {most}: {parts:?}");
                assert_eq!(parts.len() as u64, size.div_ceil(most));
            }
        }
        assert_eq!(parts(10, 4), [4, 3, 3]);
    }

    #[test]
    fn numbers_of_jobs() {
        assert_eq!(id_of("12\n").ok().as_deref(), Some("12"));
        assert_eq!(id_of("sbatch: welcome\n12;cluster\n\n").ok().as_deref(), Some("12"));
        for said in ["", "\n", "Submitted batch job 12", ";", "x12"] {
            assert!(id_of(said).is_err(), "{said}");
        }
    }

    #[test]
    fn settings() {
        let config = "Configuration data as of now\nMaxArrayTasks           = 7\nMaxArraySize            = 1001\nX=\n";
        assert_eq!(setting(config, "MaxArraySize").as_deref(), Some("1001"));
        assert_eq!(setting(config, "X").as_deref(), Some(""));
        assert_eq!(setting(config, "ClusterName"), None);
    }
}
