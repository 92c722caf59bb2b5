//! Files that are there whole or not at all: written beside their place, flushed to disk, then renamed.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Writes a file through `write`; the file at `path` is replaced only when all of it is on disk.
///
/// A link stays, and what it leads to is replaced; a device or a pipe, which cannot be replaced, is written to.
///
/// # Errors
/// If anything cannot be written; the temporary file is removed and `path` is as it was.
pub fn atomic_write(path: &Path, write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<()> {
    if is_special(path) {
        let attempt = || {
            let mut file = std::io::BufWriter::new(File::options().write(true).open(path)?);
            write(&mut file)?;
            file.flush()
        };
        return attempt().map_err(|error| Error::io("write", path, error));
    }
    let place = followed(path);
    let temporary = beside(&place);
    let attempt = || -> std::io::Result<()> {
        let file = File::create(&temporary)?;
        // Tells [`remove_torn`] that the writer lives; where there are no locks, torn files stay.
        let _ = file.lock();
        let mut file = std::io::BufWriter::new(file);
        write(&mut file)?;
        file.into_inner().map_err(|error| error.into_error())?.sync_all()?;
        std::fs::rename(&temporary, &place)
    };
    attempt().map_err(|error| {
        // The first failure is the one to report; a temporary that cannot be removed either says nothing new.
        let _ = std::fs::remove_file(&temporary);
        Error::io("write", path, error)
    })
}

/// Whether there is something at `path` that is neither a file nor a directory.
fn is_special(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| !found.is_file() && !found.is_dir())
}

/// `path` with the links resolved that it leads through; itself where there is nothing yet.
fn followed(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
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
        if is_special(path) {
            return File::options().write(true).open(path).map(|_| ());
        }
        let temporary = beside(&followed(path));
        File::create(&temporary)?;
        std::fs::remove_file(temporary)
    };
    attempt().map_err(|error| Error::io("write", path, error))
}

/// Removes what killed writers left in a directory: temporary files that no process holds any more.
pub fn remove_torn(directory: &Path) {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()).filter(|path| is_temporary(path)) {
        let torn = File::open(&path).is_ok_and(|file| file.try_lock().is_ok());
        if torn {
            // It is in nobody's way if it cannot be removed.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Whether a name is one that [`beside`] gives: others' files may end in `.part`, too.
fn is_temporary(path: &Path) -> bool {
    let process = path.file_stem().map(Path::new).and_then(Path::extension);
    path.extension().is_some_and(|extension| extension == "part")
        && process.is_some_and(|number| number.as_encoded_bytes().iter().all(u8::is_ascii_digit))
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
        std::fs::write(directory.join("thesis.part"), "not ours").unwrap();
        atomic_write(&directory.join("new"), |out| {
            remove_torn(&directory);
            out.write_all(b"whole")
        })
        .unwrap();
        assert!(directory.join("new").exists() && directory.join("other").exists());
        assert!(!directory.join("old.1.part").exists() && directory.join("thesis.part").exists());
        std::fs::remove_dir_all(&directory).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn links_and_devices_stay_what_they_are() {
        use std::os::unix::fs::{FileTypeExt, symlink};
        let directory = std::env::temp_dir().join(format!("anabranch-links-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let (file, link) = (directory.join("file"), directory.join("link"));
        std::fs::write(&file, "old").unwrap();
        symlink(&file, &link).unwrap();
        check_writable(&link).unwrap();
        atomic_write(&link, |out| out.write_all(b"new")).unwrap();
        assert!(link.is_symlink() && std::fs::read(&file).unwrap() == b"new");
        // A link to a device of its own: were the device replaced, it would be this test's link alone.
        let null = directory.join("null");
        symlink("/dev/null", &null).unwrap();
        check_writable(&null).unwrap();
        atomic_write(&null, |out| out.write_all(b"gone")).unwrap();
        assert!(null.is_symlink() && null.metadata().unwrap().file_type().is_char_device());
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 3);
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
