//! Files that are there whole or not at all: written beside their place, flushed to disk, then renamed.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Writes a file through `write`; the file at `path` is replaced only when all of it is on disk.
///
/// # Errors
/// If anything cannot be written; the temporary file is removed and `path` is as it was.
pub fn atomic_write(path: &Path, write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<()> {
    let temporary = beside(path);
    let attempt = || -> std::io::Result<()> {
        let file = File::create(&temporary)?;
        // Tells [`remove_torn`] that the writer lives; where there are no locks, torn files stay.
        let _ = file.lock();
        let mut file = std::io::BufWriter::new(file);
        write(&mut file)?;
        file.into_inner().map_err(|error| error.into_error())?.sync_all()?;
        std::fs::rename(&temporary, path)
    };
    attempt().map_err(|error| {
        // The first failure is the one to report; a temporary that cannot be removed either says nothing new.
        let _ = std::fs::remove_file(&temporary);
        Error::io("write", path, error)
    })
}

/// The temporary file of this process for `path`.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    path.with_file_name(name)
}

/// Whether [`atomic_write`] could make `path`, asked before the work of a long time is put into it.
///
/// # Errors
/// If it could not.
pub fn check_writable(path: &Path) -> Result<()> {
    let attempt = || {
        if path.is_dir() {
            return Err(std::io::ErrorKind::IsADirectory.into());
        }
        let temporary = beside(path);
        File::create(&temporary)?;
        std::fs::remove_file(temporary)
    };
    attempt().map_err(|error| Error::io("write", path, error))
}

/// Removes what killed writers left in a directory: temporary files that no process holds any more.
pub fn remove_torn(directory: &Path) {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let parts =
        entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "part"));
    for path in parts {
        let torn = File::open(&path).is_ok_and(|file| file.try_lock().is_ok());
        if torn {
            // It is in nobody's way if it cannot be removed.
            let _ = std::fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_torn_files_are_removed() {
        let directory = std::env::temp_dir().join(format!("anabranch-torn-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("old.1.part"), "torn").unwrap();
        std::fs::write(directory.join("other"), "whole").unwrap();
        atomic_write(&directory.join("new"), |out| {
            remove_torn(&directory);
            out.write_all(b"whole")
        })
        .unwrap();
        assert!(directory.join("new").exists() && directory.join("other").exists());
        assert!(!directory.join("old.1.part").exists());
        std::fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn a_failed_write_leaves_the_old_file() {
        let directory = std::env::temp_dir().join(format!("anabranch-atomic-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("file");
        atomic_write(&path, |out| out.write_all(b"old")).unwrap();
        let failed = atomic_write(&path, |out| {
            out.write_all(b"ne")?;
            Err(std::io::Error::from(std::io::ErrorKind::StorageFull))
        });
        assert!(failed.is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 1);
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
