//! How much memory there is: the machine's, or what this process or its control group is held to.

use std::path::{Path, PathBuf};

use rustix::process::{Resource, getrlimit};

use crate::error::{Problem, Result};

/// Bytes for each weight of a model that is trained: moments, averages, gradients, the best so far, a checkpoint.
pub(super) const PER_WEIGHT: f64 = 40.0;

/// Bytes for each number that a batch leaves on the tape: itself, its slope, and what is on the way.
pub(super) const PER_NUMBER: f64 = 12.0;

/// Refuses what needs more memory than there is; `place` is the key that decides how much.
///
/// # Errors
/// If so.
pub(super) fn fits(place: &str, bytes: f64) -> Result<()> {
    match limits().into_iter().min_by_key(|(limit, _)| *limit) {
        Some((limit, whose)) if bytes > limit as f64 => {
            let found = format!("what needs about {} of memory", size(bytes));
            Err(Problem::new(place, found).allowed(format!("at most {}, {whose}", size(limit as f64))).into())
        }
        _ => Ok(()),
    }
}

/// Bytes in words.
fn size(bytes: f64) -> String {
    format!("{:.1} GB", bytes / 1e9)
}

/// All limits that can be read, in bytes, with whose they are.
fn limits() -> Vec<(u64, &'static str)> {
    let machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| total(&text));
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let group = files(&groups, Path::new("/sys/fs/cgroup"))
        .into_iter()
        .filter_map(|path| std::fs::read_to_string(path).ok()?.trim().parse().ok())
        .min();
    let all = [
        (machine, "the memory of the machine"),
        (getrlimit(Resource::As).current, "the limit of the process (ulimit -v)"),
        (group, "the limit of the control group"),
    ];
    all.into_iter().filter_map(|(limit, whose)| Some((limit?, whose))).collect()
}

/// The bytes that `/proc/meminfo` tells of.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(1024 * line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?)
}

/// The files below `root` that limit a process which is in these control groups, whose parents' limits hold for it, too.
fn files(groups: &str, root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let (base, file) = match controllers {
            "" => (root.to_owned(), "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                (root.join("memory"), "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let inner = PathBuf::from(path.trim_start_matches('/'));
        found.extend(inner.ancestors().map(|group| base.join(group).join(file)));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_where_they_stand() {
        assert_eq!(total("MemFree: 1 kB\nMemTotal:       16384 kB\n"), Some(16 << 20));
        let found = files("0::/a/b\n", Path::new("/r"));
        let named = ["/r/a/b/memory.max", "/r/a/memory.max", "/r/memory.max"].map(PathBuf::from);
        assert_eq!(found, named);
        let old = files("5:cpu,memory:/x\n3:pids:/x\n", Path::new("/r"));
        assert_eq!(old[0], Path::new("/r/memory/x/memory.limit_in_bytes"));
        assert_eq!(old.len(), 2);
    }

    #[test]
    fn what_is_larger_than_the_machine_is_refused() {
        assert!(fits("training.batch", 1e6).is_ok());
        let error = fits("training.batch", 1e18).unwrap_err().to_string();
        assert!(error.contains("training.batch") && error.contains("1000000000.0 GB"), "{error}");
    }
}
