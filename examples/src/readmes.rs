//! The READMEs as documentation tests: each of their code blocks is compiled, and run unless it
//! needs a server.

#[doc = include_str!("../../README.md")]
mod workspace {}

#[doc = include_str!("../../lock-runtime/README.md")]
mod lock_runtime {}

#[doc = include_str!("../../lock-macros/README.md")]
mod lock_macros {}
