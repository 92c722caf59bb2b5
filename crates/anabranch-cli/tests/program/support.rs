//! A directory of its own for each test, the program run in it, and recipes small enough to train in no time.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

/// A flow with some forty weights, thirty steps, and something to write every few of them.
pub const TINY: &str = r#"name = "tiny"
title = "A tiny flow"
seed = 5

[target]
kind = "toy"
name = "moons"
rows = 50

[[model]]
kind = "flow"
layers = 1
hidden = [3]
bins = 3

[optimizer]
schedule = "constant"

[training]
steps = 30
batch = 8
checkpoint_every = 4
evaluate_every = 10
log_every = 5

[evaluation]
samples = 9
sample_metrics = false
"#;

/// A flow network as small, with as much to write.
pub const GRID: &str = r#"name = "grid"
title = "A tiny grid"
seed = 5

[target]
kind = "hypergrid"
dim = 2
side = 4

[policy.network]
kind = "mlp"
hidden = [3]

[exploration]
epsilon = { start = 0.5, end = 0.0, steps = 20 }

[optimizer]
schedule = "constant"

[training]
steps = 30
batch = 8
checkpoint_every = 4
evaluate_every = 10
log_every = 5
ema = 0.9

[evaluation]
samples = 9
paths = 50
"#;

/// One recipe of each kind.
pub const KINDS: [&str; 2] = [TINY, GRID];

/// How a process ended.
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("the program writes UTF-8");
        // Progress comes when a clock says so.
        let told = text(output.stderr);
        let lines = told.split_inclusive('\n').filter(|line| !line.starts_with("progress: "));
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: lines.collect() }
    }
}

impl Ended {
    /// Done, with nothing on stderr.
    pub fn done(self) -> Self {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""), "stdout: {}", self.stdout);
        self
    }

    /// Ended with `code`, one line on stderr and nothing on stdout; the line without its `error: `.
    pub fn refused(self, code: i32) -> String {
        assert_eq!((self.code, self.stdout.as_str()), (Some(code), ""), "stderr: {}", self.stderr);
        let line = self.stderr.strip_prefix("error: ").and_then(|rest| rest.strip_suffix('\n'));
        let line = line.unwrap_or_else(|| panic!("no message: {:?}", self.stderr));
        assert!(!line.contains('\n'), "one line: {line:?}");
        line.to_owned()
    }

    /// The one JSON object on stdout.
    pub fn json(self) -> Value {
        let Self { stdout, .. } = self.done();
        assert_eq!(stdout.lines().count(), 1, "{stdout}");
        serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}"))
    }
}

/// A directory that is removed at the end, in which the program runs: no message names a machine's path.
pub struct Place(tempfile::TempDir);

impl Place {
    /// An empty one.
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    /// One with `tiny.toml` in it.
    pub fn tiny() -> Self {
        Self::with(TINY)
    }

    /// One with a recipe in `tiny.toml`.
    pub fn with(recipe: &str) -> Self {
        let place = Self::new();
        place.write("tiny.toml", recipe);
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).expect("a writable directory");
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// All files below a directory, by their paths within it, sorted.
    pub fn files(&self, directory: &str) -> Vec<String> {
        let mut found = Vec::new();
        let mut open = vec![self.path(directory)];
        while let Some(next) = open.pop() {
            for entry in std::fs::read_dir(next).into_iter().flatten().flatten() {
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => open.push(entry.path()),
                    _ => found.push(entry.path()),
                }
            }
        }
        let root = self.path(directory);
        let inside = |path: PathBuf| path.strip_prefix(&root).expect("found below").display().to_string();
        let mut found: Vec<String> = found.into_iter().map(inside).collect();
        found.sort();
        found
    }

    /// The names of a run's checkpoints, oldest first.
    pub fn checkpoints(&self, run: &str) -> Vec<String> {
        let mut names = self.files(&format!("{run}/checkpoints"));
        // One may be in the making.
        names.retain(|name| name.ends_with(".safetensors"));
        names
    }

    /// The newest checkpoint of a run.
    pub fn newest(&self, run: &str) -> Vec<u8> {
        let name = self.checkpoints(run).pop().expect("a checkpoint");
        self.read(&format!("{run}/checkpoints/{name}"))
    }

    /// The lines of `metrics.jsonl`, without what a clock decides.
    pub fn metrics(&self, run: &str) -> Vec<Value> {
        let text = String::from_utf8(self.read(&format!("{run}/metrics.jsonl"))).expect("UTF-8");
        let line = |line: &str| {
            let mut value: Value =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            let object = value.as_object_mut().expect("an object");
            object.retain(|name, _| !["steps_per_second", "seconds"].contains(&name.as_str()));
            value
        };
        text.lines().map(line).collect()
    }

    /// The program with its arguments, separated by spaces, ready to run here.
    pub fn command(&self, arguments: &str) -> Command {
        self.through(env!("CARGO_BIN_EXE_anabranch"), arguments.split_whitespace())
    }

    /// Another program, likewise.
    pub fn through<'a>(&self, program: &str, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.0.path()).stdin(Stdio::null()).env("COLUMNS", "100");
        command
    }

    /// Runs the program to its end.
    pub fn run(&self, arguments: &str) -> Ended {
        self.command(arguments).output().expect("the program starts").into()
    }

    /// Starts the program, its outputs caught.
    pub fn spawn(&self, arguments: &str) -> Child {
        let mut command = self.command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
    }

    /// Runs the program where files can have `kilobytes` at most, as on a disk that is full.
    pub fn run_on_full_disk(&self, kilobytes: usize, arguments: &str) -> Ended {
        let program = env!("CARGO_BIN_EXE_anabranch");
        // Ignoring the signal makes the write fail instead.
        let script = format!("trap '' XFSZ; ulimit -f {kilobytes}; exec \"$0\" {arguments}");
        self.through("bash", ["-c", &script, program]).output().expect("bash starts").into()
    }
}

/// Waits until `condition` holds; `child` must be at work meanwhile.
pub fn wait_for(child: &mut Child, mut condition: impl FnMut() -> bool) {
    while !condition() {
        assert!(child.try_wait().expect("a child").is_none(), "the program ended too early");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Sends a signal by its name.
pub fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status();
    assert!(status.expect("kill starts").success());
}
