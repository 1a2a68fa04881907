//! Tests of mod.
