//! Rounds: every contender in turn, again and again, so that a noisy machine is noisy for all of them. What counts is medians of
//! one run, and their ratios.

use anyhow::{Result, ensure};
use serde::Serialize;

/// Figures of one contender, one for each round.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Figures(Vec<f64>);

impl Figures {
    pub(super) fn add(&mut self, figure: f64) {
        self.0.push(figure);
        self.0.sort_by(f64::total_cmp);
    }

    /// The middle one; NaN of none.
    pub(super) fn median(&self) -> f64 {
        self.0.get(self.0.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// The least and the greatest.
    pub(super) fn spread(&self) -> (f64, f64) {
        let end = |figure: Option<&f64>| figure.copied().unwrap_or(f64::NAN);
        (end(self.0.first()), end(self.0.last()))
    }
}

/// Measures each of `contenders` once in each of `rounds`; `measure` starts it, and ends it again.
///
/// # Errors
/// The first of `measure`.
pub(super) fn play<C>(
    rounds: usize,
    contenders: &[C],
    mut measure: impl FnMut(&C) -> Result<f64>,
) -> Result<Vec<Figures>> {
    let mut figures = vec![Figures::default(); contenders.len()];
    for _ in 0..rounds {
        for (contender, figures) in contenders.iter().zip(&mut figures) {
            let figure = measure(contender)?;
            ensure!(figure.is_finite() && figure > 0.0, "no figure: {figure}");
            figures.add(figure);
        }
    }
    Ok(figures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contenders_take_turns_and_the_middle_one_counts() {
        let mut order = Vec::new();
        let mut next = 0.0;
        let figures = play(3, &['a', 'b'], |who| {
            order.push(*who);
            next += 1.0;
            Ok(next)
        });
        let figures = figures.unwrap();
        assert_eq!(order, ['a', 'b', 'a', 'b', 'a', 'b']);
        assert_eq!(figures[0].median(), 3.0);
        assert_eq!(figures[1].spread(), (2.0, 6.0));
        assert!(play(1, &[()], |()| Ok(f64::NAN)).is_err());
    }
}
