//! A page of Markdown as steps to take, in order.

/// One block, or hidden lines between blocks.
#[derive(Debug)]
pub struct Step {
    /// Of its first line in the page, from 1.
    pub line: usize,
    pub kind: Kind,
    /// Numbers that commands with these words print are not compared.
    pub numbers_of: Option<String>,
    /// Exit code of its last command.
    pub code: i32,
}

#[derive(Debug)]
pub enum Kind {
    /// Lines of a shell. Nothing is said of what they print.
    Script(String),
    /// Commands, each with the lines that it prints.
    Session(Vec<(String, Vec<String>)>),
    Python(String),
    File {
        name: String,
        text: String,
    },
    /// It is not run, for this reason.
    Skipped(String),
}

/// What comments say of the next block.
#[derive(Debug, Default)]
struct Marks {
    skip: Option<String>,
    differs: Option<String>,
    without: Vec<(String, String)>,
    file: Option<String>,
    numbers_of: Option<String>,
    code: i32,
    any: bool,
}

/// The steps of a page. Panics where a mark is not understood, or a session is not called one.
pub fn steps(page: &str, text: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut marks = Marks::default();
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        let trimmed = line.trim_start();
        let place = format!("{page}:{}", at + 1);
        if let Some(mark) = trimmed.strip_prefix("<!-- test: ") {
            if mark.trim() == "run" {
                let script = until(&mut lines, "-->", 0);
                steps.push(Step { line: at + 2, kind: Kind::Script(script), numbers_of: None, code: 0 });
            } else {
                let mark = mark.strip_suffix(" -->").unwrap_or_else(|| panic!("{place}: the comment goes on"));
                marks.add(mark, &place);
            }
        } else if let Some(info) = trimmed.strip_prefix("```") {
            let indent = line.len() - trimmed.len();
            let block = until(&mut lines, "```", indent);
            let marks = std::mem::take(&mut marks);
            steps.extend(marks.steps(info.split([' ', ',']).next().unwrap_or_default(), &block, page, at + 2));
        } else {
            assert!(!marks.any || trimmed.is_empty(), "{place}: a comment is not followed by a block");
        }
    }
    assert!(!marks.any, "{page}: a comment at the end is not followed by a block");
    steps
}

/// Lines up to one that is this.
fn until<'a>(lines: &mut impl Iterator<Item = (usize, &'a str)>, end: &str, indent: usize) -> String {
    let mut block = String::new();
    for (_, line) in lines.by_ref() {
        if line.trim() == end {
            return block;
        }
        block += line.get(indent..).unwrap_or_default();
        block.push('\n');
    }
    panic!("'{end}' is missing");
}

impl Marks {
    fn add(&mut self, mark: &str, place: &str) {
        self.any = true;
        let (word, rest) = mark.split_once([' ', ',']).unwrap_or((mark, ""));
        let rest = rest.trim();
        match word {
            "skip" => self.skip = Some(rest.to_owned()),
            "differs" => self.differs = Some(rest.to_owned()),
            "file" => self.file = Some(rest.to_owned()),
            "numbers" => self.numbers_of = Some(rest.trim_start_matches("of ").to_owned()),
            "exits" => self.code = rest.trim_start_matches("with ").parse().expect("an exit code"),
            "without" => {
                let (words, reason) = rest.split_once(", ").unwrap_or_else(|| panic!("{place}: no reason"));
                self.without.push((words.to_owned(), reason.to_owned()));
            }
            _ => panic!("{place}: '{mark}' means nothing"),
        }
        let reasons = [&self.skip, &self.differs];
        assert!(reasons.iter().all(|reason| reason.as_deref() != Some("")), "{place}: no reason");
    }

