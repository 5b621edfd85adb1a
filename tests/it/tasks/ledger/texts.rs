//! Multiplanet's checkpoint text, imported and exported byte for byte.

use crate::common::support::{Scratch, ok, run};

fn text(origin: &str, tasks: &[(&str, i8)], end: &str) -> String {
    let lines: String = tasks.iter().map(|(name, state)| format!("{name} {state}{end}\n")).collect();
    format!("Vspace File: {origin}\nTotal Number of Simulations: {}\n{lines}THE END\n", tasks.len())
}

#[test]
fn what_comes_in_goes_out_byte_for_byte() {
    let scratch = Scratch::in_memory();
    let (checkpoint, ledger, out) = (scratch.text(".MP"), scratch.text("a.ledger"), scratch.text("out"));
    let cases: [(&str, &[(&str, i8)]); 3] = [
        ("/abs/vspace.in", &[("/abs/MP/semi_a0", 1), ("/abs/MP/semi_a1", -1), ("/abs/MP/semi_a2", 1)]),
        ("/a b/v \u{e9}.in", &[("/a b/x 0 1", -1), ("/a b/  two ", 1), ("THE END", -1), ("-1", 1), ("\u{1f600}", -1)]),
        ("", &[("only", 1)]),
    ];
    for (origin, tasks) in cases {
        let rewritten = text(origin, tasks, "");
        // Fresh rows end in a blank, rewritten ones do not.
        for end in ["", " "] {
            std::fs::write(&checkpoint, text(origin, tasks, end)).expect("writes");
            let _ = std::fs::remove_file(&ledger);
            ok(&["ledger", "import", &ledger, &checkpoint]);
            assert_eq!(ok(&["ledger", "export", &ledger]), rewritten);
            ok(&["ledger", "export", &ledger, &out]);
            assert_eq!(std::fs::read_to_string(&out).expect("reads"), rewritten);
        }
    }
    let given = ok(&["ledger", "export", &ledger, "--vspace", "/other/vspace.in"]);
    assert!(given.starts_with("Vspace File: /other/vspace.in\n"), "{given}");
}

/// A trial in progress in the text means that its worker died.
#[test]
fn states_on_their_way() {
    let scratch = Scratch::in_memory();
    let (checkpoint, ledger) = (scratch.text(".MP"), scratch.text("a.ledger"));
    std::fs::write(&checkpoint, text("/v", &[("a", 0), ("b", 1), ("c", -1), ("d", -1)], "")).expect("writes");
    let told = ok(&["ledger", "import", &ledger, &checkpoint, "--json"]);
    assert_eq!(told.trim(), r#"{"tasks":4,"done":1,"lost":0}"#);
    ok(&["ledger", "claim", &ledger, "-n", "1"]);
    ok(&["ledger", "cancel", &ledger, "d"]);
    let expected = text("/v", &[("a", 0), ("b", 1), ("c", -1), ("d", -1)], "");
    assert_eq!(ok(&["ledger", "export", &ledger]), expected);
}

#[test]
fn a_damaged_tail_is_told_and_a_damaged_middle_refused() {
    let scratch = Scratch::in_memory();
    let (checkpoint, ledger) = (scratch.text(".MP"), scratch.text("a.ledger"));
    let whole = text("/v", &[("a", 1), ("b", 1), ("c", -1)], "");
    std::fs::write(&checkpoint, &whole[..=whole.find("c -1").expect("there")]).expect("writes");
    let (code, out, err) = run(&["ledger", "import", &ledger, &checkpoint]);
    assert!(code == 0 && out.contains("2 tasks, 2 of them done") && err.contains("1 of its simulations"), "{out}{err}");
    std::fs::remove_file(&ledger).expect("removes");
    for (bad, says) in [
        (whole.replace("b 1", "b"), "line 4"),
        (whole.replace("Total", "total"), "second line"),
        (whole.replace("Vspace", "vspace"), "first line"),
        (whole.replace(": 3", ": three"), "'three' is not a number"),
        (whole.replace("b 1", "a 1"), "two tasks are named 'a'"),
    ] {
        std::fs::write(&checkpoint, bad).expect("writes");
        let (code, _, err) = run(&["ledger", "import", &ledger, &checkpoint]);
        assert!(code == 2 && err.contains(says), "{says}: {code} {err}");
        assert!(!scratch.path("a.ledger").exists());
    }
    std::fs::write(&checkpoint, b"Vspace File: \xff\n").expect("writes");
    let (code, _, err) = run(&["ledger", "import", &ledger, &checkpoint]);
    assert!(code == 2 && err.contains("not UTF-8"), "{code} {err}");
}

#[test]
fn names_of_several_lines_cannot_be_written_as_lines() {
    let scratch = Scratch::in_memory();
    let (names, ledger) = (scratch.text("names"), scratch.text("a.ledger"));
    std::fs::write(&names, b"one\ntwo\0three\0").expect("writes");
    ok(&["ledger", "init", &ledger, "--tasks", &names, "--null"]);
    let (code, _, err) = run(&["ledger", "export", &ledger, &scratch.text("out")]);
    assert!(code == 2 && err.contains("several lines") && !scratch.path("out").exists(), "{code} {err}");
}
