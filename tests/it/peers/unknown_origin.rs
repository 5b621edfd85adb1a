//! Files of unknown origin: whatever they are, the program reports it and continues. It reads no byte of another file,
//! and neither crashes nor hangs.

use crate::common::support::{Scratch, finished, h5part, ok, py, run, small_store};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The time limit of the library for one look, in these tests.
const LOOK_SECONDS: &str = "5";

/// Runs a command that must end within 60 s of processor time, with one of our exit codes. Returns the code and the
/// output.
fn survives(args: &[&str], why: &str) -> (i32, String) {
    let limited = ["-c", "ulimit -t 60 && exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_h5part")];
    let output =
        Command::new("sh").args(limited).args(args).env("H5PART_LOOK_SECONDS", LOOK_SECONDS).output().expect("starts");
    let (code, out, err) = finished(&output);
    assert!((0..=12).contains(&code), "{why}: {args:?}: exit code {code}: {out}{err}");
    assert!(code == 0 || !(out.is_empty() && err.is_empty()), "{why}: {args:?}: nothing was said");
    (code, format!("{out}{err}"))
}

/// Small files of every kind that h5py makes.
const ZOO: &str = r"
import h5py, numpy as np, sys
for libver in ['earliest', 'v108', 'v110', 'latest']:
    with h5py.File(f'{sys.argv[1]}/{libver}.h5', 'w', libver=libver) as f:
        g = f.create_group('g')
        g['x'] = np.arange(20.)
        g.create_dataset('chunked', data=np.arange(20), chunks=(6,), maxshape=(None,))
        g.create_dataset('zip', data=np.arange(20.), chunks=(8,), compression='gzip', shuffle=True, fletcher32=True)
        g.create_dataset('nbit', data=np.arange(20), chunks=(8,), scaleoffset=4)
        g.create_dataset('wide', data=np.ones((20, 3)), chunks=(5, 3))
        g.attrs['unit'] = 'eV'
        g.attrs['list'] = np.arange(10)
        for i in range(12):
            f.create_group(f'n{i}')['v'] = i
        f['soft'] = h5py.SoftLink('/g/x')
        dcpl = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        dcpl.set_layout(h5py.h5d.COMPACT)
        h5py.h5d.create(f.id, b'compact', h5py.h5t.NATIVE_INT32, h5py.h5s.create_simple((20,)), dcpl)
";

/// Bytes near other nonzero bytes: these are likely metadata. Most of a file is data, where damage is harmless.
fn metadata(bytes: &[u8]) -> Vec<usize> {
    let busy =
        |at: usize| bytes[at.saturating_sub(8)..(at + 8).min(bytes.len())].iter().filter(|&&b| b != 0).count() > 2;
    (0..bytes.len()).filter(|&at| busy(at)).collect()
}

