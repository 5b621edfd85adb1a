//! Decides which frames to compute, and by which process. Pure.

use super::status::FrameStatus;
use h5part_base::dataspace::Rows;
use h5part_base::error::{ErrorKind, RowsFault};
use std::str::FromStr;

/// One of several parts of the frames: part `index` of `of`, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    index: u64,
    of: u64,
}

impl Chunk {
    /// Part `index` of `of`, counted from 1.
    ///
    /// # Errors
    /// [`ErrorKind::BadRequest`] unless 1 <= `index` <= `of`.
    pub fn new(index: u64, of: u64) -> Result<Self, ErrorKind> {
        if index == 0 || index > of {
            return Err(ErrorKind::BadRequest(format!("chunk {index}/{of}: chunks are counted from 1 to {of}")));
        }
        Ok(Self { index, of })
    }

    /// The chunk of a SLURM job array's task, from `SLURM_ARRAY_TASK_ID`, `_MIN`, `_MAX` and `_COUNT`. The first task
    /// gets the first chunk, whatever the first number and the step of the array are.
    ///
    /// # Errors
    /// [`ErrorKind::BadRequest`]: there is no job array, or its numbers are not evenly spaced.
    pub fn of_slurm(environment: impl Fn(&str) -> Option<String>) -> Result<Self, ErrorKind> {
        let get = |name: &str| {
            let name = format!("SLURM_ARRAY_TASK_{name}");
            let unset = || ErrorKind::BadRequest(format!("{name} is not set: this is not a task of a job array"));
            let text = environment(&name).ok_or_else(unset)?;
            text.trim().parse::<u64>().map_err(|_| ErrorKind::BadRequest(format!("{name} is '{text}', not a number")))
        };
        let (id, min, max, count) = (get("ID")?, get("MIN")?, get("MAX")?, get("COUNT")?);
        let place = || {
            let (after, span) = (id.checked_sub(min)?, max.checked_sub(min)?);
            let step = if count == 1 { 1 } else { span.checked_div(count.checked_sub(1)?)? };
            let even = step > 0 && (count - 1).checked_mul(step) == Some(span) && after % step == 0;
            even.then(|| after / step + 1)
        };
        let uneven = || {
            let text = "the numbers of the job array are not evenly spaced, so they do not identify chunks";
            ErrorKind::BadRequest(format!("{text} ({count} from {min} to {max}): say which with i/n"))
        };
        Self::new(place().ok_or_else(uneven)?, count)
    }

    /// Its part of `len` frames. Parts are contiguous, differ by at most one frame, and the longer ones come first.
    #[must_use]
    pub fn part(self, len: u64) -> std::ops::Range<u64> {
        let (each, more) = (len / self.of, len % self.of);
        let before = self.index - 1;
        let start = before * each + before.min(more);
        start..start + each + u64::from(before < more)
    }
}

impl FromStr for Chunk {
    type Err = ErrorKind;

    /// Parses `i/n`.
    fn from_str(text: &str) -> Result<Self, ErrorKind> {
        let parsed = text.split_once('/').and_then(|(index, of)| Some((index.parse().ok()?, of.parse().ok()?)));
        let bad = || ErrorKind::BadRequest(format!("'{text}' is not a chunk: expected i/n, such as 1/8"));
        let (index, of) = parsed.ok_or_else(bad)?;
        Self::new(index, of)
    }
}

/// The frames to compute: the selection (all frames if there is none), reduced to the chunk, without those for which
/// `is_done` is true. The chunk comes first, so that processes have no frames in common, whenever each of them asks.
///
/// # Errors
/// [`crate::ErrorKind::FrameOutOfRange`], [`crate::ErrorKind::DuplicateFrame`], both for the selection.
pub fn selected_frames(
    frames: u64,
    selection: Option<&Rows>,
    chunk: Option<Chunk>,
    is_done: impl Fn(u64) -> bool,
) -> Result<Vec<u64>, ErrorKind> {
    let all = Rows::range(0..frames);
    let mut pool = selection.unwrap_or(&all).clone();
    if !pool.is_empty() {
        check_frames(&pool, frames)?;
    }
    if let Some(chunk) = chunk {
        let part = chunk.part(pool.len());
        pool = pool.slice(part.start, part.end - part.start);
    }
    let mut left: Vec<u64> = pool.iter().filter(|&frame| !is_done(frame)).collect();
    left.sort_unstable();
    Ok(left)
}

/// Checks that each frame exists and is named once.
///
/// # Errors
/// [`crate::ErrorKind::FrameOutOfRange`], [`crate::ErrorKind::DuplicateFrame`], [`ErrorKind::BadRows`] if it is empty.
pub fn check_frames(selection: &Rows, frames: u64) -> Result<(), ErrorKind> {
    if selection.is_empty() {
        return Err(ErrorKind::BadRows(RowsFault::Empty));
    }
    selection.check(frames).and_then(|()| selection.runs().map(drop)).map_err(of_frames)
}

