//! Several ways to do the same work, in turn, so that whatever disturbs one round disturbs all of them.

/// One way to do the work; a run gives its cost, whatever the unit.
pub struct Contender<'a> {
    /// Its name.
    pub name: &'static str,
    /// Does the work once.
    pub run: Box<dyn FnMut() -> Result<f64, crate::Error> + 'a>,
}

/// Runs all contenders in alternate rounds after one to warm up; gives the median cost of each, in their order.
pub fn compare(contenders: &mut [Contender<'_>], rounds: usize) -> Result<Vec<f64>, crate::Error> {
    let mut costs = vec![Vec::new(); contenders.len()];
    for round in 0..=rounds {
        for (contender, costs) in contenders.iter_mut().zip(&mut costs) {
            let cost = (contender.run)()?;
            if round > 0 || rounds == 0 {
                costs.push(cost);
            }
        }
    }
    Ok(costs.into_iter().map(median).collect())
}

/// The middle value; the higher one of two.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_not_moved_by_one_bad_round() {
        assert_eq!(median(vec![1.0, 100.0, 2.0]), 2.0);
    }

    #[test]
    fn contenders_take_turns_and_the_first_round_does_not_count() {
        let mut costs = [9.0, 1.0, 1.0].into_iter();
        let first = Contender { name: "first", run: Box::new(|| Ok(costs.next().unwrap())) };
        let second = Contender { name: "second", run: Box::new(|| Ok(3.0)) };
        assert_eq!(compare(&mut [first, second], 2).unwrap(), [1.0, 3.0]);
    }
}
