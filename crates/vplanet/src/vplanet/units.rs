//! Determines the unit of an option's value.

use super::input::InputFile;
use super::options::{OptionHelp, Options};

/// Which unit is attached to an option's value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnitRule {
    /// As `BigPlanet` does: negative values, too, get the units that the files choose. It searches all lines for these
    /// choices, including comments.
    #[default]
    BigPlanet,
    /// As vplanet understands it: a negative value of an option with a custom unit is in that unit, and only options
    /// choose units, not comments.
    Vplanet,
}

/// Dimensions, with the option that chooses the unit of each.
const CHOICES: [(&str, &str); 5] = [
    ("length", "sUnitLength"),
    ("angle", "sUnitAngle"),
    ("temperature", "sUnitTemp"),
    ("mass", "sUnitMass"),
    ("time", "sUnitTime"),
];
const NONE: &str = "nd";

impl UnitRule {
    /// The unit of `value`, which `file` gives for the option `key`.
    #[must_use]
    pub fn unit(self, key: &str, value: &str, file: &InputFile, primary: &InputFile, options: &Options) -> String {
        let help = options.get(key);
        if let Some(custom) = help.and_then(|help| self.custom(help, value)) {
            return custom.to_owned();
        }
        let Some(dimension) = help.and_then(|help| help.dimension.as_deref()).filter(|d| *d != NONE) else {
            return NONE.to_owned();
        };
        let mut unit =
            dimension.replace("pressure", "(mass*length^-1*time^-2)").replace("energy", "(mass*length^2*time^-2)");
        let (own, general) = (self.choices(file, true), self.choices(primary, false));
        for (dimension, chosen) in own.into_iter().chain(general) {
            unit = unit.replace(dimension, chosen);
        }
        for (dimension, option) in CHOICES {
            unit = unit.replace(dimension, options.default_of(option));
        }
        unit
    }

    fn custom<'h>(self, help: &'h OptionHelp, value: &str) -> Option<&'h str> {
        let negative = value.parse::<f64>().is_ok_and(|value| value < 0.0);
        help.custom_unit.as_deref().filter(|_| self == Self::Vplanet && negative)
    }

    /// The units that a file chooses, in order. `own`: the file that contains the option.
    fn choices(self, file: &InputFile, own: bool) -> Vec<(&'static str, &str)> {
        let mut choices = Vec::new();
        match self {
            Self::Vplanet => {
                for option in &file.options {
                    choices.extend(
                        CHOICES.iter().filter(|(_, key)| option.key == *key).map(|(d, _)| (*d, option.first())),
                    );
                }
            }
            Self::BigPlanet => {
                for line in if own { until_last(&file.lines) } else { &file.lines } {
                    let chosen = line.split_whitespace().nth(1);
                    let here = CHOICES.iter().filter(|(_, key)| line.contains(key));
                    choices.extend(here.filter_map(|(dimension, _)| Some((*dimension, chosen?))));
                }
            }
        }
        choices
    }
}

/// `BigPlanet` proceeds to the primary file at the first line that equals the last line.
fn until_last(lines: &[String]) -> &[String] {
    let like_last = lines.iter().position(|line| Some(line) == lines.last());
    like_last.and_then(|k| lines.get(..=k)).unwrap_or(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELP: &str = "| **dMass** |\n| Type || Double |\n| Custom unit || Mearth |\n| Dimension(s) || mass |\n\
        | **dFlux** |\n| Dimension(s) || energy/length^2/time |\n| **dEcc** |\n| Dimension(s) || nd |\n\
        | **sUnitMass** |\n| Default value || grams |\n| **sUnitLength** |\n| Default value || cm |\n\
        | **sUnitTime** |\n| Default value || Seconds |\n";

    fn unit(rule: UnitRule, key: &str, value: &str, file: &str, primary: &str) -> String {
        rule.unit(key, value, &InputFile::parse(file), &InputFile::parse(primary), &Options::parse(HELP))
    }

    #[test]
    fn the_file_chooses_before_the_primary_file_before_the_default() {
        for rule in [UnitRule::BigPlanet, UnitRule::Vplanet] {
            let unit = |key, file, primary| unit(rule, key, "1", file, primary);
            assert_eq!(unit("dMass", "sUnitMass kg\n", "sUnitMass solar\n"), "kg");
            assert_eq!(unit("dMass", "x 1\n", "sUnitMass solar\n"), "solar");
            assert_eq!(unit("dFlux", "x 1", "sUnitTime yr\n"), "(grams*cm^2*yr^-2)/cm^2/yr");
            assert_eq!((unit("dEcc", "x", "").as_str(), unit("dNew", "x", "").as_str()), ("nd", "nd"));
        }
    }

    #[test]
    fn custom_units_are_for_negative_values_and_only_where_they_are_asked_for() {
        let unit = |rule, value| unit(rule, "dMass", value, "dMass 1\n", "sUnitMass solar\n");
        assert_eq!(unit(UnitRule::BigPlanet, "-1.0"), "solar");
        assert_eq!(
            (unit(UnitRule::Vplanet, "-1.0"), unit(UnitRule::Vplanet, "1e-3")),
            ("Mearth".into(), "solar".into())
        );
    }

    #[test]
    fn comments_choose_units_only_in_the_way_of_bigplanet() {
        let unit = |rule| unit(rule, "dMass", "1", "#sUnitMass kg\n", "sUnitMass solar\n");
        assert_eq!((unit(UnitRule::BigPlanet), unit(UnitRule::Vplanet)), ("kg".into(), "solar".into()));
    }
}
