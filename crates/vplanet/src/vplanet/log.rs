//! The log of a run (`<system>.log`): properties at the start and at the end, and the columns of the outputs.

use h5part_base::error::ErrorKind;

/// A property: `(Mass) Mass [kg]: 5.972186e+24`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// The body, or `system`.
    pub body: String,
    /// Its name, e.g. `Mass`.
    pub name: String,
    /// `initial` or `final`.
    pub when: &'static str,
    /// Its unit; `nd` if it has none.
    pub unit: String,
    /// The value as in the log.
    pub value: String,
}

/// A column of an output file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderedColumn {
    /// The quantity.
    pub name: String,
    /// Its unit; `nd` if it has none.
    pub unit: String,
}

/// The columns of a body's output: `Output Order: Time[sec] TMan[K]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The body.
    pub body: String,
    /// Whether it describes the climate's grid.
    pub grid: bool,
    /// The columns from left to right.
    pub columns: Vec<OrderedColumn>,
}

/// A log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// Properties in the order of the log.
    pub properties: Vec<Property>,
    /// The first order of each body and kind.
    pub orders: Vec<Order>,
    /// Whether the log has a section about the end of the run.
    pub has_end: bool,
}

const SYSTEM: &str = "system";

impl Log {
    /// Parses a log. `bodies` are names as in the input files; the log omits their dashes.
    ///
    /// # Errors
    /// [`crate::ErrorKind::BadText`]: a line was cut.
    pub fn parse(text: &str, bodies: &[String]) -> Result<Self, ErrorKind> {
        let mut log = Self::default();
        let (mut body, mut when) = (SYSTEM.to_owned(), "");
        for (number, line) in (1..).zip(text.lines().map(str::trim)) {
            let cut = |what: &str| {
                ErrorKind::from(crate::ErrorKind::BadText { line: number, what: format!("{what}: '{line}'") })
            };
            if line.starts_with('-') {
                match Heading::of(line) {
                    Heading::Initial => when = "initial",
                    Heading::Final => {
                        (body, when) = (SYSTEM.to_owned(), "final");
                        log.has_end = true;
                    }
                    Heading::Body(name) => body = bodies.iter().find(|b| bare(b) == name).cloned().unwrap_or(name),
                    Heading::Other => {}
                }
            } else if line.starts_with('(') {
                let property = property(line, &body, when).ok_or_else(|| cut("the property is not whole"))?;
                log.properties.push(property);
            } else if let Some((grid, columns)) = order_line(line) {
                let columns = columns.ok_or_else(|| cut("the order of columns is not whole"))?;
                if !columns.is_empty() && log.order(&body, grid).is_none() {
                    log.orders.push(Order { body: body.clone(), grid, columns });
                }
            }
        }
        Ok(log)
    }

    /// The columns of a body's output, if the log has them.
    #[must_use]
    pub fn order(&self, body: &str, grid: bool) -> Option<&Order> {
        self.orders.iter().find(|order| order.body == body && order.grid == grid)
    }
}

enum Heading {
    Initial,
    Final,
    Body(String),
    Other,
}

/// A name in the form that headings of the log use.
fn bare(text: &str) -> String {
    text.replace(['-', ':'], "").trim().replace(' ', "_")
}

impl Heading {
    fn of(line: &str) -> Self {
        let text = bare(line);
        if text.starts_with("INITIAL_SYSTEM_PROPERTIES") {
            Self::Initial
        } else if text.starts_with("FINAL_SYSTEM_PROPERTIES") {
            Self::Final
        } else if text.starts_with("BODY") {
            Self::Body(text.split_once('_').map_or(text.as_str(), |(_, name)| name).trim().to_owned())
        } else {
            Self::Other
        }
    }
}

fn unit_or_none(unit: &str) -> String {
    if unit.is_empty() { "nd".to_owned() } else { unit.to_owned() }
}

fn property(line: &str, body: &str, when: &'static str) -> Option<Property> {
    let (name, rest) = line.strip_prefix('(')?.split_once(')')?;
    let (_, value) = line.split_once(':')?;
    let unit = rest.rsplit_once('[').and_then(|(_, rest)| Some(rest.rsplit_once(']')?.0)).unwrap_or_default();
    Some(Property {
        body: body.to_owned(),
        name: name.trim().to_owned(),
        when,
        unit: unit_or_none(unit.trim()),
        value: value.trim().to_owned(),
    })
}

/// `None`: the line is about something else. The columns are `None` if the line was cut.
fn order_line(line: &str) -> Option<(bool, Option<Vec<OrderedColumn>>)> {
    let (grid, rest) = match line.strip_prefix("Output Order") {
        Some(rest) => (false, rest),
        None => (true, line.strip_prefix("Grid Output Order")?),
    };
    let (_, columns) = rest.split_once(':')?;
    Some((grid, columns_of(columns.trim())))
}

fn columns_of(text: &str) -> Option<Vec<OrderedColumn>> {
    let mut columns = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (name, after) = rest.split_once('[')?;
        let (unit, after) = after.split_once(']')?;
        columns.push(OrderedColumn { name: name.trim().to_owned(), unit: unit_or_none(unit) });
        rest = after.trim_start();
    }
    Some(columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "-------- Log file a.log -------\n\nSystem Name: a\n\n---- INITIAL SYSTEM PROPERTIES ----\n\
        (Age) System Age [sec]: 0.000000 \n(Ratio) A (dull) one []: -1 \n\n----- BODY: sun ----\nActive Modules: X\n\
        (RotRate) Frequency [/sec]: 7.2e-05 \n\nOutput Order:\nGrid Output Order:\n\n----- BODY: myplanet ----\n\
        ----- X PARAMETERS (my-planet)------\n\nOutput Order: Time[yr] Flux[W/m^2] e[]\n\
        Grid Output Order: Latitude[deg]\n\n---- FINAL SYSTEM PROPERTIES ----\n(Age) System Age [sec]: 1e9\n\
        ----- BODY: sun ----\n(RotRate) Frequency [/sec]: 7.1e-05\n";

    #[test]
    fn properties_belong_to_bodies_and_ends() {
        let log = Log::parse(LOG, &["sun".to_owned(), "my-planet".to_owned()]).expect("a log");
        let all: Vec<String> = log
            .properties
            .iter()
            .map(|p| format!("{}:{}:{} {} [{}]", p.body, p.name, p.when, p.value, p.unit))
            .collect();
        let expected = [
            "system:Age:initial 0.000000 [sec]",
            "system:Ratio:initial -1 [nd]",
            "sun:RotRate:initial 7.2e-05 [/sec]",
            "system:Age:final 1e9 [sec]",
            "sun:RotRate:final 7.1e-05 [/sec]",
        ];
        assert_eq!(all, expected);
        assert!(log.has_end && log.order("sun", false).is_none());
        let columns = |grid| {
            let order = log.order("my-planet", grid).expect("an order");
            order.columns.iter().map(|c| format!("{}|{}", c.name, c.unit)).collect::<Vec<_>>()
        };
        assert_eq!(columns(false), ["Time|yr", "Flux|W/m^2", "e|nd"]);
        assert_eq!(columns(true), ["Latitude|deg"]);
    }

    #[test]
    fn a_log_that_was_cut_never_panics_and_says_where() {
        for len in 0..LOG.len() {
            let cut = Log::parse(&LOG[..len], &[]);
            if LOG[..len].ends_with("Time[yr] Flux[W/m") {
                assert!(cut.expect_err("was cut").to_string().contains("line 19"), "{len}");
            }
        }
    }
}
