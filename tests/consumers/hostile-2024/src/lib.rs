//! Annotated functions under lints that would blame the attribute's expansion, if they could; edition 2024.

#[path = "../../functions.rs"]
pub mod functions;
#[path = "../../queued.rs"]
pub mod queued;
#[path = "../../shadowed.rs"]
pub mod shadowed;
