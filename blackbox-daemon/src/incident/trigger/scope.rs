//! Which pods may have incidents: namespaces and pods the user includes or excludes. What is excluded is recorded all
//! the same, and is evidence for others.

use crate::record::PodName;

/// Patterns in which `*` stands for any characters. An empty list of what is included includes everything; what is
/// excluded counts more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    pub include_namespaces: Vec<String>,
    pub exclude_namespaces: Vec<String>,
    /// Of `name`, or of `namespace/name` where the pattern has a `/`.
    pub include_pods: Vec<String>,
    /// The same.
    pub exclude_pods: Vec<String>,
}

impl Scope {
    /// Whether a pod may have incidents.
    #[must_use]
    pub fn has(&self, pod: &PodName) -> bool {
        let namespace = |pattern: &String| matches(pattern, &pod.namespace);
        let named = |pattern: &String| match pattern.split_once('/') {
            Some((namespace, name)) => {
                matches(namespace, &pod.namespace) && matches(name, &pod.name)
            }
            None => matches(pattern, &pod.name),
        };
        let within = |list: &[String], fits: &dyn Fn(&String) -> bool| {
            list.is_empty() || list.iter().any(fits)
        };
        within(&self.include_namespaces, &namespace)
            && within(&self.include_pods, &named)
            && !self.exclude_namespaces.iter().any(namespace)
            && !self.exclude_pods.iter().any(named)
    }
}

/// Whether `text` fits a pattern, all of it.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut left) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        match left.find(part) {
            // The first place will do: what follows can begin at any later one too.
            Some(found) => left = &left[found + part.len()..],
            None => return false,
        }
    }
    left.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(namespace: &str, name: &str) -> PodName {
        PodName {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    #[test]
    fn patterns_fit_all_of_a_name() {
        for (pattern, text, fits) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "ab", true),
            ("*b", "ab", true),
            ("*b", "abc", false),
            ("a*c", "abc", true),
            ("a*a", "a", false),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxcyyb", false),
            ("*", "", true),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn what_is_excluded_counts_more() {
        let scope = Scope {
            include_namespaces: vec!["shop*".to_owned()],
            exclude_pods: vec!["debug-*".to_owned(), "shop-eu/web-*".to_owned()],
            ..Scope::default()
        };
        for (namespace, name, has) in [
            ("shop", "web-1", true),
            ("kube-system", "web-1", false),
            ("shop", "debug-1", false),
            ("shop-eu", "web-1", false),
            ("shop-eu", "api", true),
        ] {
            assert_eq!(scope.has(&pod(namespace, name)), has, "{namespace}/{name}");
        }
        assert!(Scope::default().has(&pod("any", "thing")));
    }
}
