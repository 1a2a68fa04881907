//! The queue's scripts, each behind what they share.

use redis::Script;

use super::super::script::LuaScript;

macro_rules! script {
    ($file:literal) => {
        LuaScript::new(
            || Script::new(concat!(include_str!("lib.lua"), include_str!($file))),
            concat!(include_str!("lib.lua"), include_str!($file)),
        )
    };
}

pub(super) static STORE: LuaScript = script!("store.lua");
pub(super) static CLAIM: LuaScript = script!("claim.lua");
pub(super) static KEEP: LuaScript = script!("keep.lua");
pub(super) static SETTLE: LuaScript = script!("settle.lua");
pub(super) static HASTEN: LuaScript = script!("hasten.lua");
pub(super) static CENSUS: LuaScript = script!("census.lua");
pub(super) static PAGE: LuaScript = script!("page.lua");
pub(super) static FIND: LuaScript = script!("find.lua");
pub(super) static CANCEL: LuaScript = script!("cancel.lua");
pub(super) static SEND_BACK: LuaScript = script!("send_back.lua");
pub(super) static SWEEP: LuaScript = script!("sweep.lua");
