//! Which dimensions a table gets, and whether they fit its columns. Pure.

use super::{Coordinates, NewDimensions, ROWS};
use crate::h5::NewTable;
use h5part_base::dataspace::{ColumnSpec, Dtype, refuse_reserved, shape_text};
use h5part_base::error::ErrorKind;

/// Dimensions of columns that are to be made.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan<'a> {
    /// Name of the dimension of rows.
    pub(super) rows: &'a str,
    /// The others, each once.
    pub(super) inner: Vec<Dimension<'a>>,
    /// Each column with the names of the axes of one row.
    pub(super) columns: Vec<(&'a str, &'a [String])>,
}

/// A dimension within rows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Dimension<'a> {
    pub(super) name: &'a str,
    pub(super) len: u64,
    pub(super) coordinates: Option<&'a Coordinates>,
}

impl NewTable {
    /// Whether the dimensions of a new table fit its columns.
    ///
    /// # Errors
    /// [`ErrorKind::BadRequest`], [`ErrorKind::ReservedName`].
    pub fn check_dimensions(&self) -> Result<(), ErrorKind> {
        self.plan_dimensions().map(|_| ())
    }

    /// The dimensions of a new table; `None`: its axes have no names.
    pub(super) fn plan_dimensions(&self) -> Result<Option<Plan<'_>>, ErrorKind> {
        let rows = self.dimensions.rows.as_deref().unwrap_or(ROWS);
        if self.dimensions.is_empty() { Ok(None) } else { Plan::of(self, rows).map(Some) }
    }
}

impl<'a> Plan<'a> {
    /// Of all columns of `table`, in which each axis within a row has a name, and that of rows has the name `rows`.
    ///
    /// # Errors
    /// [`ErrorKind::BadRequest`], [`ErrorKind::ReservedName`].
    pub(super) fn of(table: &'a NewTable, rows: &'a str) -> Result<Self, ErrorKind> {
        let NewDimensions { columns, coordinates, .. } = &table.dimensions;
        let mut plan = Self { rows, inner: Vec::new(), columns: Vec::new() };
        check_name(rows)?;
        for (k, (name, _)) in columns.iter().enumerate() {
            if table.columns.iter().all(|column| column.name != *name) {
                return Err(request(format!("there are names for the axes of '{name}', which is not a column")));
            }
            if columns[..k].iter().any(|(earlier, _)| earlier == name) {
                return Err(request(format!("the axes of column '{name}' are named twice")));
            }
        }
        for column in &table.columns {
            let names = columns.iter().find(|(name, _)| *name == column.name).map_or(&[][..], |(_, names)| names);
            plan.add_column(column, names)?;
        }
        plan.check_against(&table.columns)?;
        coordinates.iter().try_for_each(|values| plan.add_coordinates(values))?;
        Ok(plan)
    }

    fn add_column(&mut self, column: &'a ColumnSpec, names: &'a [String]) -> Result<(), ErrorKind> {
        if names.len() != column.shape.len() {
            let (name, shape) = (&column.name, shape_text(&column.shape));
            let (axes, given) = (column.shape.len(), names.len());
            let text = format!(
                "a row of column '{name}' ({shape}) has {axes} axes, and there are names for {given}: name all axes of a \
                 table, or none"
            );
            return Err(request(text));
        }
        for (k, (name, &len)) in names.iter().zip(&column.shape).enumerate() {
            check_name(name)?;
            if names[..k].contains(name) {
                return Err(request(format!("two axes of column '{}' have the name '{name}'", column.name)));
            }
            match self.inner.iter().find(|dimension| dimension.name == name) {
                Some(there) if there.len != len => {
                    let text = format!("dimension '{name}' would have the lengths {} and {len}", there.len);
                    return Err(request(text));
                }
                Some(_) => {}
                None => self.inner.push(Dimension { name, len, coordinates: None }),
            }
        }
        self.columns.push((&column.name, names));
        Ok(())
    }

    /// Names of dimensions against those of columns: they are datasets of one group.
    fn check_against(&self, columns: &[ColumnSpec]) -> Result<(), ErrorKind> {
        let rows = self.rows;
        for dimension in &self.inner {
            let name = dimension.name;
            if name == rows {
                return Err(request(format!(
                    "'{name}' is the dimension of rows, and cannot be one within rows as well"
                )));
            }
            if columns.iter().any(|column| column.name == name) {
                return Err(request(format!("'{name}' cannot be a column and a dimension within rows")));
            }
        }
        match columns.iter().find(|column| column.name == rows) {
            Some(column) if !column.shape.is_empty() || !can_be_coordinates(column.dtype) => Err(request(format!(
                "column '{rows}' holds the coordinates of the dimension of rows: one number or text per row"
            ))),
            _ => Ok(()),
        }
    }

