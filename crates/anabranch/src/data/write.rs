//! Writing samples in the formats that others read.

use std::path::Path;
use std::str::FromStr;

use super::atomic::atomic_write;
use super::png::Grid;
use super::zarr::{Group, Numbers, Variable};
use super::{Discrete, csv, npy, parquet, zarr};
use crate::error::{Error, Problem, Result};

/// A file format of samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// NumPy's: f32, shape `[rows, columns]`.
    Npy,
    /// Comma-separated numbers and words, one row a line, under a header where the columns have names; as many digits as give the same
    /// f32 again.
    Csv,
    /// Parquet: columns of floats, integers or text under their own names, or `x0`, `x1`, ..., packed with snappy.
    Parquet,
    /// All rows as grey images, side by side in one picture.
    Png,
    /// Objects as text, as their environment writes them, one a line.
    Txt,
    /// A directory that xarray and ArviZ read: see [`zarr`].
    Zarr,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 6] = [Self::Npy, Self::Csv, Self::Parquet, Self::Png, Self::Txt, Self::Zarr];

    /// Its name, which is its usual extension as well.
    pub fn name(self) -> &'static str {
        match self {
            Self::Npy => "npy",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
            Self::Png => "png",
            Self::Txt => "txt",
            Self::Zarr => "zarr",
        }
    }

    /// The format that the extension of `path` names, whether in small or in capital letters; NPY where there is none.
    ///
    /// # Errors
    /// If the extension is another one.
    pub fn of(path: &Path) -> Result<Self> {
        match path.extension().map(|extension| extension.to_string_lossy().to_lowercase()) {
            None => Ok(Self::Npy),
            Some(extension) => Self::named(&format!("--out {}", path.display()), &extension),
        }
    }

    fn named(place: &str, name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|format| format.name() == name);
        let names = Self::ALL.map(Self::name);
        found.ok_or_else(|| Problem::new(place, format!("\"{name}\"")).choices(&names).into())
    }

    /// Checks that data can be written in this format, of which `image` gives height and width if they are images; `text` says
    /// whether they are objects that have a text.
    ///
    /// # Errors
    /// If a picture is asked for of what is none, or the text of what has none.
    pub fn check(self, image: Option<[usize; 2]>, text: bool) -> Result<()> {
        if self == Self::Txt && !text {
            return Err(Problem::new("txt", "samples that are numbers")
                .allowed("npy, csv, parquet or zarr; or a run of a flow network, or of characters")
                .into());
        }
        if self == Self::Png && image.is_none() {
            return Err(Problem::new("png", "samples that are no images")
                .allowed(
                    "npy, csv, parquet or zarr; or a run whose recipe says target.image = [height, width]",
                )
                .into());
        }
        Ok(())
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::named("--format", name)
    }
}

/// What the rows of samples are.
#[derive(Debug, Clone, Copy)]
pub struct Layout<'a> {
    /// How many numbers a row has.
    pub columns: usize,
    /// The height and width of a row that is a grey image.
    pub image: Option<[usize; 2]>,
    /// How many levels the numbers have; 0 for continuous ones.
    pub levels: u32,
    /// What the columns are called, where they have names.
    pub names: Option<&'a [String]>,
    /// Columns of integers and of words beside real ones.
    pub discrete: &'a [Discrete],
}

impl Layout<'_> {
    /// Rows of continuous numbers without names.
    pub fn of(columns: usize) -> Self {
        Self { columns, image: None, levels: 0, names: None, discrete: &[] }
    }
}

