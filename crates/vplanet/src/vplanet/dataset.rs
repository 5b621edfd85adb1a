//! The output of a trial, as a list of datasets.

use h5part_base::error::ErrorKind;
use h5part_engine::store::{Bundle, Content, Member};
use std::collections::HashMap;

/// The attribute of every dataset.
pub const UNITS: &str = "Units";

/// One dataset.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// `<body>:<variable>:<aggregation>`
    pub name: String,
    /// The value of the attribute [`UNITS`].
    pub units: String,
    /// Its values.
    pub content: Content,
}

/// The output of one trial, or of several combined.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// Its name.
    pub name: String,
    datasets: Vec<Dataset>,
    places: HashMap<String, usize>,
}

impl Trial {
    /// A trial of this name, without datasets.
    #[must_use]
    pub fn new(name: String) -> Self {
        Self { name, datasets: Vec::new(), places: HashMap::new() }
    }

    /// The datasets in the order in which they were found.
    #[must_use]
    pub fn datasets(&self) -> &[Dataset] {
        &self.datasets
    }

    /// The dataset of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Dataset> {
        self.datasets.get(*self.places.get(name)?)
    }

    /// Whether there is a dataset of this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    /// A trial from a store.
    #[must_use]
    pub fn of_bundle(name: String, bundle: Bundle) -> Self {
        let units = |member: &Member| member.attributes.iter().find(|(name, _)| name == UNITS).map(|(_, u)| u.clone());
        let sets = bundle.members.into_iter();
        let datasets: Vec<Dataset> = sets
            .map(|member| Dataset {
                units: units(&member).unwrap_or_default(),
                name: member.name,
                content: member.content,
            })
            .collect();
        let places = datasets.iter().enumerate().map(|(place, set)| (set.name.clone(), place)).collect();
        Self { name, datasets, places }
    }

    /// The datasets as a bundle for a store.
    #[must_use]
    pub fn into_bundle(self) -> Bundle {
        let units = |units| vec![(UNITS.to_owned(), units)];
        let member = |set: Dataset| Member { name: set.name, content: set.content, attributes: units(set.units) };
        Bundle { members: self.datasets.into_iter().map(member).collect() }
    }

    /// Adds a dataset. If the name exists, its values are appended along the first axis.
    ///
    /// # Errors
    /// [`ErrorKind::BadValues`]: they do not fit.
    pub fn push(&mut self, new: Dataset) -> Result<(), ErrorKind> {
        let Some(there) = self.places.get(&new.name).and_then(|&place| self.datasets.get_mut(place)) else {
            self.places.insert(new.name.clone(), self.datasets.len());
            self.datasets.push(new);
            return Ok(());
        };
        extend(&mut there.content, new.content)
            .map_err(|why| ErrorKind::bad_values(format!("'{}' has {why}", new.name)))
    }
}

/// One text.
pub fn text(text: impl Into<String>) -> Content {
    Content::Texts { shape: vec![1], values: vec![text.into()] }
}

/// A series of numbers, as one row.
pub fn row(values: Vec<f64>) -> Content {
    Content::Floats { shape: vec![1, values.len() as u64], values }
}

/// An empty list of numbers.
pub fn nothing() -> Content {
    Content::Floats { shape: vec![0], values: Vec::new() }
}

/// Appends values along the first axis.
fn extend(there: &mut Content, new: Content) -> Result<(), String> {
    let text = |shape: &[u64]| shape.iter().map(u64::to_string).collect::<Vec<_>>().join("x");
    if let (Content::Floats { shape, .. }, Content::Floats { .. }) = (&*there, &new)
        && *shape == [0]
    {
        *there = new;
        return Ok(());
    }
    let (shape, more) = match (there, new) {
        (Content::Texts { shape, values }, Content::Texts { shape: more, values: new })
            if shape.get(1..) == more.get(1..) =>
        {
            values.extend(new);
            (shape, more)
        }
        (Content::Floats { shape, values }, Content::Floats { shape: more, values: new })
            if shape.get(1..) == more.get(1..) =>
        {
            values.extend(new);
            (shape, more)
        }
        (there, new) => return Err(format!("shape {} here but {} before", text(new.shape()), text(there.shape()))),
    };
    if let (Some(rows), Some(more)) = (shape.first_mut(), more.first()) {
        *rows += more;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(shape: &[u64], values: &[f64]) -> Dataset {
        let content = Content::Floats { shape: shape.to_vec(), values: values.to_vec() };
        Dataset { name: "e:T:forward".to_owned(), units: "K".to_owned(), content }
    }

    #[test]
    fn values_of_one_name_come_one_behind_the_other() {
        let mut trial = Trial::new("t".to_owned());
        trial.push(Dataset { content: nothing(), ..numbers(&[], &[]) }).expect("none yet");
        trial.push(numbers(&[1, 2], &[1.0, 2.0])).expect("the first row");
        trial.push(numbers(&[1, 2], &[3.0, 4.0])).expect("another");
        assert_eq!(trial.get("e:T:forward").expect("there"), &numbers(&[2, 2], &[1.0, 2.0, 3.0, 4.0]));
        let longer = trial.push(numbers(&[1, 3], &[0.0; 3])).expect_err("it is longer");
        assert!(longer.to_string().contains("'e:T:forward' has shape 1x3 here but 2x2 before"), "{longer}");
    }
}
