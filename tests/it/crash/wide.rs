//! Loss of power in commits to a wide table: in place if their stamps lie in one sector, through the log otherwise.

use super::counted;
use super::scenes::{Scene, Step};
use super::structure::Changed;
use crate::store::wide::{put, wide_store};
use h5part_engine::store::{Store, Writer};

const COLUMNS: usize = 68;

fn all() -> Vec<usize> {
    (0..COLUMNS).collect()
}

#[test]
fn rows_whose_stamps_lie_in_one_sector_are_old_or_new() {
    let named: Vec<usize> = (64..68).collect();
    let fresh = |writer: &mut Writer| put(writer, &named, 2..5, 2.0).expect("commits");
    let again = |writer: &mut Writer| put(writer, &named, 3..4, 3.0).expect("commits");
    let steps: [Step<'_>; 2] = [&fresh, &again];
    let make = |path: &std::path::Path| {
        let store = wide_store(path, COLUMNS);
        put(&mut store.writer("t").expect("writer"), &all(), 3..4, 1.0).expect("commits");
        store
    };
    counted("wide, in place", Scene::upon(&make, &steps).crashed(300).holds());
}

fn whole_rows(store: &Store, rows: std::ops::Range<u64>, value: f64) -> h5part::Result<()> {
    put(&mut store.writer("t")?, &all(), rows, value)
}

#[test]
fn rows_over_several_sectors_are_old_or_new() {
    let make = |path: &std::path::Path| {
        let store = wide_store(path, COLUMNS);
        whole_rows(&store, 3..4, 1.0).expect("commits");
        store
    };
    let changed = Changed::upon(&make, &[&|store| whole_rows(store, 2..4, 2.0)]);
    counted("wide, in the log", changed.crashed(1).holds());
}
