//! Progress on stderr, and the signals that ask a run to stop.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anabranch::run::Observer;
use anabranch::train::StepInfo;
use indicatif::{ProgressBar, ProgressStyle};

use crate::output::tell;

/// Whether Ctrl-C or SIGTERM has come.
#[derive(Debug, Clone)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Listens from now on. A second signal of the same kind ends the program at once.
    pub fn listen() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            // A handler that cannot be installed leaves the signal's own way: the program ends.
            let _ = signal_hook::flag::register_conditional_shutdown(signal, 1, stop.clone());
            let _ = signal_hook::flag::register(signal, stop.clone());
        }
        Self(stop)
    }
}

/// A bar with rate and time left for each stretch of work; quiet when stderr is not a terminal.
pub struct Progress {
    name: String,
    bar: ProgressBar,
    stop: Stop,
}

impl Progress {
    /// Bars that bear a run's name.
    pub fn new(name: &str, quiet: bool, stop: &Stop) -> Self {
        let bar = if quiet || !std::io::stderr().is_terminal() {
            ProgressBar::hidden()
        } else {
            ProgressBar::new(0)
        };
        let style = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} {per_sec} {eta} left  {msg}");
        bar.set_style(style.expect("a template of known keys"));
        Self { name: name.to_owned(), bar, stop: stop.clone() }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl Observer for Progress {
    fn begin(&self, task: &str, done: u64, total: u64) {
        self.bar.set_prefix(format!("{}: {task}", self.name));
        self.bar.set_message("");
        self.bar.set_length(total);
        self.bar.set_position(done);
        // What was done before says nothing about the rate.
        self.bar.reset_eta();
        self.bar.enable_steady_tick(Duration::from_millis(250));
    }

    fn advance(&self, rows: u64) {
        self.bar.inc(rows);
    }

    fn step(&mut self, info: &StepInfo) {
        self.bar.set_position(info.step);
        if info.step.is_multiple_of(20) {
            self.bar.set_message(format!("loss {:.4}", info.loss));
        }
    }

    fn note(&self, message: &str) {
        self.bar.suspend(|| tell(&format!("note: {message}")));
    }

    fn stop(&self) -> bool {
        self.stop.0.load(Ordering::Relaxed)
    }
}
