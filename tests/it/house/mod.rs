//! The architecture, the documentation, the public interface.

mod layers;
mod public_api;
