//! Runs the program in a pseudo-terminal and reads its screen.

use nix::pty::{Winsize, openpty};
use nix::unistd::ttyname;
use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub struct Terminal {
    keys: File,
    device: PathBuf,
    screen: Arc<Mutex<vt100::Parser>>,
    child: Child,
}

/// One line of a screen.
#[derive(Clone, Debug)]
pub struct ScreenLine {
    pub text: String,
    pub bold: bool,
    pub underlined: bool,
    pub inverse: bool,
}

impl Terminal {
    /// Starts `h5part` with these arguments in a terminal of this size.
    pub fn start(rows: u16, columns: u16, args: &[&str]) -> Self {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).expect("a terminal");
        let device = ttyname(&pty.slave).expect("has a name");
        let end = || Stdio::from(pty.slave.try_clone().expect("duplicates"));
        // The program gets the terminal as its controlling one, so that it receives a change of size.
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait", env!("CARGO_BIN_EXE_h5part")]).args(args).env("TERM", "xterm-256color");
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().expect("setsid of util-linux");
        drop(command);
        drop(pty.slave);
        let keys = File::from(pty.master);
        let screen = Arc::new(Mutex::new(vt100::Parser::new(some(rows), some(columns), 0)));
        let (mut shown, parser) = (keys.try_clone().expect("duplicates"), Arc::clone(&screen));
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // The loop ends when the program closes the other end.
            while let Ok(count @ 1..) = shown.read(&mut bytes) {
                parser.lock().expect("lock").process(&bytes[..count]);
            }
        });
        Self { keys, device, screen, child }
    }

    pub fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("presses");
    }

    pub fn resize(&self, rows: u16, columns: u16) {
        self.screen.lock().expect("lock").screen_mut().set_size(some(rows), some(columns));
        let (rows, columns) = (rows.to_string(), columns.to_string());
        let stty = Command::new("stty").arg("-F").arg(&self.device).args(["rows", &rows, "cols", &columns]).status();
        assert!(stty.expect("stty").success());
    }

    pub fn text(&self) -> String {
        self.screen.lock().expect("lock").screen().contents()
    }

    /// Waits until this text is on the screen.
    pub fn until(&self, what: &str) -> String {
        self.wait(|text| text.contains(what), &format!("'{what}' is not shown"))
    }

    /// Waits until this is no longer on the screen.
    pub fn gone(&self, what: &str) -> String {
        self.wait(|text| !text.contains(what), &format!("'{what}' is still shown"))
    }

    /// Waits until the screen is as it should be.
    pub fn wait(&self, is_so: impl Fn(&str) -> bool, complaint: &str) -> String {
        let start = Instant::now();
        loop {
            let text = self.text();
            if is_so(&text) {
                return text;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "{complaint}:\n{text}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The screen line by line, each with how its first character is drawn.
    pub fn lines(&self) -> Vec<ScreenLine> {
        let parser = self.screen.lock().expect("lock");
        let screen = parser.screen();
        let (_, columns) = screen.size();
        let texts = screen.rows(0, columns.get());
        texts
            .zip(0..)
            .map(|(text, row)| {
                let cell = screen.cell(row, 0);
                let is = |what: fn(&vt100::Cell) -> bool| cell.is_some_and(what);
                ScreenLine {
                    text,
                    bold: is(vt100::Cell::bold),
                    underlined: is(vt100::Cell::underline),
                    inverse: is(vt100::Cell::inverse),
                }
            })
            .collect()
    }

    /// Waits for the end of the program. Returns the exit code and the last screen.
    pub fn end(mut self) -> (i32, String) {
        let code = self.child.wait().expect("ends").code().unwrap_or(-1);
        std::thread::sleep(Duration::from_millis(100));
        (code, self.text())
    }

    /// Whether a full-screen program has taken the screen.
    pub fn is_taken(&self) -> bool {
        self.screen.lock().expect("lock").screen().alternate_screen()
    }
}

fn some(count: u16) -> std::num::NonZero<u16> {
    std::num::NonZero::new(count).expect("a terminal has rows and columns")
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
