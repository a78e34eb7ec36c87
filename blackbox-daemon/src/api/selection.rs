//! Which records a reader wants, by kind, container and pod; and where a record belongs, to be compared with that.
//!
//! Reads parameters, records and the names of cgroups. Each cgroup is looked up once for each view.

use std::collections::HashMap;
use std::sync::Arc;

use super::error::ApiError;
use crate::identity::Names;
use crate::record::{CgroupId, Class, Event, PodName, Record, same_container};

/// Digits of a container's id that tell it from others, as tools show it.
const SHORT_ID: usize = 12;

/// What a reader wants. Nothing given: everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selection {
    kinds: Option<Vec<Class>>,
    container: Option<Container>,
    pod: Option<String>,
    namespace: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Container {
    /// The beginning of its id.
    Id(String),
    /// The path of a cgroup; those below are meant too.
    Path(String),
}

impl Selection {
    /// From the parameters of those names.
    ///
    /// # Errors
    /// A kind that isn't one, or a container that is neither an id nor a path.
    pub(super) fn new(
        kind: Option<&str>,
        container: Option<&str>,
        pod: Option<String>,
        namespace: Option<String>,
    ) -> Result<Self, ApiError> {
        Ok(Self {
            kinds: kind.map(kinds).transpose()?,
            container: container.map(self::container).transpose()?,
            pod,
            namespace,
        })
    }

    /// Records of one kind only.
    pub(super) fn only(self, kind: Class) -> Self {
        Self {
            kinds: Some(vec![kind]),
            ..self
        }
    }

    /// Whether it wants records of this kind, somewhere.
    pub(super) fn wants(&self, class: Class) -> bool {
        self.kinds
            .as_ref()
            .is_none_or(|kinds| kinds.contains(&class))
    }

    /// Whether it wants what belongs here.
    pub(super) fn covers(&self, place: &Whereabouts) -> bool {
        let named = |wanted: &Option<String>, part: fn(&PodName) -> &String| {
            wanted
                .as_ref()
                .is_none_or(|wanted| place.pod.as_ref().is_some_and(|pod| part(pod) == wanted))
        };
        let container = match &self.container {
            None => true,
            Some(Container::Id(wanted)) => {
                let id = place.container.as_deref();
                id.is_some_and(|id| same_container(id, wanted))
            }
            Some(Container::Path(wanted)) => place.path.as_deref().is_some_and(|path| {
                let below = path.strip_prefix(wanted.as_str());
                below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
            }),
        };
        container
            && named(&self.pod, |pod| &pod.name)
            && named(&self.namespace, |pod| &pod.namespace)
    }
}

fn kinds(text: &str) -> Result<Vec<Class>, ApiError> {
    let parse = |name: &str| {
        let found = Class::ALL.into_iter().find(|class| class.name() == name);
        found.ok_or_else(|| {
            let allowed = Class::ALL.map(Class::name).join(", ");
            ApiError::field("kind", format!("{name:?} is no kind; allowed: {allowed}"))
        })
    };
    text.split(',').map(str::trim).map(parse).collect()
}

fn container(text: &str) -> Result<Container, ApiError> {
    if text.starts_with('/') {
        return Ok(Container::Path(text.trim_end_matches('/').to_owned()));
    }
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() >= SHORT_ID && text.bytes().all(hex) {
        return Ok(Container::Id(text.to_owned()));
    }
    Err(ApiError::field(
        "container",
        format!(
            "{text:?}: allowed are {SHORT_ID} or more digits (0-9, a-f) of a container's id, or a cgroup path that begins with /"
        ),
    ))
}

/// Where a record belongs, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Whereabouts {
    pub(super) path: Option<String>,
    pub(super) container: Option<String>,
    pub(super) pod: Option<PodName>,
}

/// The whereabouts of the records of one view.
pub(super) struct Places<'a> {
    names: &'a Names,
    cgroups: HashMap<CgroupId, Arc<Whereabouts>>,
    node: Arc<Whereabouts>,
}

