//! The checkerboard: `1 / 32` on the 8 closed cells of side 2 of [-4, 4]^2 with `floor(x / 2) + floor(y / 2)` even.
//!
//! Its entropy is `ln 32`. The log-density is minus infinity elsewhere and has gradient zero wherever it has one:
//! reverse KL and the other objectives that average `log w` over forward paths mean nothing here.

/// The area of the cells.
pub const AREA: f64 = 32.0;

/// The point of cell `floor(8 u_0)` at `(u_1, u_2)`.
pub fn point(u: [f64; 3]) -> [f64; 2] {
    let cell = (u[0] * 8.0).floor().min(7.0);
    let (row, column) = ((cell / 2.0).floor(), cell % 2.0);
    let x = 2.0 * (2.0 * column + row % 2.0) - 4.0;
    [x + 2.0 * u[1], 2.0 * row - 4.0 + 2.0 * u[2]]
}

/// The log-density, `-ln 32` or minus infinity.
pub fn log_density(x: [f64; 2]) -> f64 {
    // A point on an edge belongs to the cells on both sides, as rounding may put samples there.
    let cells = |v: f64| [(v / 2.0).floor(), (v / 2.0).ceil() - 1.0];
    let on_board = |cell: f64| (-2.0..2.0).contains(&cell);
    let [columns, rows] = x.map(cells);
    let filled =
        |column: f64, row: f64| on_board(column) && on_board(row) && (column + row).rem_euclid(2.0) == 0.0;
    if columns.iter().any(|column| rows.iter().any(|row| filled(*column, *row))) {
        -AREA.ln()
    } else {
        f64::NEG_INFINITY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_closed() {
        let inside = -(32f64.ln());
        for point in [[-3.0, -3.5], [4.0, 4.0], [-4.0, -4.0], [0.0, 1.0], [2.0, 2.5], [3.9, 2.1], [0.0, -1.0]]
        {
            assert_eq!(log_density(point), inside, "{point:?}");
        }
        for point in [[-1.0, -3.0], [4.1, 3.0], [1.0, -1.0], [-5.0, -3.0], [f64::NAN, 1.0], [1e300, 0.0]] {
            assert_eq!(log_density(point), f64::NEG_INFINITY, "{point:?}");
        }
    }
}
