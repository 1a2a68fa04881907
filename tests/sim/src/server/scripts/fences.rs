//! The scripts about the fence counter.

use super::{Call, Raised, called, integer, number};
use crate::server::resp::Reply;

/// fence.lua
pub(super) fn fence(call: &mut Call<'_>) -> Result<Reply, Raised> {
    let (counter, count) = (call.key(0).unwrap_or_default(), call.arg(0));
    Ok(match next(call, &counter, &count)? {
        Ok(fence) | Err(fence) => fence,
    })
}

/// raise.lua
pub(super) fn raise(call: &mut Call<'_>) -> Result<Reply, Raised> {
    let counter = call.key(0).unwrap_or_default();
    if let Some(lock) = call.key(1)
        && !matches!(call.data.get(&lock), Ok(Some(held)) if held == call.arg(1))
    {
        return Ok(Reply::Int(-1));
    }
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

/// The next fences, counted, as acquire.lua and line/lib.lua get them: the first one, or the refusal.
pub(super) fn block(call: &mut Call<'_>, counter: &[u8], count: &[u8]) -> Result<String, Reply> {
    let as_number = |text: &[u8]| number(Some(text.to_vec())).unwrap_or(f64::NAN);
    let (seconds, micros) = call.data.time();
    let mut fence = format!("{seconds}{micros:06}");
    let mut up_to = fence.clone();
    if count != b"1" {
        up_to = format!("{:.0}", as_number(fence.as_bytes()) + as_number(count) - 1.0);
    }
    let last = call.data.getset(counter, up_to.as_bytes()).map_err(Reply::Error)?;
    if let Some(last) = last
        && (last.len() != fence.len() || last.as_slice() >= fence.as_bytes())
    {
        let last = number(Some(last)).unwrap_or(0.0);
        if last >= as_number(fence.as_bytes()) {
            fence = format!("{:.0}", last + 1.0);
            up_to = format!("{:.0}", last + as_number(count));
        }
        call.data.set(counter, up_to.as_bytes(), None).map_err(Reply::Error)?;
    }
    Ok(fence)
}

/// Whether the proposal of vote.lua counts.
pub(super) fn propose(
    call: &mut Call<'_>,
    counter: &[u8],
    last: Option<Vec<u8>>,
    proposal: &[u8],
) -> Result<Reply, String> {
    let (seconds, micros) = call.data.time();
    #[allow(clippy::cast_precision_loss, reason = "Lua's numbers are these")]
    let now = (seconds * 1_000_000 + micros) as f64;
    let last = number(last);
    let counted = last.unwrap_or(now + 10_000.0);
    let wanted = number(Some(proposal.to_vec())).unwrap_or(f64::NAN);
    if wanted > counted && (wanted <= now + 10_000.0 || wanted <= counted + 1_000.0) {
        call.data.set(counter, proposal, None)?;
        return Ok(integer(now));
    }
    if last.is_none() {
        call.data.set(counter, format!("{counted:.0}").as_bytes(), None)?;
    }
    Ok(Reply::Array(vec![integer(counted), integer(now)]))
}

/// The next fences, as fence.lua gets them: the first one, or a refusal that the script passes on.
fn next(call: &mut Call<'_>, counter: &[u8], count: &[u8]) -> Result<Result<Reply, Reply>, Raised> {
    let (seconds, micros) = call.data.time();
    #[allow(clippy::cast_precision_loss, reason = "Lua's numbers are these")]
    let mut fence = (seconds * 1_000_000 + micros) as f64;
    let last = number(called(call.data.get(counter))?).unwrap_or(0.0);
    if fence <= last {
        fence = last + 1.0;
    }
    let up_to = fence + number(Some(count.to_vec())).unwrap_or(f64::NAN) - 1.0;
    Ok(match call.data.set(counter, format!("{up_to:.0}").as_bytes(), None) {
        Ok(()) => Ok(integer(fence)),
        Err(error) => Err(Reply::Error(error)),
    })
}
