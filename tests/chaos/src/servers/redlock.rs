//! Five independent servers, each behind a proxy.

use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};
use fastrand::Rng;
use lock_tests::{RedisServer, RedlockGroup};

use super::{Fault, Servers, links, seconds, tell};

const MEMBERS: usize = 5;

/// Five servers, of which three decide.
pub(crate) struct Redlock {
    group: RedlockGroup,
}

impl Redlock {
    pub(crate) fn start() -> Redlock {
        Redlock {
            group: RedlockGroup::behind_proxies(MEMBERS),
        }
    }

    fn begin(&mut self, member: usize, fault: Fault, random: &mut Rng) -> Result<()> {
        if links::begin(self.group.proxy(member), fault, random) {
            return Ok(());
        }
        let server = &mut self.group.members[member];
        match fault {
            Fault::Kill => server.kill(),
            Fault::Restart => server.restart(),
            Fault::Pause => server.pause(),
            Fault::Flush => tell(server, &["FLUSHALL"])?,
            Fault::Fill => tell(server, &["CONFIG", "SET", "maxmemory", "1"])?,
            other => bail!("`{}` does not happen to independent servers", other.name()),
        }
        Ok(())
    }

    fn end(&mut self, member: usize, fault: Fault) -> Result<()> {
        links::end(self.group.proxy(member), fault);
        let server = &mut self.group.members[member];
        match fault {
            Fault::Kill => server.restart(),
            Fault::Pause => server.resume(),
            Fault::Fill => tell(server, &["CONFIG", "SET", "maxmemory", "0"])?,
            _ => {}
        }
        Ok(())
    }
}

impl Servers for Redlock {
    fn url(&self) -> String {
        self.group.url()
    }

    fn faults(&self) -> &'static [Fault] {
        &[
            Fault::Kill,
            Fault::Restart,
            Fault::Pause,
            Fault::Flush,
            Fault::Fill,
            Fault::Cut,
            Fault::Freeze,
            Fault::HoldBack,
            Fault::LoseReplies,
            Fault::Delay,
        ]
    }

    fn forgetful(&self) -> &'static [Fault] {
        // Not a restart: who comes up without its data does not vote until the longest ttl is over.
        &[Fault::Flush]
    }

    fn strike(&mut self, fault: Fault, length: Duration, random: &mut Rng) -> Result<String> {
        let minority = MEMBERS - self.group.majority();
        let count = match random.u8(..10) {
            // A majority that is flushed has forgotten all locks: that is shown with one server.
            0 | 1 if fault != Fault::Flush => self.group.majority(),
            0..=4 => minority,
            _ => 1,
        };
        let mut members: Vec<usize> = (0..MEMBERS).collect();
        random.shuffle(&mut members);
        members.truncate(count);
        for member in &members {
            self.begin(*member, fault, random)?;
        }
        if !matches!(fault, Fault::Restart | Fault::Flush) {
            thread::sleep(length);
        }
        for member in &members {
            self.end(*member, fault)?;
        }
        Ok(format!("{} of {members:?} ({})", fault.name(), seconds(length)))
    }

    fn until_well(&mut self) -> Result<()> {
        Ok(())
    }

    fn all(&self) -> Vec<&RedisServer> {
        self.group.members.iter().collect()
    }
}
