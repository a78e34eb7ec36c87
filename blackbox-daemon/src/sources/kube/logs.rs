//! Names of pods and containers where the API server cannot be asked: the kubelet's log directories.
//!
//! Reads the names in `/var/log/pods` (`<namespace>_<pod>_<uid>`) and of the links in `/var/log/containers`
//! (`<pod>_<namespace>_<container>-<id>.log`), never a file; makes a record of each pod that is new or changed. A pod that
//! is not named so has none. Bounded in pods.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use crate::record::{LoggedPod, PodIdentity, PodName};

/// Most pods read.
const MOST: usize = 16_384;
/// Digits of a container's id.
const ID: usize = 64;

/// The log directories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directories {
    /// `/var/log/pods`.
    pub pods: PathBuf,
    /// `/var/log/containers`.
    pub containers: PathBuf,
}

/// The pods that were found so far.
#[derive(Debug)]
pub(super) struct Logs {
    directories: Directories,
    known: HashMap<String, LoggedPod>,
}

impl Logs {
    pub(super) fn new(directories: Directories) -> Self {
        Self {
            directories,
            known: HashMap::new(),
        }
    }

    /// Reads the names; gives the pods that are new or changed. A directory that cannot be read has none.
    pub(super) fn scan(&mut self) -> Vec<LoggedPod> {
        let mut links: BTreeMap<(String, String), Vec<(String, String)>> = BTreeMap::new();
        for name in names(&self.directories.containers) {
            if let Some((pod, container)) = link(&name) {
                links.entry(pod).or_default().push(container);
            }
        }
        let mut found = HashMap::new();
        for name in names(&self.directories.pods).into_iter().take(MOST) {
            let Some(pod) = directory(&name) else {
                continue;
            };
            let key = (pod.pod.namespace.clone(), pod.pod.name.clone());
            let mut containers = links.get(&key).cloned().unwrap_or_default();
            containers.sort_unstable();
            found.insert(pod.uid.clone(), LoggedPod { pod, containers });
        }
        let news = found
            .iter()
            .filter(|(uid, pod)| self.known.get(*uid) != Some(*pod));
        let mut news: Vec<LoggedPod> = news.map(|(_, pod)| pod.clone()).collect();
        news.sort_unstable_by(|a, b| a.pod.uid.cmp(&b.pod.uid));
        self.known = found;
        news
    }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

/// `<namespace>_<pod>_<uid>`: no name of Kubernetes has a `_`.
fn directory(name: &str) -> Option<PodIdentity> {
    let mut parts = name.split('_');
    let (namespace, pod, uid) = (parts.next()?, parts.next()?, parts.next()?);
    let whole = parts.next().is_none() && [namespace, pod, uid].iter().all(|part| !part.is_empty());
    whole.then(|| PodIdentity {
        uid: uid.to_owned(),
        pod: PodName {
            namespace: namespace.to_owned(),
            name: pod.to_owned(),
        },
    })
}

/// `<pod>_<namespace>_<container>-<id>.log` → `((namespace, pod), (id, container))`.
fn link(name: &str) -> Option<((String, String), (String, String))> {
    let mut parts = name.strip_suffix(".log")?.split('_');
    let (pod, namespace, last) = (parts.next()?, parts.next()?, parts.next()?);
    let (container, id) = last.rsplit_once('-')?;
    let whole =
        parts.next().is_none() && id.len() == ID && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    whole.then(|| {
        (
            (namespace.to_owned(), pod.to_owned()),
            (id.to_owned(), container.to_owned()),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_and_containers_are_named_by_their_logs() {
        let root = tempfile::tempdir().unwrap();
        let directories = Directories {
            pods: root.path().join("pods"),
            containers: root.path().join("containers"),
        };
        let mut logs = Logs::new(directories.clone());
        assert!(logs.scan().is_empty(), "no directories");
        let id = "ab".repeat(32);
        for name in [
            "shop_web-1_uid-1",
            "kube-system_dns_uid-2",
            "nonsense",
            "a_b_c_d",
            "__",
        ] {
            std::fs::create_dir_all(directories.pods.join(name)).unwrap();
        }
        std::fs::create_dir_all(&directories.containers).unwrap();
        let link = format!("web-1_shop_my-app-{id}.log");
        for name in [&*link, "web-1_shop_my-app-short.log", "x.log"] {
            std::fs::write(directories.containers.join(name), "").unwrap();
        }
        let found = logs.scan();
        let uids: Vec<_> = found.iter().map(|pod| pod.pod.uid.as_str()).collect();
        assert_eq!(uids, ["uid-1", "uid-2"]);
        assert_eq!(found[0].pod.pod.to_string(), "shop/web-1");
        assert_eq!(found[0].containers, [(id, "my-app".to_owned())]);
        assert!(logs.scan().is_empty(), "nothing is new");
        std::fs::remove_file(directories.containers.join(link)).unwrap();
        assert_eq!(logs.scan().len(), 1, "one has changed");
    }
}
