//! Grey images side by side in one PNG file.

use std::io::Write;

use crate::error::{Problem, Result};

/// The grey between images and in unused places: neither black nor white, either of which may be a background.
const GAP: u8 = 128;

/// Images of `height x width` pixels in rows and columns, one pixel apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grid {
    height: usize,
    width: usize,
    count: usize,
    across: usize,
}

impl Grid {
    /// The grid of `count` images whose full rows are as wide as it is high, or wider by less than one image.
    pub fn new(height: usize, width: usize, count: usize) -> Self {
        let ratio = (height + 1) as f64 / (width + 1) as f64;
        let across = (count as f64 * ratio).sqrt().ceil() as usize;
        Self { height, width, count, across: across.clamp(1, count.max(1)) }
    }

    /// Height and width in pixels.
    ///
    /// # Errors
    /// If a PNG file cannot be as large, or there would be no pixel.
    pub fn size(&self) -> Result<[u32; 2]> {
        let span = |images: usize, length: usize| {
            let pixels = images.checked_mul(length + 1)?.checked_sub(1)?;
            u32::try_from(pixels).ok().filter(|pixels| (1..=i32::MAX as u32).contains(pixels))
        };
        let down = self.count.div_ceil(self.across);
        match (span(down, self.height), span(self.across, self.width)) {
            (Some(height), Some(width)) if self.count * self.height * self.width > 0 => Ok([height, width]),
            _ => Err(Problem::new(
                "png",
                format!("{} images of {} x {}", self.count, self.height, self.width),
            )
            .allowed("as many as fit into a PNG file of 2147483647 pixels each way, and at least one pixel")
            .into()),
        }
    }

    /// Writes the images, row-major in `values`: grey from black at `low` to white at `high`.
    pub fn write(
        &self,
        out: &mut dyn Write,
        size: [u32; 2],
        values: &[f32],
        low: f32,
        high: f32,
    ) -> std::io::Result<()> {
        let [height, width] = size;
        let mut encoder = ::png::Encoder::new(out, width, height);
        encoder.set_color(::png::ColorType::Grayscale);
        encoder.set_depth(::png::BitDepth::Eight);
        let mut writer = encoder.write_header()?;
        let mut lines = writer.stream_writer()?;
        let mut line = vec![GAP; width as usize];
        for y in 0..height as usize {
            self.line(y, &mut line, values, |value| grey(value, low, high));
            lines.write_all(&line)?;
        }
        lines.finish()?;
        writer.finish()?;
        Ok(())
    }

    fn line(&self, y: usize, line: &mut [u8], values: &[f32], grey: impl Fn(f32) -> u8) {
        line.fill(GAP);
        let (down, inner) = (y / (self.height + 1), y % (self.height + 1));
        if inner == self.height {
            return;
        }
        let images = down * self.across..self.count.min((down + 1) * self.across);
        for (place, image) in images.enumerate() {
            let start = (image * self.height + inner) * self.width;
            let pixels = &mut line[place * (self.width + 1)..][..self.width];
            for (pixel, value) in pixels.iter_mut().zip(&values[start..]) {
                *pixel = grey(*value);
            }
        }
    }
}

/// Black at `low`, white at `high`; black where there is no number or no range.
fn grey(value: f32, low: f32, high: f32) -> u8 {
    (255.0 * (f64::from(value) - f64::from(low)) / (f64::from(high) - f64::from(low))).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pixels(bytes: &[u8]) -> ([u32; 2], Vec<u8>) {
        let mut reader = ::png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        assert_eq!(reader.output_color_type(), (::png::ColorType::Grayscale, ::png::BitDepth::Eight));
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        ([info.height, info.width], pixels)
    }

    #[test]
    fn images_stand_in_rows_with_gaps() {
        let grid = Grid::new(1, 2, 3);
        let mut bytes = Vec::new();
        let values = [0.0, 1.0, 2.0, 3.0, f32::NAN, 9.0];
        grid.write(&mut bytes, grid.size().unwrap(), &values, 0.0, 3.0).unwrap();
        let (size, found) = pixels(&bytes);
        assert_eq!(size, [3, 5]);
        assert_eq!(found, [0, 85, GAP, 170, 255, GAP, GAP, GAP, GAP, GAP, 0, 255, GAP, GAP, GAP]);
    }

    #[test]
    fn grids_are_nearly_square() {
        for (height, width, count, size) in [
            (8, 8, 64, [71, 71]),
            (8, 8, 10, [26, 35]),
            (28, 28, 1, [28, 28]),
            (1, 99, 100, [99, 199]),
            (3, 5, 2, [3, 11]),
        ] {
            assert_eq!(Grid::new(height, width, count).size().unwrap(), size, "{height} {width} {count}");
        }
        assert!(Grid::new(8, 8, 0).size().is_err());
        assert!(Grid::new(0, 8, 3).size().is_err());
        let absurd = Grid::new(1 << 20, 1 << 20, 1 << 24).size().unwrap_err().to_string();
        assert!(absurd.starts_with("png: found 16777216 images of 1048576 x 1048576"), "{absurd}");
    }

    #[test]
    fn greys() {
        assert_eq!([-1.0, 0.0, 8.0, 16.0, 99.0].map(|value| grey(value, 0.0, 16.0)), [0, 0, 128, 255, 255]);
        assert_eq!(grey(3.0, 3.0, 3.0), 0);
        assert_eq!(grey(0.0, f32::MIN, f32::MAX), 128);
    }
}
