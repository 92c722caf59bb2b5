//! Progress on stderr, and the signals that ask a run to stop.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anabranch::run::Observer;
use anabranch::train::StepInfo;
use indicatif::{ProgressBar, ProgressStyle};

/// A bar with rate and time left; quiet when stderr is not a terminal.
pub struct Progress {
    bar: ProgressBar,
    stop: Arc<AtomicBool>,
}

impl Progress {
    /// A bar over `steps` steps.
    pub fn new(name: &str, steps: u64, quiet: bool) -> Self {
        let bar = if quiet || !std::io::stderr().is_terminal() {
            ProgressBar::hidden()
        } else {
            ProgressBar::new(steps)
        };
        let style = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} {per_sec} {eta} left  {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(name.to_owned());
        bar.enable_steady_tick(Duration::from_millis(250));
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            // A second signal of the same kind ends the program at once.
            let _ = signal_hook::flag::register_conditional_shutdown(signal, 1, stop.clone());
            let _ = signal_hook::flag::register(signal, stop.clone());
        }
        Self { bar, stop }
    }

    /// Clears the bar.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Observer for Progress {
    fn step(&mut self, info: &StepInfo) {
        self.bar.set_position(info.step);
        if info.step.is_multiple_of(20) {
            self.bar.set_message(format!("loss {:.4}", info.loss));
        }
    }

    fn note(&mut self, message: &str) {
        self.bar.suspend(|| eprintln!("note: {message}"));
    }

    fn stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}
