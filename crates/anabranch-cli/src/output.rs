//! What reaches the terminal: results on stdout, everything else on stderr. Names come from files of anybody: none of them moves the
//! cursor or colours a line.

use std::borrow::Cow;
use std::io::{ErrorKind, Write};
use std::path::Path;

use anabranch::error::{Error, Result};

/// Text without characters that a terminal obeys, lines and tabs apart.
fn plain(text: &str) -> Cow<'_, str> {
    let obeyed = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if !text.contains(obeyed) {
        return text.into();
    }
    let shown = |c: char| if obeyed(c) { c.escape_debug().to_string() } else { c.to_string() };
    text.chars().map(shown).collect::<String>().into()
}

/// Writes a result to stdout. A reader who has seen enough, as `head` has, is no error.
pub fn say(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(plain(text).as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Error::io("write to", Path::new("stdout"), error))
        }
        _ => Ok(()),
    }
}

/// Writes a line to stderr; where that is closed, nobody wants to know.
pub fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", plain(text));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_told_nothing_by_names() {
        assert_eq!(plain("a\tb\n"), "a\tb\n");
        assert_eq!(plain("\u{1b}[31mred\r\u{9b}x"), "\\u{1b}[31mred\\r\\u{9b}x");
    }
}
