//! Unpacking within bounds.

use std::io::Read;

use crate::error::{Error, Problem};

/// What a packed file may unpack to, bytes: a small file can claim more than any machine has.
pub(super) const MOST_UNPACKED: u64 = 1 << 32;

/// All that a decoder answers; `None` where that is more than `most` bytes.
pub(super) fn unpack(decoder: impl Read, most: u64) -> std::io::Result<Option<Vec<u8>>> {
    let mut plain = Vec::new();
    decoder.take(most + 1).read_to_end(&mut plain)?;
    Ok(Some(plain).filter(|plain| plain.len() as u64 <= most))
}

/// The error of a file that [`unpack`] gave up.
pub(super) fn too_large(place: &str) -> Error {
    Problem::new(place, format!("a packed file of more than {MOST_UNPACKED} bytes"))
        .allowed(format!("at most {MOST_UNPACKED} bytes when unpacked"))
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bomb of zeros is given up at the limit, and what ends there is whole.
    #[test]
    fn unpacking_stops_at_its_limit() {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        std::io::copy(&mut std::io::repeat(0).take(1 << 20), &mut packer).unwrap();
        let bomb = packer.finish().unwrap();
        assert!(bomb.len() < 2000);
        let size =
            |most| unpack(flate2::read::MultiGzDecoder::new(&bomb[..]), most).unwrap().map(|v| v.len());
        assert_eq!((size(1 << 20), size((1 << 20) - 1), size(0)), (Some(1 << 20), None, None));
        let torn = flate2::read::MultiGzDecoder::new(&bomb[..bomb.len() - 4]);
        assert!(unpack(torn, 1 << 20).is_err(), "the checksum is read, too");
        assert!(
            too_large("t.gz").to_string().starts_with("t.gz: found a packed file of more than 4294967296")
        );
    }
}
