//! Which lines of a brief have room: the most telling first, until the budget is used.
//!
//! Reads lines with their ranks; a line that is too long for what is left makes room for shorter ones of a higher rank.
//! The sum of the bounds of all chosen lines, headings and line breaks is never above the budget.

use super::page::Line;
use super::tokens::at_most;

/// For each line whether it is shown, beside those that are shown in any case.
pub(super) fn choose(lines: &[Line], always: &[&str], budget: usize) -> Vec<bool> {
    let always: usize = always.iter().map(|text| cost(text)).sum();
    let mut left = budget.saturating_sub(always);
    let mut chosen = vec![false; lines.len()];
    let mut order: Vec<usize> = (0..lines.len()).collect();
    order.sort_by_key(|index| lines[*index].rank);
    let mut begun = Vec::new();
    for index in order {
        let line = &lines[index];
        let begins = !begun.contains(&line.section);
        let heading = match begins {
            true => cost(line.section.heading()),
            false => 0,
        };
        let needs = heading + cost(&line.text);
        if needs <= left {
            left -= needs;
            chosen[index] = true;
            if begins {
                begun.push(line.section);
            }
        }
    }
    chosen
}

/// Tokens of a line and its line break.
fn cost(text: &str) -> usize {
    at_most(text) + 1
}

#[cfg(test)]
mod tests {
    use super::{choose, cost};
    use crate::report::format::brief::page::Line;
    use crate::report::format::brief::section::Section;

    #[test]
    fn the_most_telling_are_taken_while_there_is_room() {
        let line = |section, rank, text: &str| Line {
            section,
            rank,
            text: text.to_owned(),
        };
        let lines = [
            line(Section::Log, 3, "1"),
            line(Section::Verdict, 1, "1"),
            line(Section::Log, 2, "####################################"),
        ];
        let small = cost("1");
        let head = cost(Section::Verdict.heading());
        assert_eq!(choose(&lines, &[], head + small), [false, true, false]);
        let both = head + small + cost(Section::Log.heading()) + small;
        assert_eq!(choose(&lines, &[], both), [true, true, false]);
        assert_eq!(choose(&lines, &["1"], both), [false, true, false]);
        assert_eq!(choose(&lines, &[], 1000), [true, true, true]);
    }
}
