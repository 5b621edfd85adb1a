//! Sequences of creates and commits against a plain `ndarray` model, read back through this crate
//! and through the HDF5 library.

use crate::common::support::Scratch;
use h5part_base::dataspace::{ColumnSpec, Dtype, Rows};
use h5part_engine::h5::NewTable;
use h5part_engine::store::{Durability, Store, Values};
use ndarray::{Array2, ArrayD, Axis, IxDyn};
use proptest::prelude::*;

const ROWS: u64 = 37;

#[derive(Clone, Debug)]
struct Shape {
    dtypes: Vec<Dtype>,
    cells: Vec<Vec<u64>>,
    chunk_rows: Option<u64>,
    contiguous: bool,
}

#[derive(Clone, Debug)]
struct Step {
    rows: Vec<u64>,
    /// Which columns are set, as bits.
    columns: u8,
    seed: u64,
    durability: Durability,
    reopen: bool,
}

fn dtypes() -> Vec<Dtype> {
    let state = Dtype::enumeration(Dtype::I16, vec![("idle".to_owned(), 0), ("busy".to_owned(), -7)]).expect("an enum");
    let texts = [Dtype::Bytes(1), Dtype::Bytes(5), Dtype::Text(3), state];
    let record: Dtype = "{x:f32,z:c64:2,n:i8}".parse().expect("a compound");
    Dtype::ALL.into_iter().chain(texts).chain([record]).collect()
}

