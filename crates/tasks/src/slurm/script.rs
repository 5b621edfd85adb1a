//! Writes the text of a job script. Pure.

use h5part_base::error::ErrorKind;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// This long before their time limit, workers stop claiming, and running tasks are completed.
pub const GRACE_S: u64 = 60;
/// SLURM may send signals this much too early.
const EARLY_S: u64 = 60;

/// A job array of workers.
#[derive(Clone, Debug, Default)]
pub struct Array {
    /// Name of the job.
    pub name: String,
    /// Most elements that run at once.
    pub throttle: Option<u64>,
    /// The partition to run in.
    pub partition: Option<String>,
    /// Time limit per element, in SLURM's syntax.
    pub time: Option<String>,
    /// Dependencies, in SLURM's syntax.
    pub dependency: Option<String>,
    /// Processors per element. `None`: SLURM's default.
    pub cpus: Option<usize>,
    /// More options, as they stand after `#SBATCH`. They override those above.
    pub extra: Vec<String>,
    /// Working folder of the workers.
    pub folder: PathBuf,
    /// Folder of the elements' logs.
    pub logs: PathBuf,
    /// Variables that are set for each element.
    pub environment: Vec<(String, OsString)>,
    /// The worker: a program with its arguments.
    pub worker: Vec<OsString>,
}

impl Array {
    /// The script for an array of `size` elements.
    ///
    /// When a node is lost or the job preempted, SLURM requeues the element. Before the time limit the worker gets
    /// SIGINT, and at the limit SIGTERM. It replaces the shell, so that signals reach it.
    ///
    /// # Errors
    /// Text that does not fit into a line of a script ([`ErrorKind::BadRequest`]).
    pub fn script(&self, size: u64) -> Result<Vec<u8>, ErrorKind> {
        let mut lines = Lines(b"#!/bin/sh\n".to_vec());
        lines.option("job-name", self.name.as_bytes())?;
        lines.option("array", self.elements(size).as_bytes())?;
        lines.option("ntasks", b"1")?;
        if let Some(cpus) = self.cpus {
            lines.option("cpus-per-task", cpus.to_string().as_bytes())?;
        }
        for (name, value) in [("partition", &self.partition), ("time", &self.time), ("dependency", &self.dependency)] {
            if let Some(value) = value {
                lines.option(name, value.as_bytes())?;
            }
        }
        if self.dependency.is_some() {
            // Otherwise the array would wait for ever.
            lines.option("kill-on-invalid-dep", b"yes")?;
        }
        lines.option("chdir", self.folder.as_os_str().as_bytes())?;
        let logs = self.logs.as_os_str().as_bytes();
        if logs.contains(&b'\\') {
            let text =
                format!("SLURM cannot write logs into '{}': it treats a backslash specially", self.logs.display());
            return Err(ErrorKind::BadRequest(text));
        }
        lines.option("output", &[percent_escaped(logs).as_slice(), b"/%A_%a.log"].concat())?;
        lines.option("open-mode", b"append")?;
        lines.flag("requeue");
        if let Some(grace_s) = self.grace_s() {
            lines.option("signal", format!("B:INT@{grace_s}").as_bytes())?;
        }
        for text in &self.extra {
            lines.verbatim(text)?;
        }
        for (name, value) in &self.environment {
            lines.export(name, value)?;
        }
        lines.exec(&self.worker)?;
        Ok(lines.0)
    }

    fn elements(&self, size: u64) -> String {
        let last = size.saturating_sub(1);
        match self.throttle {
            Some(throttle) if throttle < size => format!("0-{last}%{throttle}"),
            _ => format!("0-{last}"),
        }
    }

    /// The grace period. `None`: the time limit is so short that little would be left.
    fn grace_s(&self) -> Option<u64> {
        let limit_s = self.time.as_deref().and_then(minutes).map(|minutes| minutes.saturating_mul(60));
        limit_s.is_none_or(|limit| limit >= 4 * (GRACE_S + EARLY_S)).then_some(GRACE_S)
    }
}

