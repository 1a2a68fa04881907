//! What an error of the client library tells: whether the command may have run, and whether another try may pass.

use redis::{ErrorKind, RedisError, ServerErrorKind};

use super::super::{Applied, Failure, FailureKind};

/// What a user may need, in one place. `README.md` says the same by topology.
const PERMISSIONS: &str = "the Redis user lacks a permission; it needs EVAL, EVALSHA, GET, SET, DEL, PTTL, PEXPIRE, TIME, PUBLISH, SUBSCRIBE, UNSUBSCRIBE; to be served in turn GETSET, RPUSH, LPOP, LINDEX, LRANGE, LSET, LREM; for a database other than 0 SELECT; with `min_replicas` WAIT; behind sentinels ROLE; in a cluster CLUSTER|SLOTS; on independent servers (redlock) INFO; for stored calls (`on_conflict = \"queue\"`) HGET, HSET, HDEL, ZADD, ZREM, ZSCORE, ZCARD, ZCOUNT, ZRANGE, ZRANGEBYSCORE; on the namespace's keys and on the keys and channels distributed-lock:*";

pub(in crate::backend) fn classify(error: RedisError) -> Failure {
    let (kind, applied, advice) = judge(&error);
    Failure {
        kind,
        applied,
        reason: format!("{advice} ({error})"),
        source: Some(Box::new(error)),
    }
}

/// No reply within the operation's own deadline.
pub(super) fn no_answer(doing: &str, applied: Applied) -> Failure {
    Failure {
        kind: FailureKind::Transient,
        applied,
        reason: format!("time was over while {doing} the Redis server; it hangs, is overloaded, or the network is cut"),
        source: None,
    }
}

fn judge(error: &RedisError) -> (FailureKind, Applied, &'static str) {
    use Applied::{No, Unknown};
    use FailureKind::{Permanent, Transient, WrongType};

    if error.is_connection_refusal() {
        return (
            Transient,
            No,
            "nothing listens at the Redis server's address; is it running?",
        );
    }
    match error.kind() {
        // A server's error is its answer to the whole command: our scripts write nothing before they can fail.
        ErrorKind::Server(kind) => match kind {
            ServerErrorKind::ReadOnly => (
                Transient,
                No,
                "the Redis server is a read-only replica; connect to the master",
            ),
            ServerErrorKind::BusyLoading => (Transient, No, "the Redis server is still loading its data"),
            ServerErrorKind::MasterDown => (Transient, No, "the Redis server is a replica that has lost its master"),
            ServerErrorKind::NoPerm => (Permanent, No, PERMISSIONS),
            // So says Redis 7.0 inside a script.
            ServerErrorKind::ResponseError if said(error, "user executing the script can't") => {
                (Permanent, No, PERMISSIONS)
            }
            ServerErrorKind::Moved | ServerErrorKind::Ask | ServerErrorKind::CrossSlot => (
                Permanent,
                No,
                "this is a node of a Redis Cluster, which is reached by redis+cluster://host:port,host:port",
            ),
            ServerErrorKind::ClusterDown => (
                Transient,
                No,
                "the Redis Cluster is down: the slot has no master at present",
            ),
            ServerErrorKind::TryAgain => (
                Transient,
                No,
                "the slot is on its way to another node of the Redis Cluster",
            ),
            _ => (Transient, by_whom(error), "the Redis server refused"),
        },
        ErrorKind::Extension => match error.code().unwrap_or_default() {
            "WRONGTYPE" => (WrongType, No, "the key holds a value of another type"),
            "OOM" => (Transient, No, "the Redis server is out of memory (maxmemory)"),
            "NOAUTH" => (Permanent, No, "the Redis server wants a password; put it into the URL"),
            "WRONGPASS" => (Permanent, No, "the Redis server refused the user or the password"),
            "NOREPLICAS" => (Transient, No, "the Redis server has not enough replicas to write"),
            "MISCONF" => (
                Transient,
                No,
                "the Redis server cannot write to its disk and refuses writes",
            ),
            "BUSY" => (Transient, No, "the Redis server is busy with a script"),
            _ => (
                Transient,
                by_whom(error),
                "the Redis server, or a proxy before it, refused",
            ),
        },
        ErrorKind::AuthenticationFailed => (Permanent, No, "the Redis server refused the user or the password"),
        ErrorKind::InvalidClientConfig => (Permanent, No, "the connection's settings cannot work"),
        // A broken connection says the same whether the command was sent or not (`closed_connection_error`).
        _ => (Transient, Unknown, "the connection to the Redis server broke"),
    }
}

/// An error that we do not know: the server says where in our script it happened, and nothing was done; a proxy's own
/// error may come after the command was carried out.
fn by_whom(error: &RedisError) -> Applied {
    if said(error, "script") {
        Applied::No
    } else {
        Applied::Unknown
    }
}

fn said(error: &RedisError, what: &str) -> bool {
    error.detail().is_some_and(|detail| detail.contains(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(code: &str) -> RedisError {
        redis::make_extension_error(code.to_owned(), None)
    }

    #[test]
    fn a_server_s_word_means_that_nothing_was_done() {
        for code in ["OOM", "NOREPLICAS", "MISCONF", "BUSY", "NOAUTH", "WRONGTYPE"] {
            assert_eq!(classify(server(code)).applied, Applied::No, "{code}");
        }
    }

    #[test]
    fn an_error_that_a_proxy_may_have_made_means_that_nobody_knows() {
        assert_eq!(classify(server("UPSTREAM")).applied, Applied::Unknown);
    }

    #[test]
    fn a_broken_connection_means_that_nobody_knows() {
        let broken = RedisError::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
        assert_eq!(classify(broken).applied, Applied::Unknown);
        let refused = RedisError::from(std::io::Error::from(std::io::ErrorKind::ConnectionRefused));
        assert_eq!(classify(refused).applied, Applied::No);
    }
}
