//! A child together with everything that it starts: one process group, which ends as a whole.

use std::io;
use std::process::ExitStatus;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, ChildStderr, Command};

/// A child that leads a process group of its own. Dropping it kills the group.
pub(super) struct Group {
    leader: Child,
}

impl Group {
    /// Starts the command. Signals of the terminal, such as an interrupt, do not reach the group: its host ends it.
    pub(super) fn spawn(command: &mut Command) -> io::Result<Self> {
        Ok(Self { leader: command.process_group(0).kill_on_drop(true).spawn()? })
    }

    /// The standard error of the leader, if it is piped and was not taken before.
    pub(super) fn stderr(&mut self) -> Option<ChildStderr> {
        self.leader.stderr.take()
    }

    /// Waits for the end of the leader.
    pub(super) async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.leader.wait().await
    }

    /// Kills every process of the group, and waits for the end of the leader.
    pub(super) async fn kill(&mut self) -> io::Result<ExitStatus> {
        self.signal();
        self.leader.wait().await
    }

    fn signal(&self) {
        // The number is the group's as long as its leader was not waited for; after that it may be another's.
        let leader = self.leader.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(group) = leader {
            // A group that has ended by itself is not there any more, which is as good.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal();
    }
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, BufReader};

    use super::*;

    /// A leader that has started another process; both hold the pipe, which ends when both have ended.
    async fn two_processes() -> (Group, BufReader<ChildStderr>) {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 1000 & echo >&2 started; wait"]).stderr(Stdio::piped());
        let mut group = Group::spawn(&mut command).unwrap();
        let mut said = BufReader::new(group.stderr().unwrap());
        let mut line = [0; 8];
        said.read_exact(&mut line).await.unwrap();
        assert_eq!(&line, b"started\n");
        (group, said)
    }

    async fn ends(mut pipe: BufReader<ChildStderr>) {
        let end =
            tokio::time::timeout(Duration::from_secs(60), pipe.read_u8()).await.expect("no process holds the pipe");
        assert_eq!(end.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn killing_it_ends_every_process() {
        let (mut group, pipe) = two_processes().await;
        let status = group.kill().await.unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(libc::SIGKILL));
        ends(pipe).await;
    }

    #[tokio::test]
    async fn dropping_it_ends_every_process() {
        let (group, pipe) = two_processes().await;
        drop(group);
        ends(pipe).await;
    }
}
