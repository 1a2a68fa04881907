//! Annotated functions under lints that would blame the attribute's expansion, if they could; edition 2024.

#[path = "../../functions.rs"]
pub mod functions;
#[path = "../../shadowed.rs"]
pub mod shadowed;
