//! Paths of executables, each kept once however many processes run it. Bounded in bytes: [`MOST_BYTES`].

use std::collections::HashSet;
use std::sync::Arc;

/// Most bytes of all paths together.
const MOST_BYTES: usize = 2 << 20;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Paths {
    known: HashSet<Arc<str>>,
    bytes: usize,
}

impl Paths {
    /// The path, as all who ask for it have it. `None`: there is no room for another one.
    pub(super) fn once(&mut self, path: &str) -> Option<Arc<str>> {
        if let Some(known) = self.known.get(path) {
            return Some(Arc::clone(known));
        }
        if self.bytes + path.len() > MOST_BYTES {
            return None;
        }
        let new: Arc<str> = path.into();
        self.bytes += new.len();
        self.known.insert(Arc::clone(&new));
        Some(new)
    }

    /// Lets those go that nobody else has, once they may be many.
    pub(super) fn forget_unused(&mut self) {
        if self.bytes > MOST_BYTES / 2 {
            self.known.retain(|path| Arc::strong_count(path) > 1);
            self.bytes = self.known.iter().map(|path| path.len()).sum();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_once_and_no_more_than_there_is_room_for() {
        let mut paths = Paths::default();
        let one = paths.once("/bin/sh").unwrap();
        assert!(Arc::ptr_eq(&one, &paths.once("/bin/sh").unwrap()));
        let long = |number: usize| format!("/{number:0>255}");
        let most = MOST_BYTES / 256;
        let held: Vec<_> = (0..most + 9).map_while(|n| paths.once(&long(n))).collect();
        assert!((most - 1..=most).contains(&held.len()), "{}", held.len());
        paths.forget_unused();
        assert_eq!(paths.once(&long(most)), None);
        drop(held);
        paths.forget_unused();
        assert_eq!(paths.bytes, "/bin/sh".len());
        assert!(paths.once(&long(most)).is_some());
    }
}
