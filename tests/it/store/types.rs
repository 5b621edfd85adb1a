//! Element types other than plain numbers: made here and read by h5py, made by h5py and updated here.

use crate::common::support::{Scratch, finished, h5part, ok, py, run};
use h5part::merge::{MergeOptions, merge};
use h5part::publish::Publishing;
use h5part::verify::Verify;
use h5part::{Attribute, ColumnSpec, Dtype, ErrorKind, Store, Table, Values};
use num_complex::Complex;
use serde_json::{Value, json};

const COLUMNS: [&str; 9] = [
    "label:S5",
    "name:<U3",
    "z:complex128",
    "w:c64:2",
    "h:float16",
    "state:enum(u8){idle=0,busy=1}=busy",
    "p:{x:f8,n:i4:2,on:bool}",
    "n:<i8=7",
    "t:T6=é",
];

fn create(file: &str, columns: &[&str]) {
    let columns = columns.iter().flat_map(|column| ["--column", column]);
    let args: Vec<&str> =
        ["create", file, "t", "--rows", "6", "--chunk-rows", "4"].into_iter().chain(columns).collect();
    ok(&args);
}

/// All answers of `update --stream` to these lines.
fn stream(file: &str, lines: &[Value]) -> Vec<Value> {
    let input: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let output = h5part().args(["update", file, "t", "--stream"]).write_stdin(input).output().expect("starts");
    let (_, out, _) = finished(&output);
    out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn read(file: &str, column: &str, rows: &str) -> String {
    ok(&["read", file, "t", column, "--rows", rows])
}

/// Rows 1 and 2 of all columns.
fn rows_of_all() -> Vec<Value> {
    vec![json!({"rows": [1, 2], "set": {
        "label": ["a", "abcde"], "name": ["é€x", ""], "z": [[1.5, -2], [0, 1]], "w": [[[1, 2], [3, 4]], [[5, 6], [7, 8]]],
        "h": [0.5, 2], "state": ["idle", 1], "p": [{"x": 1.5, "n": [2, 3], "on": true}, {"x": 2, "n": [4, 5], "on": false}],
        "n": [1, 2], "t": ["ab", "ß"],
    }})]
}

/// The check that h5py makes of the columns of [`COLUMNS`] with [`rows_of_all`].
const CHECK: &str = r#"
import h5py, sys, numpy as np
with h5py.File(sys.argv[1]) as f:
    t = f["t"]
    info = h5py.check_string_dtype(t["label"].dtype)
    assert (info.encoding, info.length, t["label"].dtype) == ("ascii", 5, np.dtype("S5")), info
    assert list(t["label"][0:3]) == [b"", b"a", b"abcde"], t["label"][...]
    info = h5py.check_string_dtype(t["name"].dtype)
    assert (info.encoding, info.length) == ("utf-8", 12), info
    assert list(t["name"].asstr()[1:3]) == ["é€x", ""]
    assert list(t["t"].asstr()[0:3]) == ["é", "ab", "ß"]
    assert t["z"].dtype == np.complex128 and t["w"].dtype == np.complex64 and t["w"].shape == (6, 2)
    assert list(t["z"][1:3]) == [1.5-2j, 1j] and np.isnan(t["z"][0]) and np.isnan(t["z"][0].imag)
    assert t["w"][1:3].tolist() == [[1+2j, 3+4j], [5+6j, 7+8j]]
    assert t["h"].dtype == np.float16 and list(t["h"][1:3]) == [0.5, 2] and np.isnan(t["h"][0])
    assert h5py.check_enum_dtype(t["state"].dtype) == {"idle": 0, "busy": 1}
    assert t["state"].dtype == np.uint8 and list(t["state"][0:3]) == [1, 0, 1]
    want = np.dtype([("x", "<f8"), ("n", "<i4", (2,)), ("on", "?")])
    assert t["p"].dtype == want, t["p"].dtype
    assert [(p["x"], p["n"].tolist(), p["on"]) for p in t["p"][1:3]] == [(1.5, [2, 3], True), (2, [4, 5], False)]
    assert t["n"].dtype == np.int64 and list(t["n"][0:3]) == [7, 1, 2]
    assert f.attrs.get("h5part_format", 4) == 4
"#;

#[test]
fn made_here_and_read_by_h5py() {
    let scratch = Scratch::new();
    let file = scratch.text("a.h5");
    create(&file, &COLUMNS);
    let answers = stream(&file, &rows_of_all());
    assert_eq!(answers, [json!({"ok": true, "rows": 2})]);
    py(CHECK, &[&file]);
    assert_eq!(read(&file, "label", "1:3"), "\"a\"\n\"abcde\"\n");
    assert_eq!(read(&file, "name", "1"), "\"é€x\"\n");
    assert_eq!(read(&file, "z", "1"), "[1.5,-2.0]\n");
    assert_eq!(read(&file, "w", "2"), "[5.0,6.0] [7.0,8.0]\n");
    assert_eq!(read(&file, "h", "1"), "0.5\n");
    assert_eq!(read(&file, "state", "1:3"), "\"idle\"\n\"busy\"\n");
    assert_eq!(read(&file, "p", "1"), "{\"x\":1.5,\"n\":[2,3],\"on\":true}\n");
    ok(&["verify", &file]);
    for options in [&["--plain"][..], &["--gzip", "4"]] {
        let out = scratch.text("published.h5");
        ok(&[&["publish", &file, "-o", &out], options].concat());
        py(CHECK, &[&out]);
        ok(&["verify", &out]);
        std::fs::remove_file(&out).expect("removes");
    }
    let (other, merged) = (scratch.text("b.h5"), scratch.text("merged.h5"));
    create(&other, &COLUMNS);
    let mut line = rows_of_all();
    line[0]["rows"] = json!([4, 5]);
    stream(&other, &line);
    ok(&["merge", &merged, &file, &other]);
    py(CHECK, &[&merged]);
    assert_eq!(read(&merged, "p", "5"), read(&file, "p", "2"));
    ok(&["verify", &merged]);
    let status: Value = serde_json::from_str(&ok(&["status", &merged, "t", "--json"])).expect("JSON");
    assert_eq!(status["rows"], 6, "{status}");
}

#[test]
fn compressed_columns_of_all_types() {
    let scratch = Scratch::new();
    let file = scratch.text("a.h5");
    let columns = COLUMNS.iter().flat_map(|column| ["--column", column]);
    let args = ["create", &file, "t", "--rows", "6", "--chunk-rows", "4", "--gzip", "4", "--shuffle"].into_iter();
    ok(&args.chain(columns).collect::<Vec<_>>());
    assert_eq!(stream(&file, &rows_of_all()), [json!({"ok": true, "rows": 2})]);
    py(CHECK, &[&file]);
    ok(&["verify", &file]);
}

/// A file as h5py makes it.
const MAKE: &str = r#"
import h5py, sys, numpy as np
with h5py.File(sys.argv[1], "w") as f:
    t = f.create_group("t")
    t["label"] = np.array([b"a", b"bb", b"ccc", b""] * 2, dtype="S4")
    utf8 = h5py.string_dtype("utf-8", 7)
    t.create_dataset("name", data=np.array([s.encode() for s in ["é", "b", "", "d"] * 2], dtype=utf8), dtype=utf8)
    t["z"] = np.arange(8) * (1 + 2j)
    t["h"] = np.arange(8).astype(np.float16)
    t["big"] = (np.arange(8) * (1 - 1j)).astype(">c8")
    t["bigh"] = np.arange(8).astype(">f2")
    state = h5py.enum_dtype({"idle": -1, "busy": 300}, basetype="i2")
    t.create_dataset("state", data=np.array([-1, 300] * 4, dtype="i2"), dtype=state)
    inner = np.dtype([("re", "<f4"), ("tag", "S2")])
    padded = np.dtype({"names": ["a", "in", "m"], "formats": ["u1", inner, ("<i2", (2, 2))], "offsets": [0, 8, 16], "itemsize": 32})
    p = np.zeros(8, dtype=padded)
    p["a"], p["in"]["re"], p["m"] = np.arange(8), 0.5, 7
    p["in"]["tag"] = b"xy"
    t["p"] = p
    t.create_dataset("packed", data=p, chunks=(3,), compression="gzip", shuffle=True)
    t.create_dataset("text", data=np.array([b"q"] * 8, dtype="S3"), chunks=(3,), compression="gzip")
    t.create_dataset("vlen", data=np.array(["x"] * 8, dtype=object), dtype=h5py.string_dtype())
    t["bigp"] = np.zeros(8, dtype=[("x", ">f8")])
    ragged = h5py.vlen_dtype(np.dtype("i4"))
    t.create_dataset("ragged", shape=(8,), dtype=ragged)
"#;

const CHANGED: &str = r#"
import h5py, sys, numpy as np
with h5py.File(sys.argv[1]) as f:
    t = f["t"]
    assert list(t["label"][0:3]) == [b"a", b"neu", b"ccc"], t["label"][...]
    assert list(t["name"].asstr()[0:3]) == ["é", "ßß", ""] and h5py.check_string_dtype(t["name"].dtype).length == 7
    assert list(t["z"][0:3]) == [0, 5-6j, 2+4j] and list(t["h"][0:3]) == [0, 1.5, 2]
    assert list(t["big"][0:3]) == [0, 5-6j, 2-2j] and t["big"].dtype == np.dtype(">c8"), t["big"][...]
    assert list(t["bigh"][0:3]) == [0, 1.5, 2]
    assert list(t["state"][0:3]) == [-1, -1, -1] and h5py.check_enum_dtype(t["state"].dtype) == {"idle": -1, "busy": 300}
    for name in ["p", "packed"]:
        p = t[name]
        assert p.dtype.itemsize == 32 and [p.dtype.fields[k][1] for k in ("a", "in", "m")] == [0, 8, 16], p.dtype
        assert (p[1]["a"], p[1]["in"].tolist(), p[1]["m"].tolist()) == (9, (0.25, b"t"), [[1, 2], [3, 4]]), p[0:3]
        assert p[2]["a"] == 2 and p[2]["in"].tolist() == (0.5, b"xy")
    assert list(t["text"][0:2]) == [b"q", b"abc"]
    assert list(t["vlen"].asstr()[0:2]) == ["x", "x"] and t["bigp"].shape == (8,)
"#;

#[test]
fn made_by_h5py_and_updated_here() {
    let scratch = Scratch::new();
    let file = scratch.text("a.h5");
    if py(MAKE, &[&file]).is_none() {
        return;
    }
    let out = ok(&["adopt", &file, "t"]);
    assert!(out.contains("vlen") && out.contains("bigp") && out.contains("ragged"), "those are left out:\n{out}");
    let p = json!({"a": 9, "in": {"re": 0.25, "tag": "t"}, "m": [[1, 2], [3, 4]]});
    let line = json!({"rows": 1, "set": {
        "label": "neu", "name": "ßß", "z": [5, -6], "h": 1.5, "big": [5, -6], "bigh": 1.5, "state": "idle",
        "p": p, "packed": p, "text": "abc",
    }});
    assert_eq!(stream(&file, &[line]), [json!({"ok": true, "rows": 1})]);
    py(CHANGED, &[&file]);
    assert_eq!(read(&file, "p", "1"), read(&file, "packed", "1"));
    assert_eq!(read(&file, "big", "1:3"), "[5.0,-6.0]\n[2.0,-2.0]\n");
    ok(&["verify", &file]);
    let published = scratch.text("published.h5");
    ok(&["publish", &file, "-o", &published]);
    py(CHANGED, &[&published]);
    let merged = scratch.text("merged.h5");
    ok(&["merge", &merged, &file]);
    py(CHANGED, &[&merged]);
    ok(&["verify", &merged]);
    let info: Value = serde_json::from_str(&ok(&["info", &file, "--json"])).expect("JSON");
    let dtypes: Vec<(&str, &str)> = info["tables"][0]["columns"]
        .as_array()
        .expect("columns")
        .iter()
        .map(|column| (column["name"].as_str().expect("name"), column["dtype"].as_str().expect("dtype")))
        .collect();
    for known in [
        ("label", "S4"),
        ("name", "T7"),
        ("big", "c64"),
        ("state", "enum(i16){busy=300,idle=-1}"),
        ("bigp", "compound {x: f64, big-endian}"),
        ("p", "{a:u8,in@8:{re:f32,tag:S2},m@16:i16:2x2} in 32 bytes"),
        ("vlen", "text of variable length, UTF-8"),
    ] {
        assert!(dtypes.contains(&known), "{known:?} is not in {dtypes:?}");
    }
}

/// C programs leave anything behind the end of a text. It is no part of the value: h5py does not see it.
#[test]
fn what_follows_the_end_of_a_text_is_no_part_of_it() {
    let scratch = Scratch::new();
    let file = scratch.text("a.h5");
    let made = py(
        r#"
import sys, numpy as np, h5py
from h5py import h5d, h5p, h5s, h5t
text = h5t.C_S1.copy()
text.set_size(6)
inner = h5t.create(h5t.COMPOUND, 20)
inner.insert(b"n", 0, h5t.NATIVE_INT16)
inner.insert(b"names", 4, h5t.array_create(text, (2,)))
rows = [b"ab\0xyz", b"\0wxyz!", b"abcdef", b"abc\0\0z"]
with h5py.File(sys.argv[1], "w") as f:
    f.create_group("t")
    for name, kind, packed in [("plain", text, False), ("packed", text, True), ("part", inner, False)]:
        plist = h5p.create(h5p.DATASET_CREATE)
        if packed:
            plist.set_chunk((2,))
            plist.set_deflate(1)
        d = h5d.create(f.id, f"t/{name}".encode(), kind, h5s.create_simple((4,)), plist)
        cells = [b"\1\0??" + row + row[::-1] + b"????" for row in rows] if kind is inner else rows
        raw = np.frombuffer(b"".join(cells), f"V{len(cells[0])}").copy()
        d.write(h5s.ALL, h5s.ALL, raw, mtype=kind)
"#,
        &[&file],
    );
    if made.is_none() {
        return;
    }
    ok(&["adopt", &file, "t"]);
    for column in ["plain", "packed", "part"] {
        let (npy, part) = (scratch.text(&format!("{column}.npy")), scratch.text(&format!("{column}-part.npy")));
        ok(&["read", &file, "t", column, "--rows", ":", "-o", &npy]);
        ok(&["read", &file, "t", column, "--rows", "3,0,3", "-o", &part]);
        py(
            r#"
import sys, numpy as np, h5py
with h5py.File(sys.argv[1]) as f:
    want = f["t"][sys.argv[2]][...]
assert want[0] == b"ab" if want.dtype.kind == "S" else want["names"][0, 0] == b"ab", want
for path, expected in [(sys.argv[3], want), (sys.argv[4], want[[3, 0, 3]])]:
    got = np.load(path)
    assert got.dtype == want.dtype or got.dtype.names, (got.dtype, want.dtype)
    for name in got.dtype.names or [...]:
        assert np.array_equal(got[name], expected[name]), (got, expected)
        if got[name].dtype.kind == "S":
            assert got[name].tobytes() == expected[name].tobytes(), (got, expected)
"#,
            &[&file, column, &npy, &part],
        );
    }
    // What was read is what is expected.
    let store = Store::open(&file).expect("opens");
    for column in ["plain", "packed"] {
        let seen = store.reader("t").and_then(|mut reader| reader.read(column, 0..2)).expect("reads");
        let seen = seen.bytes().to_vec();
        assert_eq!(seen, b"ab\0\0\0\0\0\0\0\0\0\0");
        let mut writer = store.writer("t").expect("writer");
        let values = |bytes| Values::new(Dtype::Bytes(6), &[2], bytes).expect("two texts");
        let (expected, new) = (values(&seen[..]), values(b"new\0\0\0NEW\0\0\0"));
        writer.commit(0..2).set(column, new).expect(column, expected).run().expect("commits");
    }
}

#[test]
fn arrays_of_numpy_in_and_out() {
    let scratch = Scratch::new();
    let (file, folder) = (scratch.text("a.h5"), scratch.text(""));
    create(&file, &COLUMNS);
    let save = r#"
import os, sys, numpy as np
os.chdir(sys.argv[1])
np.save("label.npy", np.array([b"a", b"abc"]))
np.save("name.npy", np.array(["é€x", "b"]))
np.save("z.npy", np.array([1.5-2j, 1j], dtype=">c16"))
np.save("w.npy", np.array([[1+2j, 3], [5, 6j]], dtype="c8"))
np.save("h.npy", np.array([0.5, 2], dtype="f2"))
np.save("state.npy", np.array([0, 1], dtype="u1"))
np.save("p.npy", np.array([(1.5, [2, 3], True), (2, [4, 5], False)], dtype=[("x", "f8"), ("n", "i4", (2,)), ("on", "?")]))
np.save("n.npy", np.array([1, 2]))
np.save("t.npy", np.array(["ab", "ß"]))
np.save("long.npy", np.array(["abcdef"]))
np.save("wrong.npy", np.array([b"\xff"]))
np.save("bored.npy", np.array([2], dtype="u1"))
np.save("other.npy", np.array([(1.5,)], dtype=[("x", "f8")]))
np.save("swapped.npy", np.array([(True, 1.5, [2, 3])], dtype=[("on", "?"), ("x", "f8"), ("n", "i4", (2,))]))
"#;
    if py(save, &[&folder]).is_none() {
        return;
    }
    let names = ["label", "name", "z", "w", "h", "state", "p", "n", "t"];
    let sets: Vec<String> = names.iter().map(|name| format!("{name}={folder}/{name}.npy")).collect();
    let sets = sets.iter().flat_map(|set| ["--set", set]);
    ok(&["update", &file, "t", "--rows", "1:3"].into_iter().chain(sets).collect::<Vec<_>>());
    for name in names {
        ok(&["read", &file, "t", name, "--rows", "1:3", "-o", &format!("{folder}/{name}-out.npy")]);
    }
    let compare = r#"
import os, sys, numpy as np
os.chdir(sys.argv[1])
for name in sys.argv[2].split():
    before, after = np.load(name + ".npy"), np.load(name + "-out.npy")
    assert before.shape == after.shape and (before == after).all() and before.dtype.kind == after.dtype.kind, (name, before, after)
"#;
    py(compare, &[&folder, &names.join(" ")]);
    // Values that were read can be written again.
    for name in names {
        let set = format!("{name}={folder}/{name}-out.npy");
        ok(&["update", &file, "t", "--rows", "1:3", "--set", &set]);
    }
    ok(&["verify", &file]);
    for (column, values, why) in [
        ("label", "long", "S5"),
        ("name", "wrong", "T12"),
        ("state", "bored", "enum(u8)"),
        ("p", "other", "{x:f64"),
        ("p", "swapped", "{x:f64"),
        ("n", "label", "S3"),
        ("z", "label", "S3"),
        ("label", "z", "c128"),
    ] {
        let rows = if matches!(values, "label" | "z") { "1:3" } else { "1" };
        let (code, _, err) =
            run(&["update", &file, "t", "--rows", rows, "--set", &format!("{column}={folder}/{values}.npy")]);
        assert!(code != 0 && err.contains(why), "{values} for {column}: {code} {err}");
    }
}

#[test]
fn bad_input_is_told() {
    let scratch = Scratch::new();
    let file = scratch.text("a.h5");
    create(&file, &COLUMNS);
    let before = std::fs::read(&file).expect("reads");
    for (set, why) in [
        (json!({"label": "abcdef"}), "abcdef"),
        (json!({"name": "abcdefghijklm"}), "T12"),
        (json!({"state": "bored"}), "bored"),
        (json!({"state": 7}), "7"),
        (json!({"p": {"x": 1.5, "n": [2, 3]}}), "no field 'on'"),
        (json!({"p": {"x": 1.5, "n": [2], "on": true}}), "field 'n'"),
        (json!({"z": [1, 2, 3]}), "a list of 3"),
        (json!({"h": 1e6}), "1000000"),
        (json!({"n": "no.npy"}), "no file"),
    ] {
        let answers = stream(&file, &[json!({"rows": 1, "set": set})]);
        let error = answers[0]["error"].as_str().expect("an error");
        assert!(error.contains(why), "{set}: {error}");
    }
    assert_eq!(std::fs::read(&file).expect("reads"), before, "nothing was written");
    for (column, why, hint) in [
        ("x:str", "variable length", "ragged"),
        ("x:O", "object", "ragged"),
        ("x:float63", "not a type", "NAME:DTYPE"),
        ("x:>f8", "'<f8'", "NAME:DTYPE"),
        ("x:S3=abcd", "abcd", "NAME:DTYPE"),
        ("x:enum(u8){a=1}=b", "'b'", "NAME:DTYPE"),
        ("x:enum(u8){a=1,b=1}", "twice", "NAME:DTYPE"),
        ("x:<M8[s]", "int64", "NAME:DTYPE"),
    ] {
        let (code, _, err) = run(&["create", &scratch.text("b.h5"), "t", "--rows", "1", "--column", column]);
        assert!(code != 0 && err.contains(why) && err.contains(hint), "{column}: {code} {err}");
    }
}

#[test]
fn a_column_that_stays_behind_says_what_to_use() {
    let scratch = Scratch::new();
    let file = scratch.text("a.h5");
    if py(MAKE, &[&file]).is_none() {
        return;
    }
    for column in ["vlen", "ragged", "bigp"] {
        let (code, _, err) = run(&["read", &file, "t", column, "--rows", "0"]);
        assert!(code != 0 && err.contains("hint: ") && err.contains("ragged pair"), "{column}: {err}");
    }
}

#[test]
fn typed_values_of_a_program() -> h5part::Result<()> {
    let scratch = Scratch::new();
    let state: Dtype = "enum(u8){idle=0,busy=1}".parse()?;
    let table = Table::new("t", 5)
        .column::<Complex<f64>>("z", [])
        .column::<half::f16>("h", [2])
        .column_spec(ColumnSpec::new("label", "S8".parse()?, &[]))
        .column_spec(ColumnSpec::new("state", state, &[]))
        .column_spec("p:{x:f64,n:i32}".parse()?)
        .column_attribute("z", "units", "eV");
    let store = Store::create(scratch.path("a.h5"), table)?;
    let columns = store.tables()?.remove(0).columns;
    assert_eq!(
        columns.iter().map(|column| column.dtype).collect::<Vec<_>>()[2..4],
        [Some(Dtype::Bytes(8)), Some(state)]
    );
    let mut writer = store.writer("t")?;
    let p = [1.5f64.to_le_bytes().to_vec(), 7i32.to_le_bytes().to_vec()].concat();
    let p = Values::new(columns[4].dtype.expect("known"), &[1], p)?;
    let halves = ndarray::arr2(&[[half::f16::from_f32(0.5), half::f16::ONE]]);
    let commit = writer.commit(3).set("z", Complex::new(1.0, -2.0)).set("h", &halves).set("p", p);
    commit
        .set("label", Values::texts(Dtype::Bytes(8), &["abc"])?)
        .set("state", Values::texts(state, &["busy"])?)
        .run()?;
    let mut reader = store.reader("t")?;
    assert_eq!(reader.read("z", 3)?.array::<Complex<f64>>()?[[0]], Complex::new(1.0, -2.0));
    assert_eq!(reader.read("h", 3)?.array::<half::f16>()?, halves.into_dyn());
    assert_eq!((reader.read("label", 3)?.bytes(), reader.read("state", 3)?.bytes()), (&b"abc\0\0\0\0\0"[..], &[1][..]));
    assert_eq!(reader.read("p", 3)?.bytes()[8..], 7i32.to_le_bytes());
    // As Python has them: another length, and the integer type that underlies an enum.
    let narrow = Values::new(Dtype::Bytes(2), &[1], b"hi".to_vec())?.relabel(Dtype::Bytes(8))?;
    let idle = Values::new(Dtype::U8, &[1], vec![0])?.relabel(state)?;
    writer.commit(4).set("label", narrow).set("state", idle).run()?;
    let long = Values::new(Dtype::Bytes(9), &[1], b"123456789".to_vec())?.relabel(Dtype::Bytes(8));
    assert!(matches!(long.expect_err("too long"), ErrorKind::BadValues(_)));
    assert!(matches!(Values::texts(state, &["bored"]), Err(ErrorKind::BadValues(_))));
    let bored = Values::new(state, &[1], vec![9])?;
    let error = writer.commit(4).set("state", bored).run().expect_err("not a member");
    assert!(matches!(error.kind(), ErrorKind::BadValues(_)), "{error}");
    assert_eq!(store.attribute("t/z", "units")?, Some(Attribute::Text("eV".to_owned())));
    assert!(store.verify(&Verify::default())?.findings.is_empty());
    Ok(())
}

#[test]
fn attributes_of_columns_are_kept() {
    let scratch = Scratch::new();
    let file = scratch.text("a.h5");
    create(&file, &["E:f64", "label:S4"]);
    stream(&file, &[json!({"rows": [1, 2], "set": {"E": [1, 2], "label": ["a", "b"]}})]);
    ok(&["attr", &file, "t/E", "units=eV", "scale=2.5"]);
    ok(&["attr", &file, "/t/E", "units=meV"]);
    let (code, _, err) = run(&["attr", &file, "t/nothing", "units=eV"]);
    assert!(code == 3 && err.contains("no such table 't/nothing'"), "{code} {err}");
    stream(&file, &[json!({"rows": 3, "set": {"E": 3}})]);
    let store = Store::open(&file).expect("opens");
    let published = scratch.path("published.h5");
    store.publish(&published, Publishing::default()).expect("publishes");
    let merged = scratch.path("merged.h5");
    merge(&merged, [store.path()], &MergeOptions::default()).expect("merges");
    for path in [store.path(), &published, &merged] {
        let store = Store::open(path).expect("opens");
        let attribute = |name| store.attribute("t/E", name).expect("reads");
        assert_eq!(attribute("units"), Some(Attribute::Text("meV".to_owned())), "{}", path.display());
        assert_eq!(attribute("scale"), Some(Attribute::Float(2.5)), "{}", path.display());
        assert!(store.verify(&Verify::default()).expect("verifies").findings.is_empty());
    }
    assert_eq!(read(&file, "E", "1:4"), "1.0\n2.0\n3.0\n");
}

/// Programs that know only numbers and bool must not take such a column for one that was replaced.
#[test]
fn the_format_is_raised_only_where_it_must_be() {
    let scratch = Scratch::new();
    for (column, format) in [("E:f64", 1), ("E:bool", 1), ("E:S4", 4), ("E:c64", 4), ("E:f16", 4), ("E:{x:f8}", 4)] {
        let file = scratch.text(&format!("{column}.h5"));
        create(&file, &[column]);
        let found: u64 = hdf5::File::open(&file).and_then(|f| f.attr("h5part_format")?.read_scalar()).expect("reads");
        assert_eq!(found, format, "{column}");
    }
}