#[test]
fn no_malformed_file_brings_it_down() {
    let scratch = Scratch::new();
    if py(ZOO, &[scratch.path("").to_str().expect("UTF-8")]).is_none() {
        return;
    }
    let seed = std::env::var("H5PART_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(20_261_121u64);
    let rounds = std::env::var("H5PART_ROUNDS").ok().and_then(|s| s.parse().ok()).unwrap_or(60u32);
    println!("seed {seed}, {rounds} rounds a file (H5PART_SEED, H5PART_ROUNDS)");
    let mut x = seed | 1;
    let mut random = |n: usize| {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        usize::try_from(x % n as u64).expect("small")
    };
    let mut codes = [0u32; 13];
    for libver in ["earliest", "v108", "v110", "latest"] {
        let whole = std::fs::read(scratch.path(&format!("{libver}.h5"))).expect("read");
        let busy = metadata(&whole);
        for round in 0..rounds {
            let mut bytes = whole.clone();
            for _ in 0..=random(4) {
                let at = busy[random(busy.len())];
                match random(4) {
                    0 => bytes[at] ^= 1 << random(8),
                    1 => bytes[at] = [0, 1, 0x7F, 0x80, 0xFF][random(5)],
                    2 => bytes[at..(at + 8).min(whole.len())].fill([0, 0xFF][random(2)]),
                    _ => {
                        let from = busy[random(busy.len())];
                        let n = 16.min(whole.len() - at.max(from));
                        bytes.copy_within(from..from + n, at);
                    }
                }
            }
            let path = scratch.text(&format!("{libver}-{round}.h5"));
            std::fs::write(&path, &bytes).expect("write");
            let why = format!("seed {seed}, {libver}, round {round}");
            let out = scratch.text("out.npy");
            for args in [
                &["info", &path, "--json"][..],
                &["status", &path],
                &["publish", &path, "-o", &scratch.text("published.h5")],
                &["verify", &path],
                &["read", &path, "g", "zip", "--rows", "0:20", "-o", &out],
                &["read", &path, "g", "nbit", "--rows", "0:20", "-o", &out],
                &["adopt", &path, "g"],
                &["update", &path, "g", "--rows", "3", "--set", &scratch_value(&scratch)],
            ] {
                let (code, said) = survives(args, &why);
                assert!(code != 12, "{why}: {args:?}: no call of the system failed: {said}");
                codes[usize::try_from(code).expect("checked")] += 1;
            }
            std::fs::remove_file(&path).expect("remove");
            let _ = std::fs::remove_file(scratch.path("published.h5"));
            let _ = std::fs::remove_dir_all(scratch.path(&format!("{libver}-{round}.h5.part")));
        }
    }
    println!("exit codes: {codes:?}");
    assert!(codes[0] > 20 && codes[1] > 20, "some are sound, some not: {codes:?}");
}

fn scratch_value(scratch: &Scratch) -> String {
    format!("x={}", scratch.npy("value.npy", &[1], &[2.5]))
}

#[test]
fn no_byte_of_another_file_is_read() {
    let scratch = Scratch::new();
    let secret = scratch.path("secret");
    std::fs::write(&secret, b"SECRETSECRETSECRETSECRET").expect("write");
    let script = r"
import h5py, numpy as np, sys
folder = sys.argv[1]
with h5py.File(folder + '/other.h5', 'w') as f:
    f['x'] = np.frombuffer(b'SECRETSECRETSECRETSECRET', dtype='u1')
with h5py.File(folder + '/a.h5', 'w', libver='latest') as f:
    t = f.create_group('t')
    t.create_dataset('external', (24,), dtype='u1', external=[(folder + '/secret', 0, 24)])
    layout = h5py.VirtualLayout(shape=(24,), dtype='u1')
    layout[:] = h5py.VirtualSource(folder + '/other.h5', 'x', shape=(24,))
    t.create_virtual_dataset('virtual', layout, fillvalue=7)
    t['link'] = h5py.ExternalLink(folder + '/other.h5', '/x')
    t['soft'] = h5py.SoftLink('/t/link')
    t['own'] = np.arange(24, dtype='u1')
    f['group'] = h5py.ExternalLink(folder + '/other.h5', '/')
";
    if py(script, &[scratch.path("").to_str().expect("UTF-8")]).is_none() {
        return;
    }
    let file = scratch.text("a.h5");
    let listed = ok(&["info", &file]);
    assert!(listed.contains("own") && !listed.contains("other.h5"), "{listed}");
    let verified = ok(&["verify", &file]);
    for path in ["/t/external", "/t/virtual", "/t/link", "/group"] {
        assert!(verified.contains(&format!("note: {path}: ")), "{verified}");
    }
    for (column, code) in [("external", 10), ("virtual", 10), ("link", 3), ("soft", 3), ("own", 0)] {
        let out = scratch.path("out.npy");
        let (found, text) =
            survives(&["read", &file, "t", column, "--rows", "0:24", "-o", out.to_str().expect("UTF-8")], column);
        assert_eq!(found, code, "{column}: {text}");
        let bytes = std::fs::read(&out).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&bytes).contains("SECRET") && !text.contains("SECRET"), "{column}: {text}");
        let _ = std::fs::remove_file(&out);
    }
    let value = scratch.npy("v.npy", &[1], &[1.0]);
    for column in ["external", "virtual"] {
        let set = format!("{column}={value}");
        assert_eq!(survives(&["update", &file, "t", "--rows", "0", "--cast", "--set", &set], column).0, 10);
    }
    assert_eq!(std::fs::read(&secret).expect("read"), b"SECRETSECRETSECRETSECRET");
    let (code, text) = survives(&["adopt", &file, "t"], "adopt");
    assert!(code == 0 && text.contains("external") && text.contains("virtual"), "{text}");
    assert_eq!(std::fs::read(&secret).expect("read"), b"SECRETSECRETSECRETSECRET");
    assert_eq!(survives(&["read", &file, "group", "x", "--rows", "0", "-o", &scratch.text("o.npy")], "group").0, 3);
}

#[test]
fn no_filter_plugin_is_loaded() {
    let scratch = Scratch::new();
    let script = r"
import h5py, numpy as np, sys
with h5py.File(sys.argv[1], 'w') as f:
    dcpl = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    dcpl.set_chunk((4,))
    # An optional filter that nobody has; the chunk is then written as if it had been applied.
    dcpl.set_filter(32099, h5py.h5z.FLAG_OPTIONAL, (3,))
    g = f.create_group('t')
    d = h5py.h5d.create(g.id, b'x', h5py.h5t.NATIVE_INT64, h5py.h5s.create_simple((4,)), dcpl)
    d.write_direct_chunk((0,), np.arange(4).tobytes(), 0)
";
    let file = scratch.text("a.h5");
    if py(script, &[&file]).is_none() {
        return;
    }
    // If plugins may be loaded, the library would look for one.
    let (code, text) = survives(&["read", &file, "t", "x", "--rows", "0:4", "-o", &scratch.text("o.npy")], "read");
    assert!(code == 10 && text.contains("filter 32099") && text.contains("cannot decode"), "{text}");
}

