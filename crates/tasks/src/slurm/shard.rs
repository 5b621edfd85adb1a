//! Which share of the work a process of a job has. Pure, but for the environment.

use h5part_base::error::ErrorKind;

/// What a script tells its elements: the number of all shards.
pub(super) const SHARDS: &str = "H5PART_SHARDS";
/// And the first one of its array.
pub(super) const FIRST_SHARD: &str = "H5PART_FIRST_SHARD";

/// A share of work that is divided into equal parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// From 0.
    pub index: u64,
    /// Number of shards.
    pub count: u64,
}

impl Shard {
    /// That of this process, by the environment that SLURM sets: an element of a job array has its place among the
    /// elements. Under `srun` with several tasks, each task has its place within its element. Outside SLURM it is the
    /// whole.
    ///
    /// `elements` is the number of elements of the whole array. It is needed where only some elements of an array are
    /// submitted again (`--array=3,7`), since SLURM then counts those only. Scripts of [`submit_shards`] know it.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NoShard`]: the variables contradict each other.
    ///
    /// [`submit_shards`]: super::submit_shards
    pub fn of_job(elements: Option<u64>) -> Result<Self, ErrorKind> {
        Self::told(elements, |name| std::env::var(name).ok())
    }

    /// The same, by other variables than those of this process.
    ///
    /// # Errors
    /// As [`Shard::of_job`].
    pub fn told(elements: Option<u64>, variable: impl Fn(&str) -> Option<String>) -> Result<Self, ErrorKind> {
        let number = |name: &str| number(name, variable(name));
        let element = element(elements, &number)?;
        let mut tasks = number("SLURM_STEP_NUM_TASKS")?;
        if tasks.is_none() && variable("SLURM_STEP_ID").is_some() {
            tasks = number("SLURM_NTASKS")?;
        }
        // In the script itself, outside srun, there is one process, whatever SLURM_NTASKS says.
        let (Some(tasks), Some(task)) = (tasks.filter(|&tasks| tasks > 1), number("SLURM_PROCID")?) else {
            return Ok(element);
        };
        if !(0..tasks).contains(&task) {
            return Err(none(format!("SLURM_PROCID is {task}, of {tasks} tasks")));
        }
        let (task, tasks) = (task.unsigned_abs(), tasks.unsigned_abs());
        let index = element.index.saturating_mul(tasks).saturating_add(task);
        Ok(Self { index, count: element.count.saturating_mul(tasks) })
    }
}

/// Whether this process is an element of an array of [`submit_shards`](super::submit_shards).
#[must_use]
pub fn is_worker() -> bool {
    std::env::var_os(SHARDS).is_some()
}

fn element(elements: Option<u64>, number: &dyn Fn(&str) -> Result<Option<i64>, ErrorKind>) -> Result<Shard, ErrorKind> {
    let Some(place) = number("SLURM_ARRAY_TASK_ID")? else { return Ok(Shard { index: 0, count: 1 }) };
    let (index, count) = match (elements, number(SHARDS)?) {
        (Some(elements), _) => (place, i64::try_from(elements).unwrap_or(i64::MAX)),
        (None, Some(shards)) => (place.saturating_add(number(FIRST_SHARD)?.unwrap_or(0)), shards),
        (None, None) => in_array(place, number)?,
    };
    if !(0..count).contains(&index) {
        return Err(none(format!("element {index} is not one of {count}, which are numbered from 0")));
    }
    Ok(Shard { index: index.unsigned_abs(), count: count.unsigned_abs() })
}

/// The place in an array of regular steps, by what SLURM says of it.
fn in_array(place: i64, number: &dyn Fn(&str) -> Result<Option<i64>, ErrorKind>) -> Result<(i64, i64), ErrorKind> {
    let first = number("SLURM_ARRAY_TASK_MIN")?.unwrap_or(0);
    let step = number("SLURM_ARRAY_TASK_STEP")?.filter(|&step| step > 0).unwrap_or(1);
    let count = number("SLURM_ARRAY_TASK_COUNT")?.unwrap_or(1);
    let last = number("SLURM_ARRAY_TASK_MAX")?;
    let from = |number: i64| number.saturating_sub(first);
    let is_regular = last.is_none_or(|last| from(last).div_euclid(step) + 1 == count);
    if from(place).rem_euclid(step) != 0 || !is_regular {
        let last = last.map_or_else(|| "?".to_owned(), |last| last.to_string());
        return Err(none(format!(
            "the array has gaps ({count} elements from {first} to {last}); pass the number of elements of the whole array"
        )));
    }
    Ok((from(place).div_euclid(step), count))
}

