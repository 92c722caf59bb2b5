//! Grey images as PNG, and PNG as text.

use super::svg::escape;

/// RFC 4648 base64, with padding.
///
/// ```
/// assert_eq!(anabranch::plot::base64(b"foob"), "Zm9vYg==");
/// ```
pub fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word =
            chunk.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let index = (word >> (18 - 6 * place)) & 63;
            out.push(if place <= chunk.len() { char::from(ALPHABET[index as usize]) } else { '=' });
        }
    }
    out
}

/// Values as grey levels: `low` is black (0), `high` white (255), what lies beyond is cut off; what is not a number is
/// black.
pub fn grey_levels(values: &[f32], low: f32, high: f32) -> Vec<u8> {
    let span = if high > low { high - low } else { 1.0 };
    values.iter().map(|value| (((value - low) / span).clamp(0.0, 1.0) * 255.0).round() as u8).collect()
}

/// Encodes an 8-bit image.
///
/// # Panics
/// If the number of bytes does not fit the size, or the image is empty.
pub(super) fn encode(width: usize, height: usize, colour: png::ColorType, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, width as u32, height as u32);
    encoder.set_color(colour);
    encoder.set_depth(png::BitDepth::Eight);
    let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(bytes));
    written.expect("memory takes an image of matching size");
    out
}

/// Grey images of one size, in rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageGrid {
    /// The height of one image, pixels.
    pub height: usize,
    /// The width of one image, pixels.
    pub width: usize,
    /// How many images stand in a row.
    pub columns: usize,
    /// The images, row-major, each of `height * width` grey levels.
    pub tiles: Vec<Vec<u8>>,
}

impl ImageGrid {
    fn rows(&self) -> usize {
        self.tiles.len().div_ceil(self.columns.max(1)).max(1)
    }

    /// The size of the whole, pixels: images and a transparent pixel between two of them.
    pub fn size(&self) -> (usize, usize) {
        let columns = self.columns.max(1);
        (((self.width + 1) * columns - 1).max(1), ((self.height + 1) * self.rows() - 1).max(1))
    }

    /// The PNG file, grey with transparency.
    pub fn png(&self) -> Vec<u8> {
        let (width, height) = self.size();
        let mut pixels = vec![0u8; 2 * width * height];
        for (index, tile) in self.tiles.iter().enumerate() {
            let (row, column) = (index / self.columns.max(1), index % self.columns.max(1));
            for (place, level) in tile.iter().take(self.height * self.width).enumerate() {
                let y = row * (self.height + 1) + place / self.width;
                let x = column * (self.width + 1) + place % self.width;
                pixels[2 * (y * width + x)] = *level;
                pixels[2 * (y * width + x) + 1] = 255;
            }
        }
        encode(width, height, png::ColorType::GrayscaleAlpha, &pixels)
    }

    /// An HTML image of the grid, every pixel `scale` screen pixels wide and sharp.
    pub fn html(&self, scale: usize, description: &str) -> String {
        let (width, height) = self.size();
        format!(
            "<img width=\"{}\" height=\"{}\" alt=\"{}\" style=\"image-rendering:pixelated;max-width:100%;height:auto\" src=\"data:image/png;base64,{}\"/>",
            width * scale,
            height * scale,
            escape(description),
            base64(&self.png())
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_has_the_vectors_of_rfc_4648() {
        let vectors = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ];
        vectors.iter().for_each(|(plain, coded)| assert_eq!(base64(plain.as_bytes()), *coded));
        assert_eq!(base64(&[0xFB, 0xEF, 0xFF]), "++//");
    }

    #[test]
    fn grey_levels_cover_the_range() {
        let values = [-1.0, 0.0, 8.0, 16.0, 99.0, f32::NAN];
        assert_eq!(grey_levels(&values, 0.0, 16.0), [0, 0, 128, 255, 255, 0]);
        assert_eq!(grey_levels(&[3.0, 4.0], 3.0, 3.0), [0, 255]);
    }

    #[test]
    fn a_grid_puts_each_image_in_its_place() {
        let grid = ImageGrid {
            height: 1,
            width: 2,
            columns: 2,
            tiles: vec![vec![10, 20], vec![30, 40], vec![50, 60]],
        };
        assert_eq!(grid.size(), (5, 3));
        let png = grid.png();
        let mut reader = png::Decoder::new(std::io::Cursor::new(&png)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        let levels: Vec<(u8, u8)> = pixels.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
        let (gap, opaque) = ((0, 0), |level| (level, 255));
        assert_eq!(levels[..5], [opaque(10), opaque(20), gap, opaque(30), opaque(40)]);
        assert_eq!(levels[5..10], [gap; 5]);
        assert_eq!(levels[10..], [opaque(50), opaque(60), gap, gap, gap]);
    }

    #[test]
    fn an_empty_grid_is_still_an_image() {
        let grid = ImageGrid { height: 4, width: 4, columns: 3, tiles: Vec::new() };
        assert!(roxmltree::Document::parse(&grid.html(2, "no \"images\"")).is_ok());
    }
}
