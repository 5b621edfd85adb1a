//! A browser without a window, told what to do through two pipes (the `DevTools` protocol, messages that end with a NUL).

use super::support::Scratch;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Names of such browsers, the smallest first.
const NAMES: [&str; 4] = ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"];

pub struct Browser {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    session: Option<String>,
    last: u64,
    events: Vec<Value>,
    _profile: Scratch,
}

/// The browser of this host. `None` where there is none, which `H5PART_REQUIRE_BROWSER` does not let pass.
fn program() -> Option<PathBuf> {
    let folders: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    let mut candidates = NAMES.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    let found =
        std::env::var_os("H5PART_BROWSER").map(PathBuf::from).or_else(|| candidates.find(|path| path.is_file()));
    if found.is_none() {
        assert!(std::env::var_os("H5PART_REQUIRE_BROWSER").is_none(), "a browser is required here, and missing");
        println!("SKIPPED: no chromium here, so no page was looked at (apt install chromium, or set H5PART_BROWSER)");
    }
    found
}

impl Browser {
    /// Starts it with an empty page of this size. It reaches no other host.
    pub fn start(width: u32, height: u32) -> Option<Self> {
        let profile = Scratch::new();
        let mut command = Command::new("sh");
        // It takes orders from descriptor 3, and answers on 4.
        command.args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null"]).arg(program()?);
        command.args(["--headless", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu", "--hide-scrollbars"]);
        command.args(["--host-resolver-rules=MAP * ~NOTFOUND", "--disable-background-networking"]);
        // As root there is no sandbox; small containers have a small /dev/shm.
        command.args(["--no-sandbox", "--disable-dev-shm-usage"]);
        command.arg(format!("--window-size={width},{height}"));
        command.arg(format!("--user-data-dir={}", profile.text("profile"))).arg("about:blank");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("starts");
        let orders = child.stdin.take().expect("piped");
        let answers = BufReader::new(child.stdout.take().expect("piped"));
        let mut browser =
            Self { child, orders, answers, session: None, last: 0, events: Vec::new(), _profile: profile };
        let target = browser.order("Target.createTarget", &json!({"url": "about:blank"}));
        let target = target["targetId"].as_str().expect("a page").to_owned();
        let session = browser.order("Target.attachToTarget", &json!({"targetId": target, "flatten": true}));
        browser.session = Some(session["sessionId"].as_str().expect("a session").to_owned());
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.order(&format!("{domain}.enable"), &json!({}));
        }
        Some(browser)
    }

    /// Gives an order, and waits for its result.
    pub fn order(&mut self, method: &str, parameters: &Value) -> Value {
        self.last += 1;
        let id = self.last;
        let mut order = json!({"id": id, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            order["sessionId"] = json!(session);
        }
        self.orders.write_all(format!("{order}\0").as_bytes()).expect("it takes orders");
        loop {
            let message = self.next();
            if message["id"] == json!(id) {
                assert!(message.get("error").is_none(), "{method}: {message}");
                return message["result"].clone();
            }
        }
    }

    /// The next message. Events are kept.
    fn next(&mut self) -> Value {
        let mut bytes = Vec::new();
        self.answers.read_until(0, &mut bytes).expect("it answers");
        assert_eq!(bytes.pop(), Some(0), "the browser has ended");
        let message: Value = serde_json::from_slice(&bytes).expect("JSON");
        if message.get("method").is_some() {
            self.events.push(message.clone());
        }
        message
    }

    /// Opens a file, and waits until it is loaded.
    pub fn open(&mut self, path: &Path) {
        self.events.clear();
        let url = format!("file://{}", path.display());
        let said = self.order("Page.navigate", &json!({"url": url}));
        assert!(said.get("errorText").is_none(), "{said}");
        while self.named("Page.loadEventFired").next().is_none() {
            self.next();
        }
    }

    fn named<'a>(&'a self, method: &'a str) -> impl Iterator<Item = &'a Value> {
        self.events.iter().filter(move |event| event["method"] == method).map(|event| &event["params"])
    }

    /// What a script gives.
    pub fn value(&mut self, script: &str) -> Value {
        let said = self.order("Runtime.evaluate", &json!({"expression": script, "returnByValue": true}));
        assert!(said.get("exceptionDetails").is_none(), "{script}: {said}");
        said["result"]["value"].clone()
    }

    /// What went wrong since the page was opened: errors and warnings on its console, exceptions.
    pub fn complaints(&self) -> Vec<String> {
        let on_console = self.named("Runtime.consoleAPICalled").map(Value::to_string);
        let logged = self.named("Log.entryAdded").map(Value::to_string);
        on_console.chain(logged).chain(self.named("Runtime.exceptionThrown").map(Value::to_string)).collect()
    }

    /// What the page asked for since it was opened, itself included.
    pub fn requests(&self) -> Vec<String> {
        let urls = self.named("Network.requestWillBeSent").map(|event| &event["request"]["url"]);
        urls.map(|url| url.as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Tells pages that their reader likes it `light` or `dark`.
    pub fn prefer(&mut self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.order("Emulation.setEmulatedMedia", &json!({"features": features}));
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
