//! Trajectories that were given up before their end.

use super::*;

/// Some trajectories of [`LENGTHS`], none of which had to stop.
fn cut(paths: &mut Paths) {
    paths.cut = (0..LENGTHS.len()).map(|b| matches!(b, 1 | 4 | 6)).collect();
}

fn of_any_end() -> impl Iterator<Item = (ObjectiveRecipe, Arc<dyn PathObjective>)> {
    objectives().into_iter().filter(|(_, objective)| !objective.needs().every_end)
}

#[test]
fn slopes_agree_with_differences_where_trajectories_were_cut() {
    let mut checked = 0;
    for (_, objective) in of_any_end() {
        let mut paths = random_paths(1, &LENGTHS);
        cut(&mut paths);
        check_slopes(objective.as_ref(), &mut paths);
        checked += 1;
    }
    assert!(checked > 20, "{checked}");
}

/// Where all flows are exact, a trajectory that was cut is in balance as far as it goes.
#[test]
fn what_is_left_of_exact_trajectories_costs_nothing() {
    for graph in graphs() {
        let trajectories = graph.trajectories();
        let flows = graph.flows(graph.random_backward(3));
        for (recipe, objective) in of_any_end() {
            let needs = objective.needs();
            if matches!(needs.reference, ReferenceKind::Prior { .. }) {
                continue;
            }
            let mut paths = graph.paths(&flows, &trajectories, needs.flow && needs.partial);
            shorten(&mut paths);
            let (loss, slopes) = evaluate(objective.as_ref(), &paths);
            assert!(loss.abs() < 1e-11, "{}, {recipe:?}: {loss}", graph.name);
            for (name, _, of) in &ARRAYS[..5] {
                let largest = of(&slopes).iter().fold(0.0, |m: f64, slope| m.max(slope.abs()));
                assert!(largest < 1e-11, "{}, {recipe:?}: a slope by {name} is {largest}", graph.name);
            }
        }
    }
}

/// Cuts the last state off every second trajectory that has more than one.
fn shorten(paths: &mut Paths) {
    let kept: Vec<(usize, usize, bool)> = (0..paths.trajectories())
        .map(|b| {
            let rows = paths.trajectory(b);
            let cut = b % 2 == 1 && rows.len() > 1;
            (rows.start, rows.end - usize::from(cut), cut)
        })
        .collect();
    let rows: Vec<usize> = kept.iter().flat_map(|(start, end, _)| *start..*end).collect();
    let stop = paths.stop.clone();
    let Reference { forward, flow, stop: reference_stop, divergence } =
        paths.reference.as_mut().expect("a reference");
    for values in [
        &mut paths.forward,
        &mut paths.backward,
        &mut paths.flow,
        &mut paths.stop,
        &mut paths.partial,
        forward,
        flow,
        reference_stop,
        divergence,
    ] {
        *values = rows.iter().map(|row| values[*row]).collect();
    }
    paths.forced = rows.iter().map(|row| paths.forced[*row]).collect();
    paths.starts = std::iter::once(0)
        .chain(kept.iter().scan(0, |sum, (start, end, _)| {
            *sum += end - start;
            Some(*sum)
        }))
        .collect();
    paths.cut = kept.iter().map(|(_, _, cut)| *cut).collect();
    // The last row says what stopping there would be, and has no move.
    for b in 0..paths.trajectories() {
        if paths.cut[b] {
            let last = paths.starts[b + 1] - 1;
            paths.forward[last] = stop[rows[last]];
            paths.reference.as_mut().expect("a reference").forward[last] = stop[rows[last]];
            paths.backward[last] = 0.0;
            paths.log_reward[b] = f64::NEG_INFINITY;
        }
    }
}

/// They weigh nothing, and a batch of nothing else costs nothing.
#[test]
fn a_cut_trajectory_weighs_nothing() {
    let mut paths = random_paths(4, &LENGTHS);
    cut(&mut paths);
    for (b, weight) in paths.log_weights().into_iter().enumerate() {
        assert_eq!(weight == f64::NEG_INFINITY, paths.is_cut(b));
    }
    paths.cut.fill(true);
    for (recipe, objective) in of_any_end() {
        let whole = matches!(
            recipe,
            ObjectiveRecipe::TrajectoryBalance(_)
                | ObjectiveRecipe::LogVariance(_)
                | ObjectiveRecipe::RelativeTrajectoryBalance(_)
                | ObjectiveRecipe::RelativeLogVariance(_)
                | ObjectiveRecipe::TrustPcl(_)
        );
        let (loss, slopes) = evaluate(objective.as_ref(), &paths);
        assert!(loss.is_finite() && (loss == 0.0 || !whole), "{recipe:?}: {loss}");
        assert!(slopes.forward.iter().all(|slope| slope.is_finite() && (*slope == 0.0 || !whole)));
    }
}
