//! Chemical elements by number and symbol.

use h5part_base::error::ErrorKind;
use mendeleev::Element;

/// Atomic number of a symbol, or of a number as text.
///
/// # Errors
/// [`ErrorKind::BadValues`].
pub fn atomic_number(symbol: &str) -> Result<i64, ErrorKind> {
    let found = Element::list().iter().find(|e| e.symbol() == symbol || e.atomic_number().to_string() == symbol);
    found
        .map(|element| i64::from(element.atomic_number()))
        .ok_or_else(|| ErrorKind::bad_values(format!("'{symbol}' is not a chemical element")))
}

/// Standard atomic weight in u, or the conventional one if it is an interval. For elements without a stable isotope,
/// the mass number of the longest-lived one.
///
/// # Errors
/// [`ErrorKind::BadValues`].
pub fn mass(number: i64) -> Result<f64, ErrorKind> {
    let found = Element::list().iter().find(|e| i64::from(e.atomic_number()) == number);
    found
        .map(|element| f64::from(element.atomic_weight()))
        .ok_or_else(|| ErrorKind::bad_values(format!("{number} is not an atomic number")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_known_by_symbol_and_number() {
        assert_eq!(
            (atomic_number("H").ok(), atomic_number("Si").ok(), atomic_number("118").ok()),
            (Some(1), Some(14), Some(118))
        );
        assert_eq!((mass(1).ok(), mass(6).ok(), mass(8).ok()), (Some(1.008), Some(12.011), Some(15.999)));
        for bad in ["", "Xx", "si", "0", "119", "-1"] {
            assert!(atomic_number(bad).is_err(), "{bad}");
        }
        assert!(mass(0).is_err() && mass(119).is_err() && mass(-1).is_err());
    }
}
