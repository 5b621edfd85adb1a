//! Keys of datasets: `<body>:<variable>:<aggregation>`.

use super::statistics::Statistic;
use h5part_base::error::ErrorKind;

/// What a key asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A value of a trial: `initial`, `final`, `option`.
    Value,
    /// A series: `forward`, `backward`, `climate`; or the seasons, which have two axes.
    Series,
    /// A statistic of a forward series.
    Statistic(Statistic),
    /// The order of an output's columns.
    Order,
}

/// A key, with the dataset that it selects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The key as it was given.
    pub name: String,
    /// The dataset.
    pub dataset: String,
    /// What it selects.
    pub kind: Kind,
}

impl Key {
    /// Reads a key.
    ///
    /// # Errors
    /// [`ErrorKind::BadRequest`]
    pub fn parse(name: &str) -> Result<Self, ErrorKind> {
        let bad = || {
            let text = "use BODY:VARIABLE:initial, :final, :option, :forward, :backward, :climate, :mean, :stddev, :min, :max, :mode or :geomean";
            ErrorKind::BadRequest(format!("bad key '{name}': {text}"))
        };
        let parts: Vec<&str> = name.split(':').collect();
        let (kind, dataset) = match parts.as_slice() {
            [_, "OutputOrder" | "GridOutputOrder"] => (Kind::Order, name.to_owned()),
            [_, _, "initial" | "final" | "option"] => (Kind::Value, name.to_owned()),
            [_, _] | [_, _, "forward" | "backward" | "climate"] => (Kind::Series, name.to_owned()),
            [body, variable, word] => {
                let statistic = Statistic::of_word(word).ok_or_else(bad)?;
                (Kind::Statistic(statistic), format!("{body}:{variable}:forward"))
            }
            _ => return Err(bad()),
        };
        Ok(Self { name: name.to_owned(), dataset, kind })
    }

    /// Parses keys. A key that occurs twice counts once.
    ///
    /// # Errors
    /// As [`Key::parse`]; an error if there are no keys.
    pub fn parse_all(names: &[String]) -> Result<Vec<Self>, ErrorKind> {
        let mut keys: Vec<Self> = Vec::new();
        for name in names {
            let key = Self::parse(name)?;
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        if keys.is_empty() {
            return Err(ErrorKind::BadRequest("it has no saKeyInclude, which names what to filter".to_owned()));
        }
        Ok(keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_name_datasets() {
        let of = |name: &str| Key::parse(name).map(|key| (key.kind, key.dataset)).map_err(|e| e.to_string());
        let some = |kind, name: &str| Ok((kind, name.to_owned()));
        assert_eq!(of("e:T:final"), some(Kind::Value, "e:T:final"));
        assert_eq!(of("e:OutputOrder"), some(Kind::Order, "e:OutputOrder"));
        assert_eq!(of("e:T:stddev"), some(Kind::Statistic(Statistic::Deviation), "e:T:forward"));
        assert_eq!(of("e:DailyInsol"), some(Kind::Series, "e:DailyInsol"));
        for bad in ["e", "e:T:median", "a:b:c:final", ""] {
            assert!(of(bad).expect_err(bad).contains("bad key"));
        }
    }
}