/// Rewords an error on rows of the table as one on frames.
#[must_use]
pub fn of_frames(kind: ErrorKind) -> ErrorKind {
    match kind {
        ErrorKind::RowOutOfRange { row, rows } => crate::ErrorKind::FrameOutOfRange { frame: row, frames: rows }.into(),
        ErrorKind::BadRows(RowsFault::Twice(row)) => crate::ErrorKind::DuplicateFrame(row).into(),
        other => other,
    }
}

/// [`selected_frames`] by status: frames that are not completed, or all with `overwrite`.
///
/// # Errors
/// As [`selected_frames`].
pub fn frames_to_compute(
    statuses: &[FrameStatus],
    selection: Option<&Rows>,
    chunk: Option<Chunk>,
    overwrite: bool,
) -> Result<Vec<u64>, ErrorKind> {
    let completed = |frame: u64| {
        let status = usize::try_from(frame).ok().and_then(|k| statuses.get(k));
        !overwrite && status.is_some_and(|status| status.is_completed())
    };
    selected_frames(statuses.len() as u64, selection, chunk, completed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn chunks_are_read() {
        assert_eq!("3/8".parse::<Chunk>().expect("reads"), Chunk { index: 3, of: 8 });
        for bad in ["0/8", "9/8", "1/0", "1", "/", "a/b", "-1/2", "1/2/3", ""] {
            assert!(matches!(bad.parse::<Chunk>(), Err(ErrorKind::BadRequest(_))), "{bad}");
        }
    }

    #[test]
    fn tasks_of_job_arrays_are_chunks() {
        let slurm = |id: u64, min: u64, max: u64, count: u64| {
            Chunk::of_slurm(|name| {
                let value = match name.strip_prefix("SLURM_ARRAY_TASK_")? {
                    "ID" => id,
                    "MIN" => min,
                    "MAX" => max,
                    _ => count,
                };
                Some(value.to_string())
            })
        };
        assert_eq!(slurm(1, 1, 8, 8).expect("1-8"), Chunk { index: 1, of: 8 });
        assert_eq!(slurm(7, 0, 7, 8).expect("0-7"), Chunk { index: 8, of: 8 });
        assert_eq!(slurm(30, 10, 50, 5).expect("10-50:10"), Chunk { index: 3, of: 5 });
        assert_eq!(slurm(3, 3, 3, 1).expect("3"), Chunk { index: 1, of: 1 });
        for (id, min, max, count) in
            [(2, 1, 7, 3), (2, 1, 6, 3), (5, 1, 4, 4), (0, 1, 4, 4), (1, 4, 1, 4), (1, 1, 1, 0)]
        {
            assert!(slurm(id, min, max, count).is_err(), "{id} of {min} to {max}, {count}");
        }
        let said = Chunk::of_slurm(|_| Some("a".to_owned())).expect_err("no number").to_string();
        assert!(said.contains("SLURM_ARRAY_TASK_ID is 'a', not a number"), "{said}");
        assert!(Chunk::of_slurm(|_| None).is_err_and(|e| e.to_string().contains("SLURM_ARRAY_TASK_ID")));
    }

    #[test]
    fn what_is_left() {
        use FrameStatus::{Completed, Failed, Undefined};
        let statuses = [Completed, Undefined, Failed, Completed, Undefined];
        let left = |selection: Option<&str>, chunk: Option<&str>, overwrite: bool| {
            let rows = selection.map(|text| Rows::parse(text, 5)).transpose().map_err(of_frames)?;
            frames_to_compute(&statuses, rows.as_ref(), chunk.map(str::parse).transpose()?, overwrite)
        };
        assert_eq!(left(None, None, false).expect("left"), [1, 2, 4]);
        assert_eq!(left(None, None, true).expect("left"), [0, 1, 2, 3, 4]);
        assert_eq!(left(None, Some("1/2"), false).expect("left"), [1, 2], "of 0, 1, 2");
        assert_eq!(left(None, Some("2/2"), false).expect("left"), [4], "of 3, 4");
        assert_eq!(left(Some("4,2,0"), Some("1/2"), false).expect("left"), [2, 4]);
        assert_eq!(left(None, Some("9/9"), false).expect("left"), [0; 0]);
        assert!(
            matches!(left(Some("1,1"), None, false), Err(e) if matches!(e.of(), Some(crate::ErrorKind::DuplicateFrame(1))))
        );
        assert!(
            matches!(left(Some("1,7"), None, false), Err(e) if matches!(e.of(), Some(crate::ErrorKind::FrameOutOfRange { frame: 7, frames: 5 })))
        );
    }

    proptest! {
        /// As with `numpy.array_split`, the first `len % n` parts have one frame more.
        #[test]
        fn chunks_part_all_frames_evenly(len in 0u64..200, of in 1u64..30) {
            let parts: Vec<_> = (1..=of).map(|index| Chunk { index, of }.part(len)).collect();
            prop_assert_eq!(parts.iter().flat_map(Clone::clone).collect::<Vec<_>>(), (0..len).collect::<Vec<_>>());
            let sizes: Vec<u64> = parts.iter().map(|part| part.end - part.start).collect();
            let expected: Vec<u64> = (0..of).map(|k| len / of + u64::from(k < len % of)).collect();
            prop_assert_eq!(sizes, expected);
        }
    }
}
