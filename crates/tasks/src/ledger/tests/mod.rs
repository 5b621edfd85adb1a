//! A ledger against plain models of it, and against damage.

mod damage;
mod machine;
mod model;
mod real;
mod together;