    fn add_coordinates(&mut self, coordinates: &'a Coordinates) -> Result<(), ErrorKind> {
        let (name, rows) = (coordinates.dimension.as_str(), self.rows);
        if name == rows {
            let text = format!("coordinates of the dimension of rows are a column: add one of the name '{rows}'");
            return Err(request(text));
        }
        let Some(dimension) = self.inner.iter_mut().find(|dimension| dimension.name == name) else {
            return Err(request(format!("there are coordinates for '{name}', which is not a dimension of any column")));
        };
        if !can_be_coordinates(coordinates.dtype) {
            let dtype = coordinates.dtype;
            return Err(request(format!("coordinates of dimension '{name}' are numbers or texts, not {dtype}")));
        }
        if coordinates.len() != dimension.len {
            let (len, given) = (dimension.len, coordinates.len());
            return Err(request(format!("dimension '{name}' has the length {len}, and {given} coordinates")));
        }
        if dimension.coordinates.replace(coordinates).is_some() {
            return Err(request(format!("the coordinates of dimension '{name}' are given twice")));
        }
        Ok(())
    }
}

fn can_be_coordinates(dtype: Dtype) -> bool {
    dtype.is_whole() || dtype.is_float() || dtype.is_text()
}

fn check_name(name: &str) -> Result<(), ErrorKind> {
    refuse_reserved(name)?;
    if name.is_empty() || name == "." || name.contains(['/', '\0']) {
        return Err(request(format!("'{}' cannot be the name of a dimension", name.escape_debug())));
    }
    Ok(())
}

pub(super) fn request(text: String) -> ErrorKind {
    ErrorKind::BadRequest(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> NewTable {
        let column = |name, shape: &[u64]| ColumnSpec::new(name, Dtype::F64, shape);
        NewTable::new("t", 5, vec![column("time", &[]), column("F", &[4, 3]), column("stress", &[3, 2])])
    }

    fn names(column: &str, names: &[&str]) -> (String, Vec<String>) {
        (column.to_owned(), names.iter().map(|&name| name.to_owned()).collect())
    }

    fn with(change: impl FnOnce(&mut NewDimensions)) -> NewTable {
        let columns = vec![names("F", &["atom", "xyz"]), names("stress", &["xyz", "side"])];
        let rows = Some("time".to_owned());
        let mut new = NewTable { dimensions: NewDimensions { rows, columns, coordinates: Vec::new() }, ..table() };
        change(&mut new.dimensions);
        new
    }

    #[test]
    fn each_dimension_is_there_once() {
        let table = with(|new| new.coordinates.push(Coordinates::texts("side", &["a", "bcd"])));
        let plan = table.plan_dimensions().expect("fits").expect("there are some");
        assert_eq!(plan.rows, "time");
        let inner: Vec<_> = plan.inner.iter().map(|d| (d.name, d.len, d.coordinates.is_some())).collect();
        assert_eq!(inner, [("atom", 4, false), ("xyz", 3, false), ("side", 2, true)]);
        assert_eq!(plan.columns.len(), 3);
        assert_eq!(plan.inner[2].coordinates.map(|c| (c.dtype, c.len())), Some((Dtype::Text(3), 2)));
        assert_eq!(Coordinates::texts("x", &["a"]).dtype, Dtype::Text(2), "one byte would be a character of netCDF");
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let refused = |change: fn(&mut NewDimensions), text: &str| {
            let table = with(change);
            let error = table.check_dimensions().expect_err(text).to_string();
            assert!(error.contains(text), "{error}");
        };
        refused(|new| drop(new.columns.pop()), "name all axes");
        refused(|new| new.columns[0].1[0] = "xyz".to_owned(), "two axes of column 'F'");
        refused(|new| new.columns[1] = names("stress", &["atom", "xyz"]), "the lengths 4 and 3");
        refused(|new| new.columns[0].1[0] = "time".to_owned(), "is the dimension of rows");
        refused(|new| new.columns[0].1[0] = "stress".to_owned(), "cannot be a column and a dimension");
        refused(|new| new.columns[0].1[0] = "a/b".to_owned(), "cannot be the name");
        refused(|new| new.columns[0].1[0] = "h5part_x".to_owned(), "h5part_x");
        refused(|new| new.rows = Some("F".to_owned()), "one number or text per row");
        refused(|new| new.columns.push(names("E", &["x"])), "which is not a column");
        refused(|new| new.columns.push(names("F", &["x", "y"])), "named twice");
        refused(|new| new.coordinates.push(Coordinates::texts("time", &["a"])), "add one of the name 'time'");
        refused(|new| new.coordinates.push(Coordinates::texts("other", &["a"])), "not a dimension of any column");
        refused(|new| new.coordinates.push(Coordinates::texts("atom", &["a"])), "has the length 4, and 1 coordinates");
        let twice = |new: &mut NewDimensions| new.coordinates = vec![Coordinates::texts("side", &["a", "b"]); 2];
        refused(twice, "given twice");
    }
}
