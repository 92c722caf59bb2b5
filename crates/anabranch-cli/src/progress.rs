//! Progress on stderr, and the signals that ask a run to stop.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anabranch::run::Observer;
use anabranch::train::StepInfo;
use indicatif::{ProgressBar, ProgressStyle};

use crate::output::tell;

/// The signal that asked the program to stop; 0 before one did.
static SIGNAL: OnceLock<Arc<AtomicUsize>> = OnceLock::new();

/// The exit code of a program that a signal stopped, as shells know it: 130 after Ctrl-C, 143 after SIGTERM.
pub fn stopped_by_signal() -> Option<u8> {
    let signal = SIGNAL.get()?.load(Ordering::Relaxed);
    u8::try_from(128 + signal).ok().filter(|_| signal > 0)
}

/// Whether Ctrl-C or SIGTERM has come.
#[derive(Debug, Clone)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Listens from now on. A second signal of the same kind ends the program at once.
    pub fn listen() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let caught = SIGNAL.get_or_init(Arc::default);
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            // A handler that cannot be installed leaves the signal's own way: the program ends.
            let _ = signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, stop.clone());
            let _ = signal_hook::flag::register_usize(signal, caught.clone(), signal as usize);
            let _ = signal_hook::flag::register(signal, stop.clone());
        }
        Self(stop)
    }
}

/// Shows how far a run is: a bar with rate and time left for each stretch of work on a terminal, a line now and then elsewhere.
pub struct Progress {
    name: String,
    shown: Shown,
    stop: Stop,
    forecast: Mutex<Option<Forecast>>,
}

/// What a stretch of work was when it began, until it is known how long it will take.
struct Forecast {
    task: String,
    begun: Instant,
    first: u64,
    done: u64,
    total: u64,
}

/// After so long a rate says what is to come.
const MEASURED: Duration = Duration::from_secs(5);

/// What takes longer is said once, with how to stop and go on.
const LONG: Duration = Duration::from_secs(3600);

impl Forecast {
    /// What is to be said of work of which `done` units are done after some time, if it will take long.
    fn words(&self, passed: Duration) -> Option<String> {
        let (made, left) = (self.done.checked_sub(self.first)?, self.total.saturating_sub(self.done));
        let hours = passed.as_secs_f64() / 3600.0 * left as f64 / made as f64;
        (made > 0 && hours * 3600.0 > LONG.as_secs_f64()).then(|| {
            let time = if hours < 48.0 { format!("{hours:.0} h") } else { format!("{:.0} days", hours / 24.0) };
            format!(
                "{} will take about {time} at the rate of its first seconds; Ctrl-C stops it, and `anabranch resume` goes on",
                self.task
            )
        })
    }
}

enum Shown {
    Nothing,
    Bar(ProgressBar),
    Lines(Lines),
}

