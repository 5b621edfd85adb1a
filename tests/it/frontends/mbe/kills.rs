//! Savers that are killed: nobody ever sees a half-saved frame.

use super::{KEY, METHOD, dump, place, prepared, side};
use crate::common::killing::Killer;
use crate::common::support::{ok, run};
use h5part_base::dataspace::Rows;
use h5part_mbe::{FrameStatus, Quantity};
use serde_json::json;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const FRAMES: u64 = 60;
const ATOMS: usize = 200;

/// Saves all frames again, shifted by the round, and kills the saver `after` this time once `batches` were
/// acknowledged.
fn save_and_die(file: &str, round: u64, batches: u64, after: Duration) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_h5part"))
        .args(["mbe", "save", file, KEY, "--method", METHOD, "--stream", "--overwrite", "--durability", "process"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut input = child.stdin.take().expect("piped");
    let mut output = BufReader::new(child.stdout.take().expect("piped")).lines();
    let shift = 1000.0 * round as f64;
    let lines: Vec<String> = (0..FRAMES)
        .map(|frame| {
            let energy = shift + frame as f64;
            let forces: Vec<[f64; 3]> = (0..ATOMS).map(|a| [energy, energy + a as f64, energy]).collect();
            json!({"frames": frame, "set": {"energies": [energy], "forces": [forces]}}).to_string()
        })
        .collect();
    let feeder = std::thread::spawn(move || {
        for line in lines.iter().cycle() {
            // Fails once the saver is killed.
            if writeln!(input, "{line}").is_err() {
                break;
            }
        }
    });
    for _ in 0..batches {
        let answer = output.next().expect("answers").expect("reads");
        assert!(answer.contains("\"ok\":true"), "{answer}");
    }
    std::thread::sleep(after);
    child.kill().expect("kills");
    child.wait().expect("ends");
    feeder.join().expect("feeder");
}

/// Checks that each completed frame comes from one save, as the other side and we read it.
fn frames_are_whole(file: &str, when: &str) -> usize {
    let script = "import sys, h5py, numpy as np
with h5py.File(sys.argv[1]) as f:
    g = f['training/urea/ground_truth']
    e, F, s = (next(v[...] for k, v in g.items() if k.startswith(p)) for p in ('E_', 'forces_', 'status_'))
done = np.nonzero(s == 0)[0]
expected = np.stack([e[done, None] + 0 * np.arange(F.shape[1]), e[done, None] + np.arange(F.shape[1]),
                     e[done, None] + 0 * np.arange(F.shape[1])], axis=2)
assert (F[done] == expected).all() and (e[done] % 1000 == done).all(), 'torn'
print(len(done))";
    crate::common::support::py(script, &[file])
        .map_or(0, |out| out.trim().parse().unwrap_or_else(|e| panic!("{when}: {e}")))
}

#[test]
fn savers_are_killed_and_no_frame_is_half_saved() {
    let (_scratch, file) = place();
    let truth = prepared(Path::new(&file), FRAMES, ATOMS as u64);
    if dump(&file).is_none() {
        return;
    }
    let mut hidden = 0;
    let mut killer = Killer::new(Duration::ZERO);
    for round in 1..=8 {
        // The first saver starts without any frames and is killed early; after the second all frames are there.
        let batches = if round == 1 { FRAMES / 3 } else { FRAMES };
        save_and_die(&file, round, batches, Duration::from_millis(3).mul_f64(killer.share()));
        // A stock reader, before anyone has restored anything.
        hidden += FRAMES as usize - frames_are_whole(&file, &format!("round {round}"));
        ok(&["recover", &file]);
        let mut reader = truth.reader().expect("reader");
        let read = reader.read(&Rows::range(0..FRAMES), &Quantity::ALL).expect("read");
        let energies = read.energies.expect("energies");
        for (frame, status) in read.statuses.iter().enumerate() {
            assert!(*status == FrameStatus::Completed || energies[frame].is_nan(), "{frame}: {status}");
        }
    }
    frames_are_whole(&file, "recovered");
    println!("frames not completed after kills: {hidden}");
    let (code, out, err) = run(&["verify", &file]);
    assert_eq!(code, 0, "{out}{err}");
    // And the other side continues.
    side(&["save", &file, KEY, METHOD, "0", "60", "1", "60", "0.01", "5000"]).expect("h5py");
}