/// A time limit in minutes, rounded up: `M`, `M:S`, `H:M:S`, `D-H`, `D-H:M`, `D-H:M:S`. `None`: not one of these, such
/// as `UNLIMITED`.
#[must_use]
pub fn minutes(text: &str) -> Option<u64> {
    let (days, rest) = match text.split_once('-') {
        Some((days, rest)) => (Some(days.parse::<u64>().ok()?), rest),
        None => (None, text),
    };
    let numbers: Vec<u64> = rest.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let (hours, minutes, seconds) = match (days, numbers.as_slice()) {
        (None, [m]) => (0, *m, 0),
        (None, [m, s]) => (0, *m, *s),
        (Some(_), [h]) => (*h, 0, 0),
        (Some(_), [h, m]) => (*h, *m, 0),
        (_, [h, m, s]) => (*h, *m, *s),
        _ => return None,
    };
    let hours = days.unwrap_or(0).checked_mul(24)?.checked_add(hours)?;
    hours.checked_mul(60)?.checked_add(minutes)?.checked_add(seconds.div_ceil(60))
}

/// In names of logs, `%` begins a placeholder.
fn percent_escaped(path: &[u8]) -> Vec<u8> {
    path.iter().flat_map(|byte| if *byte == b'%' { vec![b'%', b'%'] } else { vec![*byte] }).collect()
}

struct Lines(Vec<u8>);

impl Lines {
    fn option(&mut self, name: &str, value: &[u8]) -> Result<(), ErrorKind> {
        one_line(value)?;
        self.0.extend(format!("#SBATCH --{name}=").bytes());
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-+.,:/@%=?".contains(byte);
        if value.iter().all(is_plain) {
            self.0.extend(value);
        } else {
            // sbatch understands double quotes, with a backslash before quotes and backslashes.
            let escaped = value.iter().flat_map(|byte| match byte {
                b'"' | b'\\' => vec![b'\\', *byte],
                _ => vec![*byte],
            });
            self.0.push(b'"');
            self.0.extend(escaped);
            self.0.push(b'"');
        }
        self.0.push(b'\n');
        Ok(())
    }

    fn flag(&mut self, name: &str) {
        self.0.extend(format!("#SBATCH --{name}\n").bytes());
    }

    fn verbatim(&mut self, text: &str) -> Result<(), ErrorKind> {
        one_line(text.as_bytes())?;
        let text = text.trim().trim_start_matches("#SBATCH").trim();
        self.0.extend(format!("#SBATCH {text}\n").bytes());
        Ok(())
    }

    fn export(&mut self, name: &str, value: &OsStr) -> Result<(), ErrorKind> {
        let is_word = |c: char| c == '_' || c.is_ascii_alphanumeric();
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(is_word) {
            return Err(ErrorKind::BadRequest(format!("'{}' is not the name of a variable", name.escape_debug())));
        }
        self.0.extend(format!("export {name}=").bytes());
        self.word(value)?;
        self.0.push(b'\n');
        Ok(())
    }

    fn exec(&mut self, words: &[OsString]) -> Result<(), ErrorKind> {
        self.0.extend(b"exec");
        for word in words {
            self.0.push(b' ');
            self.word(word)?;
        }
        self.0.push(b'\n');
        Ok(())
    }

    fn word(&mut self, word: &OsStr) -> Result<(), ErrorKind> {
        let quoted = shlex::bytes::try_quote(word.as_bytes());
        let quoted = quoted.map_err(|_| ErrorKind::BadRequest(format!("{} has a zero byte", word.display())))?;
        self.0.extend(quoted.as_ref());
        Ok(())
    }
}

