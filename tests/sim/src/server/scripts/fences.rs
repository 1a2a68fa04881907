//! The scripts about the fence counter.

use super::{Call, Raised, called, integer, number};
use crate::server::resp::Reply;

/// fence.lua
pub(super) fn fence(call: &mut Call<'_>) -> Result<Reply, Raised> {
    let counter = call.key(0).unwrap_or_default();
    Ok(match next(call, &counter)? {
        Ok(fence) | Err(fence) => fence,
    })
}

/// raise.lua
pub(super) fn raise(call: &mut Call<'_>) -> Result<Reply, Raised> {
    let counter = call.key(0).unwrap_or_default();
    let given = call.arg(0);
    let last = number(called(call.data.get(&counter))?).unwrap_or(0.0);
    if last >= number(Some(given.clone())).unwrap_or(f64::NAN) {
        return Ok(integer(last));
    }
    Ok(match call.data.set(&counter, &given, None) {
        Ok(()) => Reply::Int(0),
        Err(error) => Reply::Error(error),
    })
}

/// The next fence, stored; the inner error is a refusal that the script passes on.
pub(super) fn next(call: &mut Call<'_>, counter: &[u8]) -> Result<Result<Reply, Reply>, Raised> {
    let (seconds, micros) = call.data.time();
    #[allow(clippy::cast_precision_loss, reason = "Lua's numbers are these")]
    let mut fence = (seconds * 1_000_000 + micros) as f64;
    let last = number(called(call.data.get(counter))?).unwrap_or(0.0);
    if fence <= last {
        fence = last + 1.0;
    }
    Ok(match call.data.set(counter, format!("{fence:.0}").as_bytes(), None) {
        Ok(()) => Ok(integer(fence)),
        Err(error) => Err(Reply::Error(error)),
    })
}
