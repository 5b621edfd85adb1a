//! Where addresses count from, and how large they may be.

use crate::common::support::{Scratch, ok, py, run};

/// HDF5 counts from where it finds the superblock, whatever base address is stored in it.
#[test]
fn a_user_block_may_be_cut_away_or_put_before() {
    let scratch = Scratch::new();
    let script = r"
import h5py, numpy as np, sys
for libver in ['earliest', 'v108', 'latest']:
    for block in [0, 512, 2048]:
        with h5py.File(f'{sys.argv[1]}/{libver}{block}.h5', 'w', userblock_size=block, libver=libver) as f:
            f['g/E'] = np.arange(50.)
";
    if py(script, &[scratch.path("").to_str().expect("UTF-8")]).is_none() {
        return;
    }
    let value = format!("E={}", scratch.npy("v.npy", &[1], &[7.5]));
    for libver in ["earliest", "v108", "latest"] {
        for (stored, now) in [(512, 0), (2048, 0), (2048, 512), (0, 512), (512, 1024), (512, 512)] {
            let bytes = std::fs::read(scratch.path(&format!("{libver}{stored}.h5"))).expect("reads");
            let name = format!("{libver}-{stored}-{now}.h5");
            std::fs::write(scratch.path(&name), [&vec![b'#'; now], &bytes[stored..]].concat()).expect("writes");
            let path = scratch.text(&name);
            assert_eq!(ok(&["read", &path, "g", "E", "--rows", "3"]).trim(), "3.0", "{name}");
            ok(&["adopt", &path, "g", "--committed", "all"]);
            ok(&["update", &path, "g", "--rows", "3", "--set", &value]);
            ok(&["create", &path, "new", "--rows", "9", "--column", "x:f64"]);
            let reads =
                "import h5py, sys; f = h5py.File(sys.argv[1]); print(f['g/E'][3], f['g/E'][49], f['new/x'].shape)";
            assert_eq!(py(reads, &[&path]).expect("h5py").trim(), "7.5 49.0 (9,)", "{name}");
            ok(&["verify", &path]);
            // Missing bytes at the end are still noticed.
            let bytes = std::fs::read(&path).expect("reads");
            std::fs::write(&path, &bytes[..bytes.len() - 100]).expect("writes");
            assert_eq!(run(&["info", &path]).0, 5, "{name}");
        }
    }
}

/// A file whose addresses have two or four bytes grows as far as these can express, and no further.
#[test]
fn what_addresses_cannot_say_is_refused_before_anything_is_written() {
    let scratch = Scratch::new();
    let path = scratch.text("a.h5");
    let script = r"
import h5py, numpy as np, sys
p = h5py.h5p.create(h5py.h5p.FILE_CREATE); p.set_sizes(int(sys.argv[2]), int(sys.argv[3]))
with h5py.File(h5py.h5f.create(sys.argv[1].encode(), h5py.h5f.ACC_TRUNC, fcpl=p)) as h:
    h['t/E'] = np.arange(10.)
    h.create_dataset('g/E', (10,), dtype='f8', chunks=(10,), maxshape=(None,))[:] = 1
";
    for (addresses, lengths) in [("2", "8"), ("8", "2"), ("4", "4")] {
        if py(script, &[&path, addresses, lengths]).is_none() {
            return;
        }
        let before = std::fs::read(&path).expect("reads");
        let rows = if addresses == "4" { "600000000" } else { "70000" };
        let (code, _, err) = run(&["create", &path, "big", "--rows", rows, "--column", "x:f64"]);
        assert!(code == 10 && err.contains("addresses have"), "{addresses} {lengths}: {code} {err}");
        assert!(std::fs::read(&path).expect("reads") == before, "{addresses} {lengths}");
        if addresses == "2" {
            assert_eq!(run(&["adopt", &path, "g"]).0, 0, "it fits");
            // Chunks are added one by one: here only the end of the file shows the limit.
            let (code, _, err) = run(&["extend", &path, "g", "--rows", "60000"]);
            assert!(code == 10, "{code} {err}");
        }
        ok(&["create", &path, "small", "--rows", "10", "--column", "x:i8", "--contiguous"]);
        ok(&["verify", &path]);
        assert_eq!(ok(&["read", &path, "t", "E", "--rows", "9"]).trim(), "9.0");
        crate::common::support::remove_store(std::path::Path::new(&path));
    }
}

/// A dataset that HDF5 cannot open does not block the others.
#[test]
fn a_dataset_that_cannot_be_opened_is_named() {
    let scratch = Scratch::new();
    let file = scratch.text("a.h5");
    let script = r"
import h5py, numpy as np, sys
from h5py import h5d, h5f, h5p, h5s, h5t
sizes, bounds = h5p.create(h5p.FILE_CREATE), h5p.create(h5p.FILE_ACCESS)
sizes.set_sizes(2, 2)
bounds.set_libver_bounds(h5f.LIBVER_V112, h5f.LIBVER_V112)
with h5py.File(h5f.create(sys.argv[1].encode(), h5f.ACC_TRUNC, fcpl=sizes, fapl=bounds)) as f:
    chunks = h5p.create(h5p.DATASET_CREATE)
    chunks.set_chunk((3,))
    # The library writes a length of 2 bytes for an axis without limit, and does not know it again.
    h5d.create(f.id, b'odd', h5t.IEEE_F32LE, h5s.create_simple((4,), (h5s.UNLIMITED,)), chunks)
    f['t/E'] = np.arange(4.)
    f['E'] = np.arange(4.)
";
    if py(script, &[&file]).is_none() {
        return;
    }
    let listed = ok(&["info", &file]);
    assert!(listed.contains("odd") && listed.contains("HDF5 cannot open it"), "{listed}");
    assert_eq!(ok(&["read", &file, "t", "E", "--rows", "2"]), "2.0\n");
    let (code, verified, _) = run(&["verify", &file]);
    assert!(code == 1 && verified.contains("/odd"), "{verified}");
}
