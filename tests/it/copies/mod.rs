//! Published and merged files: everything is carried over, or reported by name.

mod copying;
mod merge;
mod merge_concat;
mod merge_differences;
mod objects;
mod publish;
mod publish_faults;