/// Writes row-major samples to `path`, which is replaced only when all of them are on disk.
///
/// A picture is black at 0 and white at `levels - 1`, or, for continuous data, black at the lowest and white at the highest finite
/// number of all.
///
/// # Errors
/// If the file cannot be written, or is to be a picture of what is none.
///
/// # Panics
/// If there are no columns, or their number does not divide that of the values.
pub fn write_samples(path: &Path, format: Format, values: &[f32], layout: &Layout<'_>) -> Result<()> {
    let Layout { columns, image, levels, names, discrete } = *layout;
    assert!(columns > 0 && values.len().is_multiple_of(columns), "samples are rows of {columns} numbers");
    match format {
        Format::Npy => atomic_write(path, |out| npy::write(out, values, columns)),
        Format::Csv => atomic_write(path, |out| csv::write(out, values, columns, names, discrete)),
        Format::Parquet => atomic_write(path, |out| {
            out.write_all(&parquet::write(values, columns, names, discrete).map_err(std::io::Error::other)?)
        }),
        Format::Txt => format.check(image, false),
        Format::Zarr => {
            let (rows, numbers) = (values.len() / columns, Numbers::Single(values.to_vec()));
            let variables = vec![Variable::of_draws("x", rows, Some(("x_dim_0", columns)), numbers)];
            zarr::write_zarr(path, &[Group { name: "posterior".to_owned(), variables, ..Group::default() }])
        }
        Format::Png => {
            format.check(image, false)?;
            let [height, width] = image.unwrap_or_default();
            if height.checked_mul(width) != Some(columns) {
                return Err(Problem::new("target.image", format!("{height} x {width}"))
                    .allowed(format!(
                        "a height and a width whose product is the number of columns, {columns}"
                    ))
                    .into());
            }
            let finite = || values.iter().copied().filter(|value| value.is_finite());
            let (low, high) = match levels {
                0 => (finite().fold(f32::INFINITY, f32::min), finite().fold(f32::NEG_INFINITY, f32::max)),
                levels => (0.0, (levels - 1) as f32),
            };
            let grid = Grid::new(height, width, values.len() / columns);
            let size = grid.size()?;
            atomic_write(path, |out| grid.write(out, size, values, low, high))
        }
    }
}

/// Writes objects in words to `path`, which is replaced only when all of them are on disk: as a column `object` and, where it is known, one of
/// log-rewards, nats; or, as `txt`, as lines.
///
/// # Errors
/// If the file cannot be written.
///
/// # Panics
/// If the format is one of numbers, or there is not one log-reward for each.
pub fn write_objects(
    path: &Path,
    format: Format,
    texts: &[String],
    log_rewards: Option<&[f64]>,
) -> Result<()> {
    assert!(log_rewards.is_none_or(|all| all.len() == texts.len()), "a log-reward for each object");
    match format {
        Format::Csv => atomic_write(path, |out| csv::write_objects(out, texts, log_rewards)),
        Format::Parquet => atomic_write(path, |out| {
            out.write_all(&parquet::write_objects(texts, log_rewards).map_err(std::io::Error::other)?)
        }),
        Format::Txt => write_lines(path, texts.iter().cloned()),
        Format::Npy | Format::Png | Format::Zarr => unreachable!("{} has no words", format.name()),
    }
}

/// Writes lines of text to `path`, which is replaced only when all of them are on disk.
///
/// # Errors
/// If the file cannot be written.
pub fn write_lines(path: &Path, lines: impl Iterator<Item = String>) -> Result<()> {
    let text: String = lines.map(|line| line + "\n").collect();
    atomic_write(path, |out| out.write_all(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_have_names() {
        for format in Format::ALL {
            assert_eq!(format.name().parse::<Format>().unwrap(), format);
            assert_eq!(
                Format::of(Path::new(&format!("a.b.{}", format.name().to_uppercase()))).unwrap(),
                format
            );
        }
        assert_eq!(Format::of(Path::new("samples")).unwrap(), Format::Npy);
        let message = "parquett".parse::<Format>().unwrap_err().to_string();
        assert_eq!(
            message,
            "--format: found \"parquett\"; allowed: npy, csv, parquet, png, txt, zarr; did you mean \"parquet\"?"
        );
        let other = Format::of(Path::new("a.jpg")).unwrap_err().to_string();
        assert!(
            other.starts_with("--out a.jpg: found \"jpg\"; allowed: npy, csv, parquet, png, txt, zarr"),
            "{other}"
        );
    }

    #[test]
    fn pictures_need_images() {
        let path = Path::new("never-written.png");
        let message = |image| {
            write_samples(path, Format::Png, &[1.0; 6], &Layout { image, ..Layout::of(3) })
                .unwrap_err()
                .to_string()
        };
        assert!(message(None).starts_with("png: found samples that are no images; allowed: npy"));
        assert!(
            message(Some([2, 2])).starts_with("target.image: found 2 x 2; allowed: a height and a width")
        );
        assert!(!path.exists());
    }
}
