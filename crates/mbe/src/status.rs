//! The result of computing a frame.

use h5part_base::dataspace::Rows;
use h5part_base::error::ErrorKind;
use std::fmt;
use std::str::FromStr;

/// Status of a frame at one level of theory, an i64 in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FrameStatus {
    /// 0: its values are complete.
    Completed,
    /// 1: its values are unknown. A frame also has this status while its values are written.
    Undefined,
    /// 2: the self-consistent field did not converge.
    ScfNotConverged,
    /// 3: the calculation failed.
    Failed,
    /// A number without a name here. It counts as not completed.
    Other(i64),
}

impl FrameStatus {
    /// The statuses with names.
    pub const NAMED: [Self; 4] = [Self::Completed, Self::Undefined, Self::ScfNotConverged, Self::Failed];

    /// Its number in the file.
    #[must_use]
    pub const fn number(self) -> i64 {
        match self {
            Self::Completed => 0,
            Self::Undefined => 1,
            Self::ScfNotConverged => 2,
            Self::Failed => 3,
            Self::Other(number) => number,
        }
    }

    /// Whether the frame's values are complete.
    #[must_use]
    pub fn is_completed(self) -> bool {
        self == Self::Completed
    }
}

impl From<i64> for FrameStatus {
    fn from(number: i64) -> Self {
        Self::NAMED.into_iter().find(|status| status.number() == number).unwrap_or(Self::Other(number))
    }
}

impl fmt::Display for FrameStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Completed => f.write_str("COMPLETED"),
            Self::Undefined => f.write_str("UNDEFINED"),
            Self::ScfNotConverged => f.write_str("SCF_NOT_CONVERGED"),
            Self::Failed => f.write_str("FAILED"),
            Self::Other(number) => write!(f, "{number}"),
        }
    }
}

impl FromStr for FrameStatus {
    type Err = String;

    /// Parses a name in any case, or a number.
    fn from_str(text: &str) -> Result<Self, String> {
        let named = Self::NAMED.into_iter();
        let mut named = named.filter(|s| s.to_string().eq_ignore_ascii_case(text) || s.number().to_string() == text);
        named.next().ok_or_else(|| format!("'{text}' is not a status: expected one of {}", named_ones()))
    }
}

/// `COMPLETED (0), ...`.
fn named_ones() -> String {
    FrameStatus::NAMED.map(|status| format!("{status} ({})", status.number())).join(", ")
}

/// Checks that the statuses to save (one for all frames, or one per frame) have names, since Python knows no others.
///
/// # Errors
/// [`ErrorKind::BadValues`], with frame and number.
pub fn check_statuses(frames: &Rows, statuses: &[FrameStatus]) -> Result<(), ErrorKind> {
    let unnamed = |status: &FrameStatus| matches!(status, FrameStatus::Other(_));
    let Some(place) = statuses.iter().position(unnamed) else { return Ok(()) };
    let frame = frames.iter().nth(place).map_or_else(String::new, |frame| format!(" of frame {frame}"));
    let text = format!("the status{frame} is {}; expected one of {}", statuses[place], named_ones());
    Err(ErrorKind::bad_values(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_and_back() {
        for (number, status) in (0..).zip(FrameStatus::NAMED) {
            assert_eq!((FrameStatus::from(number), status.number()), (status, number));
            assert_eq!(status.to_string().to_lowercase().parse(), Ok(status));
            assert_eq!(number.to_string().parse(), Ok(status));
        }
        assert_eq!(FrameStatus::from(-7), FrameStatus::Other(-7));
        assert!("4".parse::<FrameStatus>().is_err() && "done".parse::<FrameStatus>().is_err());
        assert!(!FrameStatus::Other(4).is_completed() && FrameStatus::Completed.is_completed());
    }
}
