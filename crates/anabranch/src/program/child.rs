//! A child process that answers lines with lines.
//!
//! Its three streams have a thread each, so that no full pipe can hold up another: one writes questions, one reads answers,
//! one keeps the last of what it says on its standard error. The child leads a process group, which is killed as a whole.
//! The threads end when the group's ends of the pipes are closed, and nobody waits for them.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

/// The longest answer, bytes.
const LONGEST_ANSWER: u64 = 1 << 28;

/// How many of the last lines on standard error are kept, and the longest of them, bytes.
const LAST_LINES: usize = 8;
const LONGEST_LINE: u64 = 500;

/// How long a child that closed its standard output may take to end by itself.
const GRACE: Duration = Duration::from_secs(2);

/// Why there is no answer.
#[derive(Debug)]
pub enum Lost {
    /// The child ended, or closed its standard output.
    Died,
    /// Nothing came in time.
    Late,
    /// There was a line before the question.
    Unasked,
    /// A line did not end.
    TooLong,
}

/// A running child.
#[derive(Debug)]
pub struct Child {
    group: Group,
    questions: SyncSender<Vec<u8>>,
    answers: Receiver<Vec<u8>>,
    words: Arc<Mutex<VecDeque<String>>>,
    /// Disconnected once standard error is read to its end.
    silent: Receiver<()>,
}

