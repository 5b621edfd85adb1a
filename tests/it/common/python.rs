//! Python with h5py and numpy.

use super::support::finished;
use serde::Deserialize;
use serde_json::json;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, OnceLock};

/// Forks for each script that it reads. A fork takes milliseconds; to start Python and import h5py takes a third of a
/// second, and the tests run more than a thousand scripts.
const SERVER: &str = r#"
import json, os, sys, tempfile
import h5py, numpy
print(flush=True)
for line in sys.stdin:
    script, args = json.loads(line)
    texts = [tempfile.TemporaryFile() for _ in range(2)]
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number, text in enumerate(texts, 1):
            os.dup2(text.fileno(), number)
        sys.argv = ["-c", *args]
        # Files that the script leaves open are closed when the interpreter ends, as they are after `python -c`.
        exec(compile(script, "<string>", "exec"), globals())
        break
    status = os.waitpid(child, 0)[1]
    out, err = (text.seek(0) or text.read().decode(errors="replace") for text in texts)
    print(json.dumps({"code": os.waitstatus_to_exitcode(status), "out": out, "err": err}), flush=True)
"#;

fn name() -> String {
    std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned())
}

/// Whether there is h5py. Says so where it is missing.
fn is_there() -> bool {
    static THERE: OnceLock<bool> = OnceLock::new();
    *THERE.get_or_init(|| {
        let has = Command::new(name()).args(["-c", "import h5py, numpy"]).output();
        let has = has.is_ok_and(|output| output.status.success());
        if !has {
            assert!(std::env::var_os("H5PART_REQUIRE_H5PY").is_none(), "h5py is required here, and missing");
            eprintln!("skipped: no h5py ({} -c 'import h5py' fails); 'make test' provides it", name());
        }
        has
    })
}

/// A script, to be started. `None` where h5py is missing; `make test` fails then.
pub fn python(script: &str, args: &[&str]) -> Option<Command> {
    is_there().then(|| {
        let mut command = Command::new(name());
        command.arg("-c").arg(script).args(args);
        command
    })
}

/// Runs a Python script to its end; returns what it printed, or `None` where there is no h5py.
pub fn py(script: &str, args: &[&str]) -> Option<String> {
    static RUNNING: Mutex<Option<Server>> = Mutex::new(None);
    // Scripts of several threads run at the same time, each after the first in a Python of its own.
    let (code, out, err) = match RUNNING.try_lock() {
        Ok(mut running) => {
            if running.is_none() {
                *running = Server::start();
            }
            match running.as_mut() {
                Some(server) => server.run(script, args),
                None if is_there() => panic!("Python does not start"),
                None => return None,
            }
        }
        Err(_) => finished(&python(script, args)?.output().expect("starts")),
    };
    assert_eq!(code, 0, "python failed: {err}");
    Some(out)
}

struct Server {
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
    _process: Child,
}

#[derive(Deserialize)]
struct Answer {
    code: i32,
    out: String,
    err: String,
}

impl Server {
    /// `None` where there is no h5py. It ends with its input, when the test does.
    fn start() -> Option<Self> {
        let mut command = Command::new(name());
        command.args(["-c", SERVER]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().ok()?;
        let (requests, answers) = (process.stdin.take()?, process.stdout.take()?);
        let mut server = Self { requests, answers: BufReader::new(answers), _process: process };
        (server.line() == "\n").then_some(server)
    }

    fn run(&mut self, script: &str, args: &[&str]) -> (i32, String, String) {
        writeln!(self.requests, "{}", json!([script, args])).expect("takes a script");
        let Answer { code, out, err } = serde_json::from_str(&self.line()).expect("an answer");
        (code, out, err)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("answers");
        line
    }
}
