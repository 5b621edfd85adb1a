//! The list of vplanet's options, as `vplanet -H` prints it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// vplanet's description of an option.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OptionHelp {
    /// `Double`, `String`, ...
    pub kind: Option<String>,
    /// The unit of negative values.
    pub custom_unit: Option<String>,
    /// For example `length^2/time`.
    pub dimension: Option<String>,
    /// Its default.
    pub default: Option<String>,
}

/// Options by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options(BTreeMap<String, OptionHelp>);

impl Options {
    /// Parses the output of `vplanet -H`. Everything except tables of options is skipped.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut options = BTreeMap::new();
        let mut current: Option<&mut OptionHelp> = None;
        for line in text.lines().take_while(|line| !line.starts_with("Output Parameters")) {
            let mut cells = line.strip_prefix('|').unwrap_or_default().split('|').map(str::trim);
            let key = cells.next().unwrap_or_default();
            if let Some(name) = key.strip_prefix("**").and_then(|key| key.strip_suffix("**")) {
                current = Some(options.entry(name.to_owned()).or_default());
                continue;
            }
            let Some(option) = current.as_deref_mut() else { continue };
            let field = match key {
                "Type" => &mut option.kind,
                "Custom unit" => &mut option.custom_unit,
                "Dimension(s)" => &mut option.dimension,
                "Default value" => &mut option.default,
                _ => continue,
            };
            *field = cells.nth(1).map(str::to_owned);
        }
        Self(options)
    }

    /// The description of an option.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&OptionHelp> {
        self.0.get(name)
    }

    /// Number of options.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no options.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// An option's default.
    pub(super) fn default_of(&self, name: &str) -> &str {
        self.get(name).and_then(|option| option.default.as_deref()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_options_are_read_and_those_of_outputs_are_not() {
        let text = "Input Options\n-----\n\n\
            +--------+\n| **dMass**                 |\n+----+----+\n| Description     || Mass        |\n+--+--+\n\
            | Type            || Double      |\n| Custom unit     || Mearth   |\n| Dimension(s)    || mass |\n\
            | Default value   || 1 Earth Mass  |\n\n| **sName**   |\n| Type            || String |\n\
            Output Parameters\n| **Mass**  |\n| Custom unit     || kg |\n";
        let options = Options::parse(text);
        let some = |text: &str| Some(text.to_owned());
        let mass = OptionHelp {
            kind: some("Double"),
            custom_unit: some("Mearth"),
            dimension: some("mass"),
            default: some("1 Earth Mass"),
        };
        assert_eq!((options.get("dMass"), options.len()), (Some(&mass), 2));
        assert_eq!(options.get("sName").expect("there").kind, some("String"));
        assert!(Options::parse("vplanet: command not found").is_empty());
    }
}
