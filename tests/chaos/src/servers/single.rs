//! One server, behind a proxy.

use std::time::Duration;

use anyhow::Result;
use fastrand::Rng;
use lock_tests::{Proxy, RedisServer};

use super::{Fault, Servers, links, seconds, strike_one};

/// One server.
pub(crate) struct Single {
    // Before the server: nobody connects to what is gone.
    link: Proxy,
    server: RedisServer,
}

impl Single {
    pub(crate) fn start() -> Single {
        let server = RedisServer::start();
        Single {
            link: Proxy::to(&server),
            server,
        }
    }
}

impl Servers for Single {
    fn url(&self) -> String {
        self.link.url()
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
        &[Fault::Kill, Fault::Restart, Fault::Flush]
    }

    fn strike(&mut self, fault: Fault, length: Duration, random: &mut Rng) -> Result<String> {
        if !links::strike(&self.link, fault, length, random) {
            strike_one(&mut self.server, fault, length)?;
        }
        Ok(format!("{} ({})", fault.name(), seconds(length)))
    }

    fn until_well(&mut self) -> Result<()> {
        Ok(())
    }

    fn all(&self) -> Vec<&RedisServer> {
        vec![&self.server]
    }
}
