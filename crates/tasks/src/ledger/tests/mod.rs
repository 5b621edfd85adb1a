//! Tests of a ledger against plain models, and against damage.

mod damage;
mod machine;
mod model;
mod real;
mod together;