/// The child does not outlive its parent, and commits nothing more.
#[test]
fn the_child_dies_with_its_parent() {
    let scratch = Scratch::new();
    let file = scratch.text("a.h5");
    let script = "import h5py, sys\nwith h5py.File(sys.argv[1], 'w') as f:\n  f['t/x'] = [0.0] * 9";
    if py(script, &[&file]).is_none() {
        return;
    }
    let mut parent = Command::new(env!("CARGO_BIN_EXE_h5part"))
        .args(["update", &file, "t", "--stream"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    writeln!(parent.stdin.as_mut().expect("piped"), r#"{{"rows": 3, "set": {{"x": 1.0}}}}"#).expect("write");
    let mut answer = String::new();
    let mut out = std::io::BufReader::new(parent.stdout.take().expect("piped"));
    std::io::BufRead::read_line(&mut out, &mut answer).expect("answers");
    assert!(answer.contains("true"), "{answer}");
    let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", parent.id())).expect("proc");
    let child: i32 = children.trim().parse().expect("one child");
    parent.kill().expect("kill");
    parent.wait().expect("ends");
    let gone = || !Path::new(&format!("/proc/{child}/fd/0")).exists();
    let died = (0..500).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        gone()
    });
    assert!(died, "process {child} is still there");
}

#[test]
fn our_own_files_need_no_child() {
    let scratch = Scratch::new();
    small_store(&scratch.path("a.h5"), 5);
    let file = scratch.text("a.h5");
    // A child would report an error: it cannot lower its limits for a parent that is not its own.
    assert_eq!(run(&["info", &file]).0, 0);
    let paths = h5part_base::lock::Paths::of(&scratch.path("a.h5")).expect("paths");
    assert!(h5part_base::lock::is_ours(&paths).expect("looks"));
    let script = "import h5py, sys\nwith h5py.File(sys.argv[1], 'r+') as f:\n  f['x'] = 1";
    if py(script, &[&file]).is_some() {
        assert!(!h5part_base::lock::is_ours(&paths).expect("looks"), "somebody else was there");
        ok(&["info", &file]);
    }
}

/// The library crashes. The test plays this with a signal from outside while the child waits for a lock.
#[test]
fn a_crash_is_told_by_the_parent() {
    let scratch = Scratch::new();
    let file = scratch.text("a.h5");
    let script = "import h5py, sys\nwith h5py.File(sys.argv[1], 'w') as f:\n  f['t/x'] = [0.0] * 9";
    if py(script, &[&file]).is_none() {
        return;
    }
    let gate = std::fs::File::create(scratch.path("a.h5.lock")).expect("create");
    fs2::FileExt::lock(&gate).expect("lock");
    for (args, code, told) in [
        (&["verify", &file][..], 1, "fault: the HDF5 library crashed on it (SIGFPE)"),
        (&["verify", &file, "--json"], 1, r#""kind":"crash""#),
        (&["info", &file, "--json"], 5, "the HDF5 library crashed on it (SIGFPE)"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_h5part"));
        let parent = command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
        let child = (0..1000).find_map(|_| {
            std::thread::sleep(Duration::from_millis(10));
            let of = format!("/proc/{0}/task/{0}/children", parent.id());
            std::fs::read_to_string(of).ok()?.trim().parse::<i32>().ok()
        });
        // It may still be on its way to the lock; it dies all the same.
        let child = nix::unistd::Pid::from_raw(child.expect("there is a child"));
        nix::sys::signal::kill(child, nix::sys::signal::Signal::SIGFPE).expect("kill");
        let (found, out, err) = finished(&parent.wait_with_output().expect("ends"));
        assert_eq!(found, code, "{out}{err}");
        assert!(format!("{out}{err}").contains(told), "{out}{err}");
    }
}

/// The library does not finish. The test plays this with a file that it reads for longer than allowed.
#[test]
fn a_look_without_end_is_ended() {
    let scratch = Scratch::new();
    let file = scratch.text("a.h5");
    let script = "import h5py, sys\nwith h5py.File(sys.argv[1], 'w') as f:\n  for i in range(20000):\n    f.create_group(f'{i}')['x'] = i";
    if py(script, &[&file]).is_none() {
        return;
    }
    for (command, code) in [("verify", 1), ("info", 5)] {
        let output = h5part().args([command, &file]).env("H5PART_LOOK_SECONDS", "0").output().expect("starts");
        let (found, out, err) = finished(&output);
        assert_eq!(found, code, "{out}{err}");
        assert!(format!("{out}{err}").contains("did not finish reading it in time"), "{out}{err}");
    }
}

/// A file that fuzzing found: the library never finishes reading its global heap. The child's limit ends it, for each
/// command.
#[test]
fn an_endless_heap_is_left_in_time() {
    let scratch = Scratch::new();
    let file = scratch.text("a.h5");
    std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/endless.h5"), &file).expect("copies");
    for (args, code) in [(vec!["verify", &file], 1), (vec!["info", &file], 5), (vec!["status", &file, "t"], 5)] {
        let output = h5part().args(args).env("H5PART_LOOK_SECONDS", "1").output().expect("starts");
        let (found, out, err) = finished(&output);
        assert_eq!(found, code, "{out}{err}");
        assert!(format!("{out}{err}").contains("did not finish reading it in time"), "{out}{err}");
    }
}
