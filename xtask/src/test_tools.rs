//! What tests need beside cargo, for `cargo xtask setup` and `cargo xtask test`: the one list.

use anyhow::Result;

use crate::setup::install;
use crate::{prometheus, renderers, runtimes, schemathesis};

/// A tool, or what comes together.
pub(crate) struct TestTool {
    /// What is tested by it.
    pub(crate) tests: &'static str,
    /// Finds it, installing it if it is missing; says where it is.
    pub(crate) ensure: fn() -> Result<String>,
}

/// All of them.
pub(crate) const ALL: [TestTool; 4] = [
    TestTool {
        tests: "metrics, alerts and the dashboard",
        ensure: || prometheus::ensure().map(|found| found.server.display().to_string()),
    },
    TestTool {
        tests: "the API's description",
        ensure: || schemathesis::ensure().map(|found| found.st.display().to_string()),
    },
    TestTool {
        tests: "deployments",
        ensure: || renderers::ensure().map(|found| found.helm.display().to_string()),
    },
    TestTool {
        tests: "the examples for sidecars",
        ensure: || {
            install(&runtimes::missing_packages())?;
            Ok("curl, python3, node and java in PATH".to_owned())
        },
    },
];
