//! One writer at a time: a lock on a directory that the operating system lets go when its holder ends, however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use crate::error::{Error, Problem, Result};

/// A held lock, let go when dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Locks `directory` by its file `lock`. Where the file system knows no locks, nothing is locked.
    ///
    /// # Errors
    /// If another process holds the lock, or the file cannot be made.
    pub fn take(directory: &Path) -> Result<Self> {
        let path = directory.join("lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(|error| Error::output(&directory.display().to_string(), &path, error))?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => {
                Err(Problem::new(directory.display().to_string(), "a run that another process works on")
                    .allowed("a directory that no other process writes to")
                    .into())
            }
            Ok(()) | Err(TryLockError::Error(_)) => Ok(Self { _file: file }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_locked_until_its_holder_lets_go() {
        let directory = std::env::temp_dir().join(format!("anabranch-lock-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let held = Lock::take(&directory).unwrap();
        let error = Lock::take(&directory).unwrap_err();
        assert!(error.is_input() && error.to_string().contains("another process"), "{error}");
        drop(held);
        Lock::take(&directory).unwrap();
        std::fs::remove_dir_all(&directory).unwrap();
        assert!(Lock::take(&directory).unwrap_err().is_input(), "there is no such directory");
    }
}
