//! A resource that checks fences: a counter that is read, and written some time later, by whoever
//! believes to hold the lock.
//!
//! It lives in a Redis server of its own. Both steps carry the fence and are refused when a newer
//! one was seen; the reading step too, or a write of the old holder could come between the new
//! holder's two steps.

/// Refuses the step of an old holder. Fences are compared as text of equal length: Lua's numbers
/// have 53 bits.
const CHECK: &str = "
    if ARGV[1] < (redis.call('HGET', KEYS[1], 'fence') or '') then
        redis.call('HINCRBY', KEYS[1], 'stopped', 1)
        return false
    end";

/// A connection to the resource.
pub struct Resource {
    connection: redis::Connection,
}

/// The resource refused a step, because it has seen a newer fence.
#[derive(Debug)]
pub struct Stopped;

/// What the resource knows of one counter.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Counter {
    /// What was written last.
    pub value: u64,
    /// How many writes were accepted. More than `value`: an update was lost.
    pub accepted: u64,
    /// How many steps were refused because of their fence.
    pub stopped: u64,
    /// How many holders came with a fence that another had before.
    pub repeated: u64,
    /// The newest fence.
    pub fence: String,
    /// The process that read last.
    pub process: String,
    /// `read`: it has not written yet.
    pub stage: String,
}

impl Resource {
    /// Connects to the server that keeps the counters.
    ///
    /// # Panics
    /// When it is not there.
    #[must_use]
    pub fn connect(url: &str) -> Resource {
        let connection = redis::Client::open(url).unwrap().get_connection().unwrap();
        Resource { connection }
    }

    /// The value of `counter`; once for each hold.
    ///
    /// # Errors
    /// A newer holder was here.
    ///
    /// # Panics
    /// When the server does not answer.
    pub fn read(&mut self, counter: &str, fence: u64) -> Result<u64, Stopped> {
        let step = "
            if ARGV[1] == redis.call('HGET', KEYS[1], 'fence') then
                redis.call('HINCRBY', KEYS[1], 'repeated', 1)
            end
            redis.call('HSET', KEYS[1], 'fence', ARGV[1], 'process', ARGV[2], 'stage', 'read')
            return tonumber(redis.call('HGET', KEYS[1], 'value') or '0')";
        self.step(step, counter, fence, std::process::id().into())
    }

    /// Sets the value of `counter`.
    ///
    /// # Errors
    /// A newer holder was here.
    ///
    /// # Panics
    /// When the server does not answer.
    pub fn write(&mut self, counter: &str, fence: u64, value: u64) -> Result<(), Stopped> {
        let step = "
            redis.call('HSET', KEYS[1], 'value', ARGV[2], 'stage', 'written')
            return redis.call('HINCRBY', KEYS[1], 'accepted', 1)";
        self.step(step, counter, fence, value).map(|_| ())
    }

    /// Checks the fence and does `step`, in one go.
    fn step(&mut self, step: &str, counter: &str, fence: u64, value: u64) -> Result<u64, Stopped> {
        let mut eval = redis::cmd("EVAL");
        eval.arg(format!("{CHECK}{step}"))
            .arg(1)
            .arg(counter)
            .arg(format!("{fence:020}"))
            .arg(value);
        let reply: Option<u64> = eval.query(&mut self.connection).unwrap();
        reply.ok_or(Stopped)
    }

    /// The names of all counters.
    ///
    /// # Panics
    /// When the server does not answer.
    pub fn counters(&mut self) -> Vec<String> {
        redis::cmd("KEYS").arg("*").query(&mut self.connection).unwrap()
    }

    /// What the resource knows of `counter`.
    ///
    /// # Panics
    /// When the server does not answer.
    pub fn look(&mut self, counter: &str) -> Counter {
        let names = ["value", "accepted", "stopped", "repeated", "fence", "process", "stage"];
        let fields: Vec<Option<String>> = redis::cmd("HMGET")
            .arg(counter)
            .arg(&names)
            .query(&mut self.connection)
            .unwrap();
        let mut fields = fields.into_iter().map(Option::unwrap_or_default);
        let mut text = || fields.next().unwrap_or_default();
        let mut number = || text().parse().unwrap_or(0);
        let (value, accepted, stopped, repeated) = (number(), number(), number(), number());
        let (fence, process, stage) = (text(), text(), text());
        Counter {
            value,
            accepted,
            stopped,
            repeated,
            fence,
            process,
            stage,
        }
    }
}
