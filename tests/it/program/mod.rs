//! The command line.

mod bad_input;
mod choices;
mod cli;
mod doctor;
mod everyday;
mod examples;
mod glance;
mod in_a_browser;
mod monitor;
mod outputs;
mod pages;
mod reports;
mod screens;
mod watching;
