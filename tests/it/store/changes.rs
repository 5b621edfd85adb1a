//! Structural changes for tests: files of all superblock versions, and the changes to them.

use crate::common::support::small_table;
use h5part_base::dataspace::{ColumnSpec, Dtype, Rows};
use h5part_engine::h5::{Attribute, Coordinates, Filters, NewDimensions, NewTable};
use h5part_engine::store::{Adoption, Bundle, CellState, Content, Member, Store, Values};
use hdf5::file::LibraryVersion;
use ndarray::{Array1, Array3};
use std::path::Path;

/// Superblocks 0, 2 and 3.
pub const SUPERBLOCKS: [u8; 3] = [0, 2, 3];

/// A file that the stock library makes: a plain table `p`, and a large dataset `big` at its end.
pub fn stock_file(path: &Path, superblock: u8) {
    let version = match superblock {
        0 => LibraryVersion::Earliest,
        2 => LibraryVersion::V18,
        _ => LibraryVersion::V110,
    };
    let mut builder = hdf5::FileBuilder::new();
    builder.with_fapl(|p| p.libver_bounds(version, LibraryVersion::latest()));
    let file = builder.create(path).expect("create");
    let group = file.create_group("p").expect("group");
    group.new_dataset_builder().with_data(&Array1::from_elem(20, 2.5)).create("x").expect("dataset");
    group.new_dataset_builder().with_data(&Array1::from_elem(20, 3i64)).create("n").expect("dataset");
    drop(group);
    file.new_dataset_builder().with_data(&Array1::from_elem(20_000, 1.0)).create("big").expect("dataset");
    drop(file);
    assert_eq!(std::fs::read(path).expect("read")[8], superblock);
}

/// The same with a table `t` and a compressed table `g`, both with acknowledged rows.
pub fn store_with_rows(path: &Path, superblock: u8) -> Store {
    stock_file(path, superblock);
    let store = Store::open(path).expect("opens");
    store.create(&small_table(10), &|_, _| ()).expect("create");
    let columns = vec![ColumnSpec::new("z", Dtype::F64, &[100]), ColumnSpec::new("s", Dtype::I64, &[])];
    let compressed = NewTable {
        filters: Filters { gzip: Some(1), shuffle: true },
        chunk_rows: Some(2),
        ..NewTable::new("g", 10, columns)
    };
    store.create(&compressed, &|_, _| ()).expect("create");
    let mut writer = store.writer("t").expect("writer");
    let (e, f) = (Array1::from_elem(3, 1.5), Array3::from_elem((3, 4, 3), 1.5));
    writer.commit(&Rows::range(2..5), &[("E", Values::from(&e)), ("F", Values::from(&f))]).expect("commit");
    compressed_rows(&store, 2..5, 1.5).expect("commit");
    store
}

/// Commits rows of `g` through the library.
pub fn compressed_rows(store: &Store, rows: std::ops::Range<u64>, value: f64) -> h5part::Result<()> {
    let n = usize::try_from(rows.end - rows.start).expect("small");
    // Values that differ, so that a chunk must grow.
    let z: Vec<f64> = (0..n * 100).map(|i| value + (i as f64).sin() * f64::from(value > 2.0)).collect();
    let z = ndarray::Array2::from_shape_vec((n, 100), z).expect("shape");
    let s = Array1::from_elem(n, 7i64);
    let mut writer = store.writer("g")?;
    writer.commit(&Rows::range(rows), &[("z", Values::from(&z)), ("s", Values::from(&s))]).map(|_| ())
}

/// Rows 2 to 4 of `t` and `g` were acknowledged with 1.5. The states of other rows of `g` depend on the change.
pub fn acknowledged_rows_are_there(store: &Store, why: &str) {
    let mut reader = store.reader("t").expect("reader");
    for column in ["E", "F"] {
        let block = reader.read(column, &Rows::range(2..5)).expect("read");
        assert_eq!(block.states(), [CellState::Committed; 3], "{why}: {column}");
        assert!(block.array::<f64>().expect("f64").iter().all(|&v| v == 1.5), "{why}: {column}");
    }
    let mut reader = store.reader("g").expect("reader");
    for column in ["z", "s"] {
        let block = reader.read(column, &Rows::range(2..5)).expect("read");
        assert_eq!(block.states(), [CellState::Committed; 3], "{why}: {column}");
    }
}

fn guard_column() -> ColumnSpec {
    ColumnSpec { fill: 1i64.to_le_bytes().to_vec(), ..ColumnSpec::new("s", Dtype::I64, &[]) }
}

/// A named change of structure.
pub type Change = (&'static str, fn(&Store) -> h5part::Result<()>);

/// One change of every kind.
pub const CHANGES: [Change; 11] = [
    ("create", |store| store.create(&NewTable { path: "a/more".to_owned(), ..small_table(3) }, &|_, _| ())),
    ("adopt", |store| store.adopt("p", &Adoption::default(), &|_, _| ()).map(|_| ())),
    ("extend", |store| store.extend("t", 3000).map(|_| ())),
    ("attr", |store| {
        let text = Attribute::Text("x".repeat(3000));
        store.set_attributes("t", &[("note".to_owned(), text), ("n".to_owned(), Attribute::Int(3))])
    }),
    ("compressed", |store| compressed_rows(store, 3..9, 2.5)),
    ("shrink", |store| store.change(|h5| Ok(h5.library().unlink("big")?))),
    ("regrow", |store| {
        store.change(|h5| {
            h5.library().unlink("big")?;
            h5.flush()?;
            let data = Array1::from_elem(30_000, 4.0);
            h5.library().new_dataset_builder().with_data(&data).create("bigger")?;
            Ok(())
        })
    }),
    ("columns", |store| {
        let z = ColumnSpec::new("z", Dtype::F64, &[2]);
        store.add_columns(&NewTable { guard: Some("s".to_owned()), ..NewTable::new("t", 10, vec![z, guard_column()]) })
    }),
    ("bundle", |store| {
        let texts = Content::Texts { shape: vec![2], values: vec!["x".repeat(2000), "µ".to_owned()] };
        let floats = Content::Floats { shape: vec![1, 600], values: vec![1.25; 600] };
        let member = |name: &str, content| Member { name: name.to_owned(), content, attributes: Vec::new() };
        store.add_bundle("b", &Bundle { members: vec![member("x", texts), member("y", floats)] }, false)
    }),
    ("many", |store| {
        store.change(|h5| {
            let group = h5.library().create_group("many")?;
            for k in 0..20 {
                group.new_dataset_builder().with_data(&[f64::from(k); 5]).create(format!("d{k}").as_str())?;
            }
            Ok(())
        })
    }),
    ("dimensions", |store| {
        let columns = vec![ColumnSpec::new("F", Dtype::F64, &[4, 3]), ColumnSpec::new("V", Dtype::F64, &[3])];
        let names = |column: &str, names: &[&str]| (column.to_owned(), names.iter().map(|&n| n.to_owned()).collect());
        let dimensions = NewDimensions {
            rows: None,
            columns: vec![names("F", &["atom", "xyz"]), names("V", &["xyz"])],
            coordinates: vec![Coordinates::texts("xyz", &["x", "y", "z"])],
        };
        store.create(&NewTable { dimensions, ..NewTable::new("named", 3, columns) }, &|_, _| ())
    }),
];