    /// The steps that a block is: one, and one more for each kind of its lines that is not run.
    fn steps(self, language: &str, block: &str, page: &str, line: usize) -> Vec<Step> {
        let place = format!("{page}:{line}");
        let is_session = block.lines().any(|line| prompt(line).is_some());
        let is_shell = ["sh", "bash", "shell", "console"].contains(&language);
        // What the tests of the Python package run.
        let is_python = language == "python" && !page.starts_with("docs/python");
        let step = |kind| Step { line, kind, numbers_of: self.numbers_of.clone(), code: self.code };
        if let Some(name) = self.file {
            return vec![step(Kind::File { name, text: block.to_owned() })];
        }
        assert!(!is_session || language == "console", "{place}: a session is a block 'console', not '{language}'");
        assert!(is_session || language != "console", "{place}: a block 'console' has lines that begin with '$ '");
        if !is_shell && !is_python {
            assert!(!self.any, "{place}: a comment is about a block '{language}', which is not run");
            return Vec::new();
        }
        if let Some(reason) = self.skip {
            return vec![step(Kind::Skipped(reason))];
        }
        let mut block = block.to_owned();
        let mut steps = Vec::new();
        for (words, reason) in &self.without {
            let kept: String = block.lines().filter(|l| !l.starts_with(words)).map(|l| format!("{l}\n")).collect();
            assert!(kept.len() < block.len(), "{place}: no line begins with '{words}'");
            block = kept;
            steps.push(step(Kind::Skipped(format!("{words}: {reason}"))));
        }
        let kind = match language {
            "console" if self.differs.is_some() => {
                let reason = self.differs.as_deref().unwrap_or_default();
                steps.push(step(Kind::Skipped(format!("output not compared: {reason}"))));
                Kind::Script(session(&block, &place).into_iter().map(|(command, _)| command + "\n").collect())
            }
            "console" => Kind::Session(session(&block, &place)),
            "python" => Kind::Python(block),
            _ => Kind::Script(block),
        };
        steps.push(step(kind));
        steps
    }
}

/// What is typed at a prompt: `$ ` or `node1$ `.
fn prompt(line: &str) -> Option<&str> {
    let (before, typed) = line.split_once("$ ")?;
    before.chars().all(|c| c.is_ascii_alphanumeric()).then_some(typed)
}

/// Commands and what they print. A command goes on after a backslash, and in lines that begin with `> `.
fn session(block: &str, place: &str) -> Vec<(String, Vec<String>)> {
    let mut commands: Vec<(String, Vec<String>)> = Vec::new();
    for line in block.lines() {
        if let Some(typed) = prompt(line) {
            commands.push((typed.to_owned(), Vec::new()));
            continue;
        }
        let (command, said) = commands.last_mut().unwrap_or_else(|| panic!("{place}: begins with no command"));
        let goes_on = said.is_empty() && (command.ends_with('\\') || line.starts_with("> "));
        if goes_on {
            command.push('\n');
            command.push_str(line.strip_prefix("> ").unwrap_or(line));
        } else {
            said.push(line.to_owned());
        }
    }
    commands
}

#[test]
fn a_page_is_read_as_its_reader_does() {
    let page = "# T\n<!-- test: run\nmkdir a\n-->\n\n<!-- test: numbers -->\n```console\n$ ls \\\n  -a\nx 1\n\n$ cat <<END\n> a\n> END\na\n```\n\
        <!-- test: without top, it needs a terminal -->\n```sh\ntop\nls\n```\n```text\nno\n```\n\
        <!-- test: skip, it needs SLURM -->\n```sh\nsbatch\n```\n- in a list\n  ```python\n  if x:\n      y\n  ```\n";
    let found: Vec<String> = steps("p.md", page).iter().map(|step| format!("{:?}", step.kind)).collect();
    let expected = [
        r#"Script("mkdir a\n")"#,
        r#"Session([("ls \\\n  -a", ["x 1", ""]), ("cat <<END\na\nEND", ["a"])])"#,
        r#"Skipped("top: it needs a terminal")"#,
        r#"Script("ls\n")"#,
        r#"Skipped("it needs SLURM")"#,
        r#"Python("if x:\n    y\n")"#,
    ];
    assert_eq!(found, expected);
    assert!(steps("docs/python.md", "```python\nx\n```\n").is_empty());
    for wrong in [
        "```sh\n$ ls\n```\n",
        "```text\n$ ls\n```\n",
        "```console\nls\n```\n",
        "<!-- test: skip -->\n```sh\nls\n```\n",
        "<!-- test: skip, x -->\nwords\n",
        "<!-- test: skipped, x -->\n```sh\nls\n```\n",
        "<!-- test: numbers -->\n```text\nls\n```\n",
        "<!-- test: without a, b -->\n```sh\nls\n```\n",
    ] {
        assert!(std::panic::catch_unwind(|| steps("p.md", wrong)).is_err(), "{wrong}");
    }
}