fn number(name: &str, text: Option<String>) -> Result<Option<i64>, ErrorKind> {
    let text = text.filter(|text| !text.is_empty());
    let bad = |text: &str| none(format!("{name} is '{}', not a number", text.escape_debug()));
    text.map(|text| text.trim().parse().map_err(|_| bad(&text))).transpose()
}

fn none(why: String) -> ErrorKind {
    crate::ErrorKind::NoShard(why).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(elements: Option<u64>, variables: &[(&str, &str)]) -> Result<(u64, u64), String> {
        let find =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Shard::told(elements, find).map(|shard| (shard.index, shard.count)).map_err(|e| e.to_string())
    }

    /// An array of elements `first` to `last` in steps, as SLURM describes it to element `place`.
    fn array(place: i64, first: i64, last: i64, step: i64) -> Vec<(&'static str, String)> {
        let count = (last - first) / step + 1;
        let names = ["ID", "MIN", "MAX", "STEP", "COUNT"].map(|name| match name {
            "ID" => "SLURM_ARRAY_TASK_ID",
            "MIN" => "SLURM_ARRAY_TASK_MIN",
            "MAX" => "SLURM_ARRAY_TASK_MAX",
            "STEP" => "SLURM_ARRAY_TASK_STEP",
            _ => "SLURM_ARRAY_TASK_COUNT",
        });
        names.into_iter().zip([place, first, last, step, count].map(|n| n.to_string())).collect()
    }

    fn in_array(
        elements: Option<u64>,
        array: &[(&'static str, String)],
        more: &[(&str, &str)],
    ) -> Result<(u64, u64), String> {
        let array = array.iter().map(|(name, value)| (*name, value.as_str()));
        told(elements, &more.iter().copied().chain(array).collect::<Vec<_>>())
    }

    #[test]
    fn places_in_arrays() {
        assert_eq!(told(None, &[]), Ok((0, 1)), "outside SLURM it is the whole");
        for (k, place) in [5, 7, 9].into_iter().enumerate() {
            assert_eq!(in_array(None, &array(place, 5, 9, 2), &[]), Ok((k as u64, 3)));
        }
        // --array=0-10:4 ends at 8, whatever MAX says.
        assert_eq!(in_array(None, &array(8, 0, 10, 4), &[]), Ok((2, 3)));
    }

    #[test]
    fn places_among_tasks_of_srun() {
        let step = [("SLURM_STEP_ID", "0"), ("SLURM_STEP_NUM_TASKS", "4"), ("SLURM_PROCID", "3")];
        assert_eq!(told(None, &step), Ok((3, 4)));
        assert_eq!(in_array(None, &array(1, 0, 1, 1), &step), Ok((7, 8)));
        assert_eq!(
            told(None, &[("SLURM_NTASKS", "4"), ("SLURM_PROCID", "0")]),
            Ok((0, 1)),
            "the script is one process"
        );
        assert_eq!(told(None, &[("SLURM_STEP_ID", "0"), ("SLURM_NTASKS", "2"), ("SLURM_PROCID", "1")]), Ok((1, 2)));
    }

    #[test]
    fn elements_that_are_submitted_again() {
        let mut again = array(7, 3, 7, 1);
        again[4].1 = "2".to_owned();
        assert!(in_array(None, &again, &[]).is_err_and(|e| e.contains("the array has gaps")));
        assert_eq!(in_array(Some(10), &again, &[]), Ok((7, 10)));
        assert_eq!(in_array(None, &again, &[(SHARDS, "20"), (FIRST_SHARD, "10")]), Ok((17, 20)));
        assert!(in_array(Some(5), &again, &[]).is_err_and(|e| e.contains("element 7 is not one of 5")));
        assert!(told(None, &[("SLURM_ARRAY_TASK_ID", "x")]).is_err_and(|e| e.contains("not a number")));
    }
}
