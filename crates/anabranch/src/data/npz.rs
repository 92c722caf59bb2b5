//! NumPy's NPZ files: ZIP archives of NPY files.

use std::io::Cursor;

use super::columns::Wanted;
use super::unpack::{MOST_UNPACKED, too_large, unpack};
use super::{Table, npy};
use crate::error::{Problem, Result};

/// Reads the array `member` of an archive, or its only one.
///
/// # Errors
/// If the archive is damaged, there is no such array or, without a name, no or more than one, and for what is wrong
/// with an NPY file.
pub(super) fn read(place: &str, bytes: &[u8], member: Option<&str>, wanted: Wanted<'_>) -> Result<Table> {
    let damaged = |error: &dyn std::fmt::Display| {
        Problem::new(place, format!("a ZIP archive that cannot be read ({error})"))
            .allowed("an NPZ file, stored or deflated")
    };
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(|error| damaged(&error))?;
    let names: Vec<String> =
        archive.file_names().filter_map(|name| name.strip_suffix(".npy")).map(str::to_owned).collect();
    let name = match (member, &names[..]) {
        (_, []) => {
            return Err(Problem::new(place, "a ZIP archive without arrays").allowed("an NPZ file").into());
        }
        (Some(member), names) if names.iter().any(|name| name == member) => member,
        (Some(member), names) => {
            return Err(Problem::new(place, format!("\"{member}\"")).choices(names).into());
        }
        (None, [only]) => only,
        (None, names) => {
            return Err(Problem::new(place, format!("{} arrays", names.len()))
                .allowed(format!("one of them, as {place}:NAME; NAME is one of {}", names.join(", ")))
                .into());
        }
    };
    let file = archive.by_name(&format!("{name}.npy")).map_err(|error| damaged(&error))?;
    let array = unpack(file, MOST_UNPACKED).map_err(|error| damaged(&error))?;
    let place = format!("{place}:{name}");
    let array = array.ok_or_else(|| too_large(&place))?;
    if !array.starts_with(npy::MAGIC) {
        return Err(Problem::new(place, "no NPY file").allowed("an NPY file").into());
    }
    npy::read(&place, &array, wanted)
}
