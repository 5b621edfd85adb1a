//! Tables of all kinds that commits tell apart, made once.

use h5part_base::dataspace::{ColumnSpec, Dtype};
use h5part_engine::h5::{Filters, NewTable};
use h5part_engine::store::{Adoption, Store};
use std::path::Path;
use std::sync::LazyLock;

/// A file with a table `t` whose rows are not there yet.
pub struct Kind {
    pub bytes: Vec<u8>,
    pub rows: usize,
    pub columns: Vec<ColumnSpec>,
    pub guard: Option<usize>,
    /// Whether it may be extended.
    pub grows: bool,
    /// Which of the columns only the library reaches.
    pub library: Vec<bool>,
}

pub static KINDS: LazyLock<Vec<Kind>> = LazyLock::new(|| {
    let chunked = |columns| NewTable { chunk_rows: Some(3), ..NewTable::new("t", 7, columns) };
    let guard = Some("g".to_owned());
    let filters = Filters { gzip: Some(1), shuffle: true };
    vec![
        made(chunked(wide())),
        made(NewTable { contiguous: true, guard: guard.clone(), ..NewTable::new("t", 7, guarded()) }),
        made(NewTable { guard, ..chunked(guarded()) }),
        made(NewTable { filters, ..chunked(few()) }),
        mixed(),
    ]
});

/// Cells within a sector, and over several; a fill that is not zero.
fn wide() -> Vec<ColumnSpec> {
    let fill = 7u64.to_le_bytes().to_vec();
    let a = ColumnSpec { fill, ..ColumnSpec::new("a", Dtype::U64, &[]) };
    vec![a, ColumnSpec::new("b", Dtype::U8, &[5]), ColumnSpec::new("c", Dtype::I32, &[300])]
}

fn guarded() -> Vec<ColumnSpec> {
    vec![
        ColumnSpec::new("a", Dtype::U64, &[]),
        ColumnSpec::new("g", Dtype::I64, &[]),
        ColumnSpec::new("c", Dtype::I32, &[3, 50]),
    ]
}

pub fn few() -> Vec<ColumnSpec> {
    vec![ColumnSpec::new("a", Dtype::U64, &[]), ColumnSpec::new("z", Dtype::I32, &[40])]
}

fn made(table: NewTable) -> Kind {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("a.h5");
    Store::new(&path).and_then(|store| store.create(&table, &|_, _| ())).expect("create");
    let guard = table.columns.iter().position(|column| Some(&column.name) == table.guard.as_ref());
    let library = vec![table.filters.gzip.is_some(); table.columns.len()];
    let bytes = std::fs::read(&path).expect("read");
    Kind { bytes, rows: 7, columns: table.columns, guard, grows: !table.contiguous, library }
}

/// A direct column beside a compressed one: another program's, adopted.
fn mixed() -> Kind {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("a.h5");
    let file = hdf5::File::create(&path).expect("create");
    let group = file.create_group("t").expect("group");
    let a = group.new_dataset::<u64>().shape(7).create("a").expect("dataset");
    a.write(&[0u64; 7]).expect("write");
    group.new_dataset::<i32>().chunk((2, 40)).deflate(1).shape((7, 40)).create("z").expect("dataset");
    drop((a, group));
    file.close().expect("close");
    let store = Store::open(&path).expect("opens");
    store.adopt("t", &Adoption::default(), &|_, _| ()).expect("adopts");
    let bytes = std::fs::read(&path).expect("read");
    Kind { bytes, rows: 7, columns: few(), guard: None, grows: false, library: vec![false, true] }
}

impl Kind {
    pub fn cell_bytes(&self, column: usize) -> usize {
        usize::try_from(self.columns[column].cell_bytes().expect("small")).expect("small")
    }

    pub fn fill(&self, column: usize) -> Vec<u8> {
        let fill = &self.columns[column].fill;
        fill.repeat(self.cell_bytes(column) / fill.len())
    }

    /// Whether a commit to these columns is a structural change.
    pub fn needs_library(&self, columns: &[usize]) -> bool {
        columns.iter().any(|&column| self.library[column])
    }

    /// The bytes of all columns as a stock program reads them.
    pub fn stock(&self, file: &Path) -> Vec<Vec<u8>> {
        let file = hdf5::File::open(file).expect("a stock program opens it");
        let read = |column: &ColumnSpec| {
            let dataset = file.dataset(&format!("t/{}", column.name)).expect("dataset");
            match column.dtype {
                Dtype::U64 => dataset.read_raw::<u64>().expect("reads").iter().flat_map(|v| v.to_le_bytes()).collect(),
                Dtype::I64 => dataset.read_raw::<i64>().expect("reads").iter().flat_map(|v| v.to_le_bytes()).collect(),
                Dtype::I32 => dataset.read_raw::<i32>().expect("reads").iter().flat_map(|v| v.to_le_bytes()).collect(),
                _ => dataset.read_raw::<u8>().expect("reads"),
            }
        };
        self.columns.iter().map(read).collect()
    }
}
