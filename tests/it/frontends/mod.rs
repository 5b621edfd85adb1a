//! vspace, multiplanet, BigPlanet, mbe.

mod bigplanet;
mod mbe;
mod multiplanet;
mod vspace;
