//! Rendering: text of kubectl and helm to objects in one order, so that they can be compared.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use xtask::renderers;

/// A key that is long enough for the chart's schema, and the one the base has.
pub(crate) const KEY: &str = "CHANGE-ME";

/// A file or folder of `deployments/`.
pub(crate) fn deployments(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../deployments")
        .join(path)
}

/// The objects of the plain manifest.
pub(crate) fn plain() -> Vec<Value> {
    let path = deployments("kubernetes/blackbox.yaml");
    parse(&std::fs::read_to_string(path).expect("the manifest"))
}

/// What `kubectl kustomize` makes of a folder.
pub(crate) fn kustomize(folder: &Path) -> Vec<Value> {
    let kubectl = renderers::find().expect("kubectl").kubectl;
    parse(&read(Command::new(kubectl).arg("kustomize").arg(folder)))
}

/// What a user's own kustomization beside `kustomize/` renders to.
pub(crate) fn own(text: &str) -> Vec<Value> {
    let folder = tempfile::tempdir().expect("a folder");
    let copied = Command::new("cp")
        .arg("-r")
        .arg(deployments("kustomize"))
        .arg(folder.path())
        .status()
        .expect("cp");
    assert!(copied.success());
    let own = folder.path().join("own");
    std::fs::create_dir(&own).expect("a folder");
    std::fs::write(own.join("kustomization.yaml"), text).expect("a file");
    kustomize(&own)
}

/// The base with these components.
pub(crate) fn composed(components: &[&str]) -> Vec<Value> {
    let mut text = "resources:\n  - ../kustomize/base\ncomponents:\n".to_owned();
    for component in components {
        text.push_str(&format!("  - ../kustomize/components/{component}\n"));
    }
    own(&text)
}

/// A `helm template` of the chart, with a key.
pub(crate) fn template(namespace: &str, values: &[&str]) -> Command {
    let mut command = Command::new(renderers::find().expect("helm").helm);
    command
        .args(["template", "blackbox", "--namespace", namespace])
        .arg(deployments("helm/blackbox"))
        .args(["--set", &format!("apiKey.value={KEY}")]);
    for value in values {
        command.args(["--set", value]);
    }
    command
}

/// What Helm makes of the chart, without the two labels that only Helm adds.
pub(crate) fn helm(namespace: &str, values: &[&str]) -> Vec<Value> {
    let mut objects = parse(&read(&mut template(namespace, values)));
    for object in &mut objects {
        let labels = object["metadata"]["labels"]
            .as_object_mut()
            .expect("labels");
        for label in ["app.kubernetes.io/managed-by", "helm.sh/chart"] {
            assert!(labels.remove(label).is_some(), "no label {label}");
        }
    }
    objects
}

/// The object of this kind and name.
pub(crate) fn find<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let wanted = |object: &&Value| object["kind"] == kind && object["metadata"]["name"] == name;
    let found = objects.iter().find(wanted);
    found.unwrap_or_else(|| panic!("no {kind} {name}"))
}

/// The daemon's container.
pub(crate) fn container(objects: &[Value]) -> &Value {
    let set = find(objects, "DaemonSet", "blackbox-daemon");
    let containers = &set["spec"]["template"]["spec"]["containers"];
    assert_eq!(containers.as_array().expect("containers").len(), 1);
    &containers[0]
}

/// The objects of a YAML text, by kind and name.
pub(crate) fn parse(text: &str) -> Vec<Value> {
    let mut objects: Vec<Value> = serde_saphyr::from_multiple(text).expect("YAML");
    objects.retain(|object| !object.is_null());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    objects.sort_by_key(|object| (text(&object["kind"]), text(&object["metadata"]["name"])));
    objects
}

fn read(command: &mut Command) -> String {
    let output = command.output().expect("a program");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8(output.stdout).expect("UTF-8")
}