fn shape() -> impl Strategy<Value = Shape> {
    let column = (prop::sample::select(dtypes()), prop::collection::vec(1u64..5, 0..3));
    (prop::collection::vec(column, 1..5), prop::option::of(1u64..50), any::<bool>()).prop_map(
        |(columns, chunk, contiguous)| {
            let (dtypes, cells) = columns.into_iter().unzip();
            Shape { dtypes, cells, chunk_rows: if contiguous { None } else { chunk }, contiguous }
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let rows = prop::collection::hash_set(0..ROWS, 1..12).prop_map(|s| s.into_iter().collect::<Vec<_>>());
    let durability = prop::sample::select(vec![Durability::Process, Durability::Process, Durability::Power]);
    (rows, 1u8..16, any::<u64>(), durability, prop::bool::weighted(0.2))
        .prop_map(|(rows, columns, seed, durability, reopen)| Step { rows, columns, seed, durability, reopen })
}

/// For each column: (rows, bytes per cell), and which rows have values.
struct Model {
    bytes: Array2<u8>,
    present: Vec<bool>,
}

fn random_bytes(seed: u64, dtype: Dtype, count: usize) -> Vec<u8> {
    let mut x = seed | 1;
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x.to_le_bytes()[3]
    };
    match dtype {
        Dtype::Bool => (0..count).map(|_| next() & 1).collect(),
        // Each of these bytes is one character.
        Dtype::Text(_) => (0..count).map(|_| next() & 127).collect(),
        Dtype::Enum(_) => (0..count / 2).flat_map(|_| if next() & 1 == 0 { [0, 0] } else { [249, 255] }).collect(),
        _ => (0..count).map(|_| next()).collect(),
    }
}

fn element_count(cell: &[u64]) -> usize {
    usize::try_from(cell.iter().product::<u64>()).expect("small")
}

fn cell_bytes(dtype: Dtype, cell: &[u64]) -> usize {
    element_count(cell) * usize::try_from(dtype.size()).expect("small")
}

fn check_through_crate(store: &Store, shape: &Shape, models: &[Model]) -> Result<(), TestCaseError> {
    let mut reader = store.reader("a/b").expect("reader");
    let mut all: Vec<u64> = (0..ROWS).collect();
    all.rotate_left(11);
    for (k, model) in models.iter().enumerate() {
        let block = reader.read(&format!("c{k}"), &Rows::list(&all)).expect("read");
        let size = cell_bytes(shape.dtypes[k], &shape.cells[k]);
        for (i, &row) in all.iter().enumerate() {
            let row = usize::try_from(row).expect("small");
            prop_assert_eq!(block.states()[i].is_present(), model.present[row], "row {} of c{}", row, k);
            let model_row = model.bytes.index_axis(Axis(0), row);
            prop_assert_eq!(&block.bytes()[i * size..(i + 1) * size], model_row.as_slice().expect("row"));
        }
    }
    Ok(())
}

/// All elements of a dataset as they are stored.
#[expect(unsafe_code, reason = "the safe wrapper reads no type that is known at run time alone")]
fn raw_bytes(dataset: &hdf5::Dataset, dtype: Dtype) -> Vec<u8> {
    let datatype = dataset.dtype().expect("type");
    assert_eq!(datatype.size() as u64, dtype.size(), "{dtype}");
    let mut bytes = vec![0u8; dataset.size() * datatype.size()];
    let read = hdf5::sync::sync(|| {
        // SAFETY: the ids are alive, and the buffer is as long as the dataset.
        unsafe {
            let all = hdf5_sys::h5s::H5S_ALL;
            let place = bytes.as_mut_ptr().cast();
            hdf5_sys::h5d::H5Dread(dataset.id(), datatype.id(), all, all, hdf5_sys::h5p::H5P_DEFAULT, place)
        }
    });
    assert!(read >= 0, "{dtype}");
    bytes
}

/// The library reads the raw type, so that NaNs keep their bits.
fn check_through_library(store: &Store, shape: &Shape, models: &[Model]) -> Result<(), TestCaseError> {
    let file = hdf5::File::open(store.path()).expect("opens in HDF5");
    for (k, model) in models.iter().enumerate() {
        let dataset = file.dataset(&format!("a/b/c{k}")).expect("dataset");
        macro_rules! bytes {
            ($type:ty) => {
                dataset
                    .read_raw::<$type>()
                    .expect("read")
                    .into_iter()
                    .flat_map(|v| v.to_le_bytes())
                    .collect::<Vec<u8>>()
            };
        }
        let bytes = match shape.dtypes[k] {
            Dtype::F32 => bytes!(f32),
            Dtype::F64 => bytes!(f64),
            Dtype::I8 => bytes!(i8),
            Dtype::I16 => bytes!(i16),
            Dtype::I32 => bytes!(i32),
            Dtype::I64 => bytes!(i64),
            Dtype::U8 => bytes!(u8),
            Dtype::U16 => bytes!(u16),
            Dtype::U32 => bytes!(u32),
            Dtype::U64 => bytes!(u64),
            Dtype::Bool => dataset.read_raw::<bool>().expect("read").into_iter().map(u8::from).collect(),
            dtype => raw_bytes(&dataset, dtype),
        };
        prop_assert_eq!(bytes.as_slice(), model.bytes.as_slice().expect("standard layout"), "c{}", k);
    }
    Ok(())
}

fn play(shape: &Shape, steps: &[Step]) -> Result<(), TestCaseError> {
    let scratch = Scratch::new();
    let store = Store::new(scratch.path("m.h5")).expect("path");
    let columns: Vec<ColumnSpec> = shape
        .dtypes
        .iter()
        .zip(&shape.cells)
        .enumerate()
        .map(|(k, (&dtype, cell))| ColumnSpec::new(&format!("c{k}"), dtype, cell))
        .collect();
    let mut models: Vec<Model> = columns
        .iter()
        .map(|c| {
            let size = cell_bytes(c.dtype, &c.shape);
            let fill: Vec<u8> = c.fill.iter().copied().cycle().take(size).collect();
            let bytes = Array2::from_shape_fn((usize::try_from(ROWS).expect("small"), size), |(_, j)| fill[j]);
            Model { bytes, present: vec![false; usize::try_from(ROWS).expect("small")] }
        })
        .collect();
    let table =
        NewTable { chunk_rows: shape.chunk_rows, contiguous: shape.contiguous, ..NewTable::new("a/b", ROWS, columns) };
    store.create(&table, &|_, _| ()).expect("create");
    let mut writer = store.writer("a/b").expect("writer");
    for step in steps {
        if step.reopen {
            writer = store.writer("a/b").expect("writer");
        }
        writer.set_durability(step.durability);
        let mut owned = Vec::new();
        for k in (0..models.len()).filter(|k| step.columns & (1 << k) != 0) {
            let size = cell_bytes(shape.dtypes[k], &shape.cells[k]);
            owned.push((
                k,
                size,
                random_bytes(step.seed.wrapping_add(k as u64), shape.dtypes[k], step.rows.len() * size),
            ));
        }
        if owned.is_empty() {
            continue;
        }
        let names: Vec<String> = owned.iter().map(|(k, ..)| format!("c{k}")).collect();
        let values: Vec<(&str, Values<'_>)> = owned
            .iter()
            .zip(&names)
            .map(|((k, _, bytes), name)| {
                let full: Vec<u64> =
                    [step.rows.len() as u64].into_iter().chain(shape.cells[*k].iter().copied()).collect();
                (name.as_str(), Values::new(shape.dtypes[*k], &full, bytes.as_slice()).expect("values"))
            })
            .collect();
        writer.commit(&Rows::list(&step.rows), &values).expect("commit");
        for (k, size, bytes) in &owned {
            for (i, &row) in step.rows.iter().enumerate() {
                let row = usize::try_from(row).expect("small");
                let cell = &bytes[i * size..(i + 1) * size];
                models[*k].bytes.index_axis_mut(Axis(0), row).assign(&ndarray::aview1(cell));
                models[*k].present[row] = true;
            }
        }
    }
    drop(writer);
    check_through_crate(&store, shape, &models)?;
    check_through_library(&store, shape, &models)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn commits_are_what_a_plain_array_would_hold(shape in shape(), steps in prop::collection::vec(step(), 1..12)) {
        play(&shape, &steps)?;
    }
}

#[test]
fn typed_arrays_go_in_and_come_out() {
    let scratch = Scratch::new();
    let store = crate::common::support::small_store(&scratch.path("a.h5"), 10);
    let mut writer = store.writer("/t/").expect("writer");
    let forces = ArrayD::from_shape_fn(IxDyn(&[3, 4, 3]), |i| (i[0] * 100 + i[1] * 10 + i[2]) as f64);
    // A view that is not in standard layout is copied, not misread.
    let turned = forces.view().permuted_axes(IxDyn(&[0, 2, 1]));
    let turned_back = turned.view().permuted_axes(IxDyn(&[0, 2, 1]));
    writer.commit(&Rows::list(&[9, 2, 4]), &[("F", Values::from(&turned_back))]).expect("commit");
    let mut reader = store.reader("t").expect("reader");
    let block = reader.read("F", &Rows::list(&[9, 2, 4])).expect("read");
    assert_eq!(block.array::<f64>().expect("f64"), forces);
    assert!(block.array::<f32>().is_err());
    assert_eq!(reader.read("E", &Rows::list(&[9, 0])).expect("read").mask().to_vec(), [false, false]);
}
