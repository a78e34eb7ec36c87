//! Every cgroup of one hierarchy, from its directories.
//!
//! A cgroup is a directory and its id the directory's inode number. The walk is bounded and says when a bound
//! left something out; cgroups that come or go meanwhile may or may not be in it.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, open, stat, statat};

use crate::record::CgroupId;

/// Deepest cgroup that is looked at, in levels below the mount. Kubernetes with systemd makes six.
pub const MAX_DEPTH: usize = 16;
/// Most cgroups that are looked at in one walk.
pub const MAX_CGROUPS: usize = 20_000;

/// One cgroup of the watched hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub id: CgroupId,
    /// Below the mount, with a slash in front; the mount itself is `/`.
    pub path: String,
    /// Whether it has no child cgroup.
    pub leaf: bool,
}

/// What one walk found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// Sorted by path, so a parent comes before its children.
    pub found: Vec<Found>,
    /// Whether [`MAX_DEPTH`] or [`MAX_CGROUPS`] left cgroups out.
    pub cut: bool,
}

/// Walks the hierarchy mounted at `root`. An error is about `root` itself; below it, what cannot be read has
/// been removed meanwhile.
pub(super) fn survey(root: &Path) -> io::Result<Survey> {
    let mut found = Vec::new();
    let mut cut = false;
    let mut waiting = vec![("/".to_owned(), 0, Seen::of(&stat(root)?))];
    while let Some((path, depth, seen)) = waiting.pop() {
        if found.len() == MAX_CGROUPS {
            cut = true;
            break;
        }
        let children = match seen.childless {
            true => Ok(Vec::new()),
            false => children(&directory(root, &path)),
        };
        let children = match children {
            Ok(children) => children,
            Err(error) if depth == 0 => return Err(error),
            Err(_) => continue,
        };
        let leaf = children.is_empty();
        if depth < MAX_DEPTH {
            let parent = path.trim_end_matches('/');
            let child = |(name, seen)| (format!("{parent}/{name}"), depth + 1, seen);
            waiting.extend(children.into_iter().map(child));
        } else {
            cut |= !leaf;
        }
        let id = seen.id;
        found.push(Found { id, path, leaf });
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(Survey { found, cut })
}

/// The directory of the cgroup `path` in a hierarchy mounted at `root`.
pub(super) fn directory(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

/// What its directory says of a cgroup.
struct Seen {
    id: CgroupId,
    /// It has no child; one of which this is not known may have none either.
    childless: bool,
}

impl Seen {
    fn of(stat: &Stat) -> Self {
        Self {
            id: CgroupId(stat.st_ino),
            // kernfs keeps the link count at 2 + subdirectories (fs/kernfs/inode.c, `kernfs_refresh_inode`): most
            // cgroups are leaves with some 60 files each, whose names need not be read to know that.
            childless: stat.st_nlink == 2,
        }
    }
}

/// The children of the cgroup in `directory`, by name. Each is looked up in its parent, so that no path is walked for it.
fn children(directory: &Path) -> io::Result<Vec<(String, Seen)>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut entries = Dir::new(open(directory, flags, Mode::empty())?)?;
    let mut found = Vec::new();
    while let Some(entry) = entries.read() {
        let entry = entry?;
        let name = entry.file_name();
        let is_child =
            entry.file_type() == FileType::Directory && !matches!(name.to_bytes(), b"." | b"..");
        if !is_child {
            continue;
        }
        // An error: it was removed meanwhile.
        if let Ok(stat) = statat(entries.fd()?, name, AtFlags::SYMLINK_NOFOLLOW) {
            found.push((name.to_string_lossy().into_owned(), Seen::of(&stat)));
        }
        if found.len() == MAX_CGROUPS {
            break;
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn all_cgroups_with_their_inode_numbers() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("kubepods/pod1/c1")).unwrap();
        fs::create_dir_all(root.path().join("kubepods/pod1/c2")).unwrap();
        fs::write(root.path().join("kubepods/memory.max"), "max\n").unwrap();
        let survey = survey(root.path()).unwrap();
        assert!(!survey.cut);
        let seen: Vec<_> = survey
            .found
            .iter()
            .map(|one| (one.path.as_str(), one.leaf))
            .collect();
        let expected = [
            ("/", false),
            ("/kubepods", false),
            ("/kubepods/pod1", false),
            ("/kubepods/pod1/c1", true),
            ("/kubepods/pod1/c2", true),
        ];
        assert_eq!(seen, expected);
        let inode = fs::metadata(root.path().join("kubepods/pod1/c2"))
            .unwrap()
            .ino();
        assert_eq!(survey.found[4].id, CgroupId(inode));
    }

    #[test]
    fn too_deep_is_cut_and_says_so() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("a/".repeat(MAX_DEPTH))).unwrap();
        assert!(!survey(root.path()).unwrap().cut);
        fs::create_dir_all(root.path().join("a/".repeat(MAX_DEPTH + 1))).unwrap();
        let survey = survey(root.path()).unwrap();
        assert!(survey.cut);
        assert_eq!(survey.found.len(), MAX_DEPTH + 1);
    }

    #[test]
    fn only_an_unreadable_root_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(survey(root.path()).unwrap().found.len(), 1);
        assert!(survey(&root.path().join("gone")).is_err());
    }
}
