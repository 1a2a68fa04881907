//! Counts what clients send: the server's own counters also have what scripts call.
//!
//! MONITOR makes a server slower, so nothing is timed while it runs.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Result, anyhow};

use crate::server::Server;

/// Sent by us when everything that counts has been sent before.
const END: &str = "the end of the count";

/// Counts until it is asked.
pub(crate) struct Monitor(JoinHandle<std::io::Result<u64>>);

impl Monitor {
    pub(crate) fn start(server: &Server) -> Result<Monitor> {
        let mut stream = TcpStream::connect(("127.0.0.1", server.0.port()))?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        stream.write_all(b"MONITOR\r\n")?;
        let mut lines = BufReader::new(stream);
        let mut first = String::new();
        lines.read_line(&mut first)?;
        Ok(Monitor(std::thread::spawn(move || {
            let mut count = 0;
            for line in lines.split(b'\n') {
                let line = line?;
                let line = String::from_utf8_lossy(&line);
                if line.contains(END) {
                    break;
                }
                count += u64::from(is_request(&line));
            }
            Ok(count)
        })))
    }

    /// How many requests clients have sent in between.
    pub(crate) fn count(self, server: &Server) -> Result<u64> {
        server.0.cli(&["ECHO", END]);
        let counted = self.0.join().map_err(|_| anyhow!("the counting thread"))?;
        Ok(counted?)
    }
}

/// `+1339518083.107412 [0 127.0.0.1:60866] "get" "x"`, and not `[0 lua]`; the harness' own client comes over a Unix
/// socket.
fn is_request(line: &str) -> bool {
    line.contains(" [0 127.0.0.1:")
}

#[cfg(test)]
mod tests {
    //! Lines as the server prints them.

    use super::is_request;

    #[test]
    fn what_scripts_call_is_no_request() {
        assert!(is_request(
            r#"+1339518083.107412 [0 127.0.0.1:60866] "evalsha" "ab" "0""#
        ));
        assert!(!is_request(r#"+1339518083.107413 [0 lua] "get" "x""#));
        assert!(!is_request(r#"+1339518083.107414 [0 unix:/tmp/redis.sock] "echo" "x""#));
    }
}
