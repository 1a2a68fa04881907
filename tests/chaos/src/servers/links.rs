//! What may happen to the link to a server, by the proxy in front of it.

use std::thread;
use std::time::Duration;

use fastrand::Rng;
use lock_tests::Proxy;

use super::Fault;

/// Breaks the link for so long; `false`: such a thing does not happen to a link.
pub(super) fn strike(link: &Proxy, fault: Fault, length: Duration, random: &mut Rng) -> bool {
    let begin = begin(link, fault, random);
    if begin {
        thread::sleep(length);
        end(link, fault);
    }
    begin
}

/// Breaks it; `false`: such a thing does not happen to a link.
pub(super) fn begin(link: &Proxy, fault: Fault, random: &mut Rng) -> bool {
    match fault {
        Fault::Cut => {
            link.refuse(true);
            link.cut();
        }
        Fault::Freeze => link.freeze(),
        Fault::HoldBack => link.hold_back(),
        Fault::LoseReplies => link.swallow_replies(true),
        Fault::Delay => link.delay(Duration::from_millis(random.u64(5..700))),
        _ => return false,
    }
    true
}

/// Mends it again.
pub(super) fn end(link: &Proxy, fault: Fault) {
    match fault {
        Fault::Cut => link.refuse(false),
        Fault::Freeze => link.thaw(),
        Fault::HoldBack => link.let_through(),
        Fault::LoseReplies => {
            // A connection that has lost a reply takes the next one for it: none may outlive this, not even one that
            // is made right now.
            link.refuse(true);
            link.cut();
            link.swallow_replies(false);
            link.refuse(false);
        }
        Fault::Delay => link.delay(Duration::ZERO),
        _ => {}
    }
}