impl<'a> Places<'a> {
    pub(super) fn new(names: &'a Names) -> Self {
        Self {
            names,
            cgroups: HashMap::new(),
            node: Arc::default(),
        }
    }

    pub(super) fn of(&mut self, record: &Record) -> Arc<Whereabouts> {
        match (&record.event, record.subject.cgroup()) {
            (Event::Telemetry(telemetry), _) => Arc::new(Whereabouts {
                path: None,
                container: telemetry.container_id.clone(),
                pod: Some(telemetry.pod.clone()),
            }),
            (Event::Reported(reported), _) => Arc::new(Whereabouts {
                path: None,
                container: reported.container_id.clone(),
                pod: reported.pod.clone(),
            }),
            (event, None) if event.kube_pod().is_some() => Arc::new(Whereabouts {
                path: None,
                container: match event {
                    Event::ContainerEnded(ended) => ended.end.container_id.clone(),
                    _ => None,
                },
                pod: event.kube_pod().cloned(),
            }),
            (_, Some(id)) => {
                let names = self.names;
                let place = self.cgroups.entry(id);
                Arc::clone(place.or_insert_with(|| Arc::new(of_cgroup(names, id))))
            }
            (_, None) => Arc::clone(&self.node),
        }
    }
}

fn of_cgroup(names: &Names, id: CgroupId) -> Whereabouts {
    let known = names.cgroup(id);
    let container = known.and_then(|known| known.place.container_id());
    Whereabouts {
        path: known.map(|known| known.path.clone()),
        container: container.map(str::to_owned),
        pod: names.pod_of(id).map(|named| named.pod.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(path: &str, container: &str, namespace: &str) -> Whereabouts {
        Whereabouts {
            path: Some(path.to_owned()),
            container: Some(container.to_owned()),
            pod: Some(PodName {
                namespace: namespace.to_owned(),
                name: "shop".to_owned(),
            }),
        }
    }

    fn of(container: &str) -> Result<Selection, ApiError> {
        Selection::new(None, Some(container), None, None)
    }

    #[test]
    fn a_container_by_id_or_path() {
        let place = place("/kubepods/a/3f2a91b0c4d53f2a", "3f2a91b0c4d53f2a", "prod");
        for (container, covered) in [
            ("3f2a91b0c4d5", true),
            ("3f2a91b0c4d6", false),
            ("/kubepods/a", true),
            ("/kubepods/a/", true),
            ("/", true),
            ("/kubepods/a/3f2a91b0c4d53f2a", true),
            ("/kubepods/a/3f2a91b0c4d5", false),
            ("/kube", false),
        ] {
            assert_eq!(
                of(container).unwrap().covers(&place),
                covered,
                "{container}"
            );
        }
        assert!(!of("3f2a91b0c4d5").unwrap().covers(&Whereabouts::default()));
        for container in ["", "3f2a", "nginx", "../../etc/passwd", "3F2A91B0C4D5"] {
            let error = of(container).unwrap_err();
            assert_eq!(error.field.as_deref(), Some("container"), "{container}");
        }
    }

    #[test]
    fn a_pod_by_name_and_namespace() {
        let selection = |pod: Option<&str>, namespace: Option<&str>| {
            let owned = |text: Option<&str>| text.map(str::to_owned);
            Selection::new(None, None, owned(pod), owned(namespace)).unwrap()
        };
        let place = place("/a", "3f2a91b0c4d5", "prod");
        assert!(selection(Some("shop"), Some("prod")).covers(&place));
        assert!(selection(None, Some("prod")).covers(&place));
        assert!(!selection(Some("shop"), Some("test")).covers(&place));
        assert!(!selection(Some("shop"), None).covers(&Whereabouts::default()));
    }

    #[test]
    fn kinds_are_named() {
        let selection = Selection::new(Some("exit, oom"), None, None, None).unwrap();
        assert!(selection.wants(Class::Oom) && !selection.wants(Class::Exec));
        assert!(Selection::default().wants(Class::Exec));
        let error = Selection::new(Some("exit,death"), None, None, None).unwrap_err();
        assert!(
            error.message.contains("exec, exit, signal, oom"),
            "{error:?}"
        );
    }
}