impl Child {
    /// Starts a program with its arguments.
    ///
    /// # Errors
    /// Those of the operating system.
    ///
    /// # Panics
    /// If the command is empty.
    pub fn start(command: &[String]) -> io::Result<Self> {
        let mut to_run = Command::new(&command[0]);
        to_run.args(&command[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut group = Group::lead(to_run)?;
        let (stdin, stdout, stderr) = group.streams();
        let (questions, to_write) = sync_channel(1);
        let (answered, answers) = sync_channel(1);
        let (speaking, silent) = sync_channel(1);
        let words = Arc::new(Mutex::new(VecDeque::new()));
        let heard = Arc::clone(&words);
        let thread = |name: &str| Builder::new().name(format!("program-{name}"));
        thread("write").spawn(move || write(stdin, &to_write))?;
        thread("read").spawn(move || read(stdout, &answered))?;
        thread("words").spawn(move || {
            listen(stderr, &heard);
            drop::<SyncSender<()>>(speaking);
        })?;
        Ok(Self { group, questions, answers, words, silent })
    }

    /// Writes a line and waits for one.
    ///
    /// # Errors
    /// If there is no answer, with the reason: the child cannot be used any more.
    pub fn ask(&mut self, line: Vec<u8>, timeout: Duration) -> Result<Vec<u8>, Lost> {
        match self.answers.try_recv() {
            Ok(_) => return Err(Lost::Unasked),
            Err(TryRecvError::Disconnected) => return Err(Lost::Died),
            Err(TryRecvError::Empty) => {}
        }
        // A full channel: it answered the last question without reading it. A closed one: the answers end, too.
        let _ = self.questions.try_send(line);
        match self.answers.recv_timeout(timeout) {
            Ok(answer) if answer.ends_with(b"\n") => Ok(answer),
            Ok(_) => Err(Lost::TooLong),
            Err(RecvTimeoutError::Timeout) => Err(Lost::Late),
            Err(RecvTimeoutError::Disconnected) => Err(Lost::Died),
        }
    }

    /// Ends the child; answers how it ended if by itself, and its last words.
    pub fn end(mut self) -> String {
        let closed = matches!(self.answers.try_recv(), Err(TryRecvError::Disconnected));
        let status = self.group.ended_within(if closed { GRACE } else { Duration::ZERO });
        self.group.kill();
        // Words that are still in the pipe.
        let _ = self.silent.recv_timeout(GRACE);
        let words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = status.map_or_else(String::new, |status| format!(" ({status})"));
        if !words.is_empty() {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            text.push_str(&format!("; its last words: {}", words.join(" | ")));
        }
        text
    }
}

fn write(mut stdin: ChildStdin, questions: &Receiver<Vec<u8>>) {
    while let Ok(line) = questions.recv() {
        if stdin.write_all(&line).and_then(|()| stdin.flush()).is_err() {
            return;
        }
    }
}

/// Passes on line by line; one that is too long, or the last one without an end, as it is.
fn read(stdout: ChildStdout, answers: &SyncSender<Vec<u8>>) {
    let mut stdout = BufReader::new(stdout);
    loop {
        let mut line = Vec::new();
        match (&mut stdout).take(LONGEST_ANSWER).read_until(b'\n', &mut line) {
            Ok(1..) if line.ends_with(b"\n") || line.len() as u64 == LONGEST_ANSWER => {
                if answers.send(line).is_err() {
                    return;
                }
            }
            _ => return,
        }
    }
}

fn listen(stderr: ChildStderr, words: &Mutex<VecDeque<String>>) {
    let mut stderr = BufReader::new(stderr);
    let mut line = Vec::new();
    while matches!((&mut stderr).take(LONGEST_LINE).read_until(b'\n', &mut line), Ok(1..)) {
        // Colours and the like would reach the user's terminal.
        let text = String::from_utf8_lossy(&line).replace(char::is_control, " ").trim().to_owned();
        line.clear();
        if text.is_empty() {
            continue;
        }
        let mut words = words.lock().unwrap_or_else(PoisonError::into_inner);
        if words.len() == LAST_LINES {
            words.pop_front();
        }
        words.push_back(text);
    }
}

/// Makes the kernel kill what is started when the thread that starts it ends, see [`start_from_lasting_thread`].
#[cfg(target_os = "linux")]
fn end_with_parent(command: &mut Command) {
    use rustix::process::{Signal, set_parent_process_death_signal};
    // SAFETY: between fork and exec the closure makes one system call, which neither allocates nor takes locks.
    unsafe {
        std::os::unix::process::CommandExt::pre_exec(command, || {
            Ok(set_parent_process_death_signal(Some(Signal::KILL))?)
        });
    }
}

/// Starts a command from a thread that lasts as long as this process, however that ends. The thread that asks may be
/// gone long before: a child that it had started itself would be killed then, while others still ask it.
fn start_from_lasting_thread(command: Command) -> io::Result<std::process::Child> {
    type Started = io::Result<std::process::Child>;
    type Order = (Command, SyncSender<Started>);
    static ORDERS: Mutex<Option<SyncSender<Order>>> = Mutex::new(None);
    let gone = || io::Error::other("the thread that starts programs is gone");
    let orders = {
        let mut orders = ORDERS.lock().unwrap_or_else(PoisonError::into_inner);
        match &*orders {
            Some(orders) => orders.clone(),
            None => {
                let (sender, received) = sync_channel::<Order>(0);
                Builder::new().name("program-start".into()).spawn(move || {
                    while let Ok((mut command, answer)) = received.recv() {
                        let _ = answer.send(command.spawn());
                    }
                })?;
                orders.insert(sender).clone()
            }
        }
    };
    let (answer, started) = sync_channel(1);
    orders.send((command, answer)).map_err(|_| gone())?;
    started.recv().map_err(|_| gone())?
}

/// A process and its descendants. They are killed when this is dropped.
#[derive(Debug)]
struct Group {
    leader: std::process::Child,
    ended: Option<ExitStatus>,
}

impl Group {
    fn lead(mut command: Command) -> io::Result<Self> {
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        #[cfg(target_os = "linux")]
        end_with_parent(&mut command);
        Ok(Self { leader: start_from_lasting_thread(command)?, ended: None })
    }

    fn streams(&mut self) -> (ChildStdin, ChildStdout, ChildStderr) {
        let piped = "it was started with pipes";
        let Self { leader, .. } = self;
        (
            leader.stdin.take().expect(piped),
            leader.stdout.take().expect(piped),
            leader.stderr.take().expect(piped),
        )
    }

    /// How the leader ended by itself, if it does so in time. It is not waited for: until then no other process can have
    /// its number.
    fn ended_within(&self, time: Duration) -> Option<String> {
        let deadline = Instant::now() + time;
        loop {
            let ended = self.peek();
            if ended.is_some() || Instant::now() >= deadline {
                return ended;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[cfg(unix)]
    fn peek(&self) -> Option<String> {
        use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let status = waitid(WaitId::Pid(Pid::from_child(&self.leader)), options).ok()??;
        match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Some(format!("exit code {code}")),
            (_, Some(signal)) => Some(format!("killed by signal {signal}")),
            _ => None,
        }
    }

    #[cfg(not(unix))]
    fn peek(&self) -> Option<String> {
        None
    }

    /// Kills all of them and waits for the leader.
    fn kill(&mut self) {
        if self.ended.is_some() {
            return;
        }
        #[cfg(unix)]
        {
            use rustix::process::{Pid, Signal, kill_process_group};
            let _ = kill_process_group(Pid::from_child(&self.leader), Signal::KILL);
        }
        let _ = self.leader.kill();
        self.ended = self.leader.wait().ok();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}
