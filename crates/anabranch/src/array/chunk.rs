//! How rows are cut into chunks: by their number alone, so that results do not depend on threads.

/// The most rows of a chunk.
const CHUNK: usize = 128;

/// Rows per chunk when `rows` are cut into the fewest even chunks.
pub(super) fn chunk_rows(rows: usize) -> usize {
    rows.div_ceil(rows.div_ceil(CHUNK).max(1)).max(1)
}
