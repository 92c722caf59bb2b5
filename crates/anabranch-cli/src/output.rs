//! What reaches the terminal: results on stdout, everything else on stderr.

use std::io::{ErrorKind, Write};
use std::path::Path;

use anabranch::error::{Error, Result};

/// Writes a result to stdout. A reader who has seen enough, as `head` has, is no error.
pub fn say(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Error::io("write to", Path::new("stdout"), error))
        }
        _ => Ok(()),
    }
}

/// Writes a line to stderr; where that is closed, nobody wants to know.
pub fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
