//! Guard columns: whoever looks at the bytes of the file at any instant is not deceived.

use crate::commits;
use crate::deaths::{self, Others};
use crate::explore::holds;
use crate::memory::Watch;
use crate::world::{ROWS, UNDEFINED, World, address, number};
use h5part_base::dataspace::Table;
use std::sync::Arc;

/// After each write of a sector: a guard that speaks is that of a row which is wholly that of one commit.
pub fn honest(table: &Table) -> Option<Watch> {
    let layouts: Vec<_> = table.columns.iter().map(|c| c.direct().expect("direct").clone()).collect();
    Some(Box::new(move |file| {
        for row in 0..ROWS {
            let cells: Vec<Option<u64>> = layouts
                .iter()
                .enumerate()
                .map(|(column, layout)| {
                    let start = address(layout, row);
                    number(column, &file[start..start + usize::try_from(layout.cell_bytes).expect("small")])
                })
                .collect();
            let whole = cells[0].is_some_and(|value| value != 0) && cells[0] == cells[1];
            if cells[2] != Some(UNDEFINED) && !whole {
                return Err(format!("row {row} is called complete, and holds {cells:?}"));
            }
        }
        Ok(())
    }))
}

pub fn world() -> Arc<World> {
    World::watched(true, honest)
}

#[test]
fn never_speak_of_a_torn_row_beside_commits() {
    let world = world();
    holds("guards beside commits", move || {
        let acts = |w: u64| (0..2).map(|n| world.any_act(10 + 10 * w + n)).collect();
        commits::schedule(&world, (0..2).map(acts).collect(), 1)
    });
}

#[test]
fn nor_beside_deaths_and_recoveries() {
    let world = world();
    let others = Others { dying: 1, writers: 1, recoveries: 2, reads: 1, ..Others::default() };
    holds("guards beside a death", move || deaths::schedule(&world, others, &|| world.process()));
}

#[test]
fn nor_beside_two_deaths() {
    let world = world();
    let others = Others { dying: 2, writers: 1, recoveries: 1, ..Others::default() };
    holds("guards beside two deaths", move || deaths::schedule(&world, others, &|| world.process()));
}
