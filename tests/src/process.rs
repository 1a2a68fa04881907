//! Child processes that die with the test process, and signals to them.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::sync::{OnceLock, mpsc};
use std::thread;

use rustix::process::{Pid, Signal};

/// A child process of ours: killed and reaped on drop, and by the kernel when the test process dies.
#[derive(Debug)]
pub struct Owned(Child);

impl Owned {
    /// Starts a command made by [`command`].
    ///
    /// # Panics
    /// When the program cannot be started.
    #[must_use]
    pub fn spawn(command: Command) -> Owned {
        let (reply, child) = mpsc::channel();
        spawner().send((command, reply)).expect("the spawning thread lives");
        let child = child.recv().expect("the spawning thread answers");
        Owned(child.unwrap_or_else(|error| panic!("cannot start a child process: {error}")))
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// The child, for its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    /// SIGSTOP: the process stands still, its sockets stay open.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// SIGKILL, and waits until the process is gone.
    pub fn kill(&mut self) {
        // Fails when it is gone already, which is what we want.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    /// How the process ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().expect("waitpid works for a child of ours")
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.0);
        rustix::process::kill_process(pid, signal).expect("a child that was not reaped can be signalled");
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A command for `program` which, where `setpriv` (util-linux) is installed, asks the kernel to kill
/// it when this process dies and then becomes the program (the process id stays).
#[must_use]
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let Some(setpriv) = find_program("setpriv") else {
        return Command::new(program);
    };
    let mut command = Command::new(setpriv);
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// The full path of an installed program.
#[must_use]
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
}

type Spawn = (Command, mpsc::Sender<std::io::Result<Child>>);

/// The thread that starts all children. The kernel's "parent" is the thread that forked, and a
/// test's thread ends long before the process does; this one never ends.
fn spawner() -> &'static mpsc::Sender<Spawn> {
    static SPAWNER: OnceLock<mpsc::Sender<Spawn>> = OnceLock::new();
    SPAWNER.get_or_init(|| {
        let (sender, orders) = mpsc::channel::<Spawn>();
        thread::Builder::new()
            .name("spawner".into())
            .spawn(move || {
                for (mut command, reply) in orders {
                    let _ = reply.send(command.spawn());
                }
            })
            .expect("a thread can be started");
        sender
    })
}