fn one_line(text: &[u8]) -> Result<(), ErrorKind> {
    if text.iter().any(u8::is_ascii_control) {
        let text = String::from_utf8_lossy(text);
        return Err(ErrorKind::BadRequest(format!("'{}' does not fit into a #SBATCH line", text.escape_debug())));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array() -> Array {
        Array {
            name: "sweep".to_owned(),
            folder: "/home/me".into(),
            logs: "/data/l.led.part/slurm".into(),
            worker: ["/bin/h5part", "work", "/data/l.led", "--", "prog", "{name}"].map(OsString::from).to_vec(),
            ..Array::default()
        }
    }

    fn text(array: &Array, size: u64) -> String {
        String::from_utf8(array.script(size).expect("a script")).expect("text")
    }

    #[test]
    fn a_script() {
        let expected = "#!/bin/sh\n#SBATCH --job-name=sweep\n#SBATCH --array=0-7\n#SBATCH --ntasks=1\n\
            #SBATCH --chdir=/home/me\n#SBATCH --output=/data/l.led.part/slurm/%A_%a.log\n#SBATCH --open-mode=append\n\
            #SBATCH --requeue\n#SBATCH --signal=B:INT@60\nexec /bin/h5part work /data/l.led -- prog '{name}'\n";
        assert_eq!(text(&array(), 8), expected);
    }

    #[test]
    fn all_that_can_be_asked_for() {
        let some = |text: &str| Some(text.to_owned());
        let array = Array {
            throttle: Some(3),
            partition: some("short"),
            time: some("2:00:00"),
            dependency: some("afterok:12?afterany:13"),
            cpus: Some(4),
            extra: vec!["--account=x --qos=low".to_owned(), "#SBATCH --no-requeue".to_owned()],
            environment: vec![("A".to_owned(), "it's".into())],
            ..array()
        };
        let text = text(&array, 8);
        let export = text.lines().find(|line| line.starts_with("export")).expect("a variable");
        assert_eq!(shlex::split(export).expect("words"), ["export", "A=it's"]);
        for line in [
            "--array=0-7%3",
            "--cpus-per-task=4",
            "--partition=short",
            "--time=2:00:00",
            "--dependency=afterok:12?afterany:13",
            "--kill-on-invalid-dep=yes",
            "--account=x --qos=low",
            "--no-requeue",
        ] {
            assert!(text.lines().any(|found| found == format!("#SBATCH {line}")), "{line} in {text}");
        }
        let place = |line: &str| text.find(line).expect("is there");
        assert!(place("--no-requeue") > place("--requeue"), "what the user says comes last and overrules");
    }

    #[test]
    fn names_of_any_kind() {
        let strange = Array {
            logs: "/data/100% of 'it' #1 \"ä\"/slurm".into(),
            folder: "/data/\\ \"".into(),
            worker: vec!["/bin/h5part".into(), "it's $HOME `x`; {name}".into(), "two\nlines".into(), "".into()],
            ..array()
        };
        let text = text(&strange, 1);
        let output = r#"#SBATCH --output="/data/100%% of 'it' #1 \"ä\"/slurm/%A_%a.log""#;
        let folder = r#"#SBATCH --chdir="/data/\\ \"""#;
        assert!([output, folder].iter().all(|line| text.lines().any(|found| found == *line)), "{text}");
        let command = text.split_once("exec ").expect("a command").1;
        let words = ["/bin/h5part", "it's $HOME `x`; {name}", "two\nlines", ""];
        assert_eq!(shlex::split(command).expect("words"), words);
        // A line that would end the options or begin another one is refused.
        for bad in ["a\nb", "a\0", "\r"] {
            assert!(Array { partition: Some(bad.to_owned()), ..array() }.script(1).is_err());
            assert!(Array { extra: vec![bad.to_owned()], ..array() }.script(1).is_err());
        }
        assert!(Array { logs: "/a\\b".into(), ..array() }.script(1).is_err());
        assert!(Array { worker: vec!["a\0".into()], ..array() }.script(1).is_err());
        for name in ["", "A B", "1A", "A=B", "ä"] {
            assert!(Array { environment: vec![(name.to_owned(), "x".into())], ..array() }.script(1).is_err(), "{name}");
        }
    }

    #[test]
    fn time_limits() {
        let cases = [
            ("90", 90),
            ("1:30", 2),
            ("0:00", 0),
            ("2:00:00", 120),
            ("1-0", 1440),
            ("1-1:30", 1530),
            ("1-1:30:01", 1531),
            ("0:0:1", 1),
        ];
        for (text, expected) in cases {
            assert_eq!(minutes(text), Some(expected), "{text}");
        }
        for text in ["", "UNLIMITED", "1:2:3:4", "-1", "1-", "x", "99999999999999999999", "99999999999999999-0"] {
            assert_eq!(minutes(text), None, "{text}");
        }
        let signals = |time: &str| text(&Array { time: Some(time.to_owned()), ..array() }, 1).contains("--signal");
        assert!(signals("8") && signals("UNLIMITED") && !signals("7"));
    }
}
