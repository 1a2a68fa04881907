//! What a server says of itself.

use std::time::Duration;

use super::Server;

impl Server {
    /// The run id of this life: 40 hexadecimal digits, as a real one has them.
    #[must_use]
    pub fn run_id(&self) -> String {
        let name: u64 = self
            .name
            .bytes()
            .fold(0, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        format!("{name:032x}{:08x}", self.life)
    }

    /// INFO, as far as it is asked for.
    pub(super) fn info(&self, at: Duration) -> String {
        // Redis takes the difference of two times that were cut to seconds.
        let uptime = self.clock.micros(at) / 1_000_000 - self.started / 1_000_000;
        let lines = [
            "# Server".to_owned(),
            "redis_version:7.0.15".to_owned(),
            "redis_mode:standalone".to_owned(),
            format!("run_id:{}", self.run_id()),
            format!("server_time_usec:{}", self.clock.micros(at)),
            format!("uptime_in_seconds:{uptime}"),
            String::new(),
            "# Memory".to_owned(),
            format!("maxmemory:{}", u8::from(self.full)),
            "maxmemory_policy:noeviction".to_owned(),
            String::new(),
            "# Replication".to_owned(),
            "role:master".to_owned(),
            "connected_slaves:0".to_owned(),
            String::new(),
        ];
        lines.join("\r\n")
    }
}
