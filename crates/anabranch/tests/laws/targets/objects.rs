//! Laws of targets over objects, by enumeration.

use std::collections::BTreeSet;

use anabranch::environment::Cell;
use anabranch::math::log_sum_exp;
use anabranch::target::checked;

use super::{Objects, objects};

impl Objects {
    fn count(&self) -> usize {
        self.objects.len() / self.cells
    }

    /// `log R` of all objects at a condition.
    fn log_rewards(&self, condition: &[f32]) -> Vec<f64> {
        let mut out = vec![f64::NAN; self.count()];
        let describe = |x: &[Cell]| format!("{x:?}");
        checked(self.reward.as_ref(), &self.objects, &condition.repeat(out.len()), &describe, &mut out)
            .unwrap_or_else(|failure| panic!("{}: {failure:?}", self.name));
        out
    }
}

/// Law 5: `log Z`, of a reward and of its powers, is the enumerated one.
#[test]
fn law_5_partition_functions_are_enumerated() {
    for instance in objects() {
        let Objects { name, reward, .. } = &instance;
        for condition in &instance.conditions {
            assert_eq!(reward.condition_width(), condition.len(), "{name}");
            let log_rewards = instance.log_rewards(condition);
            assert_eq!(reward.log_z(condition), reward.log_z_tempered(1.0, condition), "{name}");
            for (beta, known) in [(1.0, instance.known.0), (0.6, instance.known.1), (2.5, instance.known.1)] {
                let powers: Vec<f64> = log_rewards.iter().map(|value| beta * value).collect();
                let (found, exact) = (reward.log_z_tempered(beta, condition), log_sum_exp(&powers));
                assert_eq!(found.is_some(), known, "{name}, {beta}");
                let off = found.map_or(0.0, |found| (found - exact).abs());
                assert!(off < 1e-11 * exact.abs().max(1.0), "{name}, {beta}: {found:?}, {exact}");
            }
        }
    }
}

/// Law 5: there are as many modes as objects that are modes, or as modes that objects belong to.
#[test]
fn law_5_modes_are_counted() {
    for Objects { name, reward, objects, cells, .. } in objects() {
        let (mut alone, mut numbered) = (0, BTreeSet::new());
        for object in objects.chunks_exact(cells) {
            let mut belongs = false;
            reward.modes_of(object, &mut |mode| {
                belongs = true;
                numbered.insert(mode);
            });
            let is_mode = reward.is_mode(object) == Some(true);
            assert!(is_mode || !belongs, "{name}, {object:?}");
            alone += usize::from(is_mode);
        }
        let found = if numbered.is_empty() { alone } else { numbered.len() };
        if let Some(modes) = reward.modes() {
            assert_eq!(found as f64, modes, "{name}");
        }
    }
}

/// What is known on the way to an object is, at objects, the reward less a constant.
#[test]
fn partial_rewards_end_in_rewards() {
    for instance in objects() {
        for condition in &instance.conditions {
            let rewards = instance.log_rewards(condition);
            let mut partial = vec![f64::NAN; rewards.len()];
            let conditions = condition.repeat(rewards.len());
            let known =
                instance.reward.partial(&instance.objects, &conditions, &mut partial).expect("no failure");
            let constant = rewards[0] - partial[0];
            let off = |(reward, partial): (&f64, &f64)| (reward - partial - constant).abs() > 1e-12;
            assert!(!known || !rewards.iter().zip(&partial).any(off), "{}", instance.name);
        }
    }
}

/// Law 7: an object's reward is the same bits in any company and by any number of threads.
#[test]
fn law_7_rewards_do_not_depend_on_company() {
    for instance in objects() {
        let Objects { name, reward, objects, cells, .. } = &instance;
        let condition = &instance.conditions[0];
        let all = instance.log_rewards(condition);
        for (row, object) in objects.chunks_exact(*cells).enumerate().step_by(7) {
            let mut out = [f64::NAN];
            reward.log_rewards(object, condition, &mut out).expect("no failure");
            assert_eq!(out[0].to_bits(), all[row].to_bits(), "{name}, {object:?}");
        }
        let many = objects.repeat(40);
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            let mut out = vec![f64::NAN; 40 * all.len()];
            let conditions = condition.repeat(out.len());
            pool.install(|| reward.log_rewards(&many, &conditions, &mut out)).expect("no failure");
            let same = out
                .chunks(all.len())
                .all(|chunk| chunk.iter().zip(&all).all(|(a, b)| a.to_bits() == b.to_bits()));
            assert!(same, "{name}, {threads} threads");
        }
    }
}