impl Progress {
    /// Of a run of that name.
    pub fn new(name: &str, quiet: bool, stop: &Stop) -> Self {
        let shown = match (quiet, std::io::stderr().is_terminal()) {
            (true, _) => Shown::Nothing,
            (false, true) => {
                let bar = ProgressBar::new(0);
                let style =
                    ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} {per_sec} {eta} left  {msg}");
                bar.set_style(style.expect("a template of known keys"));
                Shown::Bar(bar)
            }
            (false, false) => Shown::Lines(Lines::default()),
        };
        Self { name: name.to_owned(), shown, stop: stop.clone(), forecast: Mutex::new(None) }
    }

    /// Says once how long the work will take, if that is long.
    fn forecast(&self, done: impl FnOnce(u64) -> u64) {
        if matches!(self.shown, Shown::Nothing) {
            return;
        }
        let mut forecast = self.forecast.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = forecast.as_mut() else { return };
        known.done = done(known.done);
        let passed = known.begun.elapsed();
        if passed > MEASURED {
            let words = known.words(passed);
            *forecast = None;
            drop(forecast);
            if let Some(words) = words {
                self.note(&words);
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}

impl Observer for Progress {
    fn begin(&self, task: &str, done: u64, total: u64) {
        let task = format!("{}: {task}", self.name);
        *self.forecast.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Forecast { task: task.clone(), begun: Instant::now(), first: done, done, total });
        match &self.shown {
            Shown::Nothing => {}
            Shown::Bar(bar) => {
                bar.set_prefix(task);
                bar.set_message("");
                bar.set_length(total);
                bar.set_position(done);
                // What was done before says nothing about the rate.
                bar.reset_eta();
                bar.enable_steady_tick(Duration::from_millis(250));
            }
            Shown::Lines(lines) => lines.begin(task, done, total),
        }
    }

    fn advance(&self, rows: u64) {
        self.forecast(|done| done + rows);
        match &self.shown {
            Shown::Nothing => {}
            Shown::Bar(bar) => bar.inc(rows),
            Shown::Lines(lines) => {
                lines.done.fetch_add(rows, Ordering::Relaxed);
                lines.show(None);
            }
        }
    }

    fn step(&mut self, info: &StepInfo) {
        self.forecast(|_| info.step);
        match &self.shown {
            Shown::Nothing => {}
            Shown::Bar(bar) => {
                bar.set_position(info.step);
                if info.step.is_multiple_of(20) {
                    bar.set_message(format!("loss {:.4}", info.loss));
                }
            }
            Shown::Lines(lines) => {
                lines.done.store(info.step, Ordering::Relaxed);
                lines.show(Some(info.loss));
            }
        }
    }

    fn note(&self, message: &str) {
        let note = || tell(&format!("note: {message}"));
        match &self.shown {
            Shown::Bar(bar) => bar.suspend(note),
            _ => note(),
        }
    }

    fn stop(&self) -> bool {
        self.stop.0.load(Ordering::Relaxed)
    }
}

/// Progress for a log: a line after ten seconds, and ever fewer, each when a tenth more time has passed.
#[derive(Default)]
struct Lines {
    done: AtomicU64,
    task: Mutex<Task>,
}

/// The stretch of work under way.
#[derive(Debug, Default)]
struct Task {
    name: String,
    /// When it began, with how much was done already, of how much.
    begun: Option<(Instant, u64, u64)>,
    /// When the next line is due, from then.
    due: Duration,
}

impl Lines {
    fn begin(&self, name: String, done: u64, total: u64) {
        self.done.store(done, Ordering::Relaxed);
        let begun = Some((Instant::now(), done, total));
        if let Ok(mut task) = self.task.lock() {
            *task = Task { name, begun, due: next(Duration::ZERO) };
        }
    }

    fn show(&self, loss: Option<f64>) {
        // Whoever else holds it shows a line.
        let Ok(mut task) = self.task.try_lock() else { return };
        let Some((start, first, total)) = task.begun else { return };
        let passed = start.elapsed();
        if passed < task.due {
            return;
        }
        task.due = next(passed);
        let done = self.done.load(Ordering::Relaxed);
        tell(&line(&task.name, passed.as_secs_f64(), (first, done, total), loss));
    }
}

/// When a line is due after one at `passed`.
fn next(passed: Duration) -> Duration {
    (passed + Duration::from_secs(10)).max(passed.mul_f64(1.1))
}

/// Work that was at `first` so many seconds ago, in words.
fn line(name: &str, seconds: f64, (first, done, total): (u64, u64, u64), loss: Option<f64>) -> String {
    let rate = done.saturating_sub(first) as f64 / seconds;
    let mut text = match total {
        0 => format!("progress: {name}, {seconds:.0} s"),
        _ => format!("progress: {name} {done}/{total}"),
    };
    if total > 0 && rate > 0.0 {
        let left = total.saturating_sub(done) as f64 / rate;
        let digits = usize::from(rate < 10.0);
        text.push_str(&format!(", {rate:.digits$}/s, {left:.0} s left"));
    }
    text.extend(loss.map(|loss| format!(", loss {loss:.4}")));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_work_is_told_beforehand() {
        let words = |done: u64, total: u64| {
            let forecast =
                Forecast { task: "a: training".to_owned(), begun: Instant::now(), first: 100, done, total };
            forecast.words(Duration::from_secs(5))
        };
        assert_eq!((words(150, 30_000), words(100, 1 << 40), words(99, 1 << 40)), (None, None, None));
        let hours = words(150, 100_000).expect("it takes three hours");
        assert!(
            hours.starts_with("a: training will take about 3 h at the rate of its first seconds"),
            "{hours}"
        );
        assert!(words(150, 10_000_000).expect("it takes weeks").contains("about 12 days"));
    }

    #[test]
    fn lines_say_how_far_it_is() {
        let text = line("a: training", 20.0, (100, 300, 1100), Some(1.5));
        assert_eq!(text, "progress: a: training 300/1100, 10/s, 80 s left, loss 1.5000");
        assert_eq!(line("a: samples", 10.0, (0, 5, 10), None), "progress: a: samples 5/10, 0.5/s, 10 s left");
        assert_eq!(line("a: tests", 10.0, (0, 0, 0), None), "progress: a: tests, 10 s");
        assert_eq!(line("a: slow", 10.0, (7, 7, 9), None), "progress: a: slow 7/9");
    }

    #[test]
    fn a_day_has_not_many_lines() {
        let (mut now, mut lines) = (Duration::ZERO, 0);
        while now < Duration::from_secs(86_400) {
            (now, lines) = (next(now), lines + 1);
        }
        assert!((60..100).contains(&lines), "{lines}");
    }
}
