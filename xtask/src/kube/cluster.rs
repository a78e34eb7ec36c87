//! A cluster without nodes: etcd and kube-apiserver on loopback, with keys, users and data of their own.
//!
//! As no controller runs, nothing happens in it but what is asked for. Everything is in one directory; etcd starts
//! empty, and the API server can be ended and started again, on the same port and with what it had.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::json;
use tempfile::TempDir;

use super::certificates::Certificates;
use super::kubelet::Kubelet;
use super::programs::Programs;
use super::server::{Server, free_port};
use super::user::{Address, User};

/// In whose name service-account tokens are signed.
const ISSUER: &str = "https://kubernetes.default.svc";
/// Where Endpoints would say that the API server is: nobody is there (RFC 5737).
const NOWHERE: &str = "192.0.2.1";
/// Between two looks at a server that starts.
const PAUSE: Duration = Duration::from_millis(200);

/// A running cluster. Dropped, its processes are killed and its data removed.
#[derive(Debug)]
pub struct Cluster {
    programs: Programs,
    apiserver: Option<Server>,
    etcd: Server,
    etcd_url: String,
    port: u16,
    certificates: Certificates,
    address: Address,
    admin: User,
    directory: PathBuf,
    stays: bool,
    /// Last, as it removes what the others use.
    _temporary: Option<TempDir>,
}

impl Cluster {
    /// Starts one in a directory of its own, with a kubelet's credentials for each of these nodes.
    ///
    /// # Errors
    /// A server does not start: with the end of its log.
    pub fn start(programs: &Programs, nodes: &[&str]) -> Result<Self> {
        let temporary = tempfile::tempdir().context("a directory for the cluster")?;
        let mut cluster = Self::start_in(programs, nodes, temporary.path(), false)?;
        cluster._temporary = Some(temporary);
        Ok(cluster)
    }

    /// The same in a directory that stays; so do the servers, if they are left.
    pub(super) fn start_in(
        programs: &Programs,
        nodes: &[&str],
        directory: &Path,
        stays: bool,
    ) -> Result<Self> {
        let certificates = Certificates::make(directory)?;
        let (port, etcd_port, peer_port) = (free_port()?, free_port()?, free_port()?);
        let address = Address {
            url: format!("https://127.0.0.1:{port}"),
            authority: certificates.authority.clone(),
            kubectl: programs.kubectl.clone(),
            home: directory.to_owned(),
        };
        let admin = credentials(directory, &address, nodes)?;
        let etcd_url = format!("http://127.0.0.1:{etcd_port}");
        let peer_url = format!("http://127.0.0.1:{peer_port}");
        let etcd = etcd(programs, directory, &etcd_url, &peer_url);
        let mut cluster = Self {
            programs: programs.clone(),
            apiserver: None,
            etcd: Server::start(etcd, directory.join("etcd.log"), stays)?,
            etcd_url,
            port,
            certificates,
            address,
            admin,
            directory: directory.to_owned(),
            stays,
            _temporary: None,
        };
        cluster.start_apiserver()?;
        Ok(cluster)
    }

    /// Starts the API server, if it is not running.
    ///
    /// # Errors
    /// It does not start: with the end of its log.
    pub fn start_apiserver(&mut self) -> Result<()> {
        if self.apiserver.is_some() {
            return Ok(());
        }
        let log = self.directory.join("kube-apiserver.log");
        let mut server = Server::start(self.apiserver_command(), log, self.stays)?;
        server.wait_ready(|| self.answers())?;
        self.apiserver = Some(server);
        Ok(())
    }

    /// Whether the API server is ready. Asking costs more than waiting does.
    fn answers(&self) -> bool {
        let listens = TcpStream::connect(("127.0.0.1", self.port)).is_ok();
        let ready = listens && self.admin.kubectl(&["get", "--raw", "/readyz"]).is_ok();
        if !ready {
            thread::sleep(PAUSE);
        }
        ready
    }

    /// Kills the API server; what it had is in etcd.
    pub fn stop_apiserver(&mut self) {
        self.apiserver = None;
    }

    /// Who may do everything.
    #[must_use]
    pub fn admin(&self) -> &User {
        &self.admin
    }

    /// Gets a token for a service account, and writes a kubeconfig with it, always at the same place.
    ///
    /// # Errors
    /// There is no such account.
    pub fn account(&self, namespace: &str, name: &str) -> Result<User> {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token");
        let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {"expirationSeconds": 3600}});
        let answer = self.admin.create(&path, &request)?;
        let token = &answer["status"]["token"];
        let token = token.as_str().context("the answer has no token")?;
        let kubeconfig = self
            .directory
            .join(format!("{namespace}-{name}.kubeconfig"));
        User::new(&self.address, kubeconfig, token)
    }

    /// What a kubelet of this node can do. The node was named at the start.
    ///
    /// # Errors
    /// It was not, or its Node object cannot be made.
    pub fn kubelet(&self, node: &str) -> Result<Kubelet> {
        let token = fs::read_to_string(token_file(&self.directory, node))
            .with_context(|| format!("no credentials for {node}"))?;
        let kubeconfig = self.directory.join(format!("node-{node}.kubeconfig"));
        let user = User::new(&self.address, kubeconfig, &token)?;
        Kubelet::register(user, self.admin.clone(), node)
    }

    /// Lets the servers run on after us: their pids.
    pub(super) fn leave(self) -> Vec<u32> {
        let servers = [self.apiserver, Some(self.etcd)];
        let pids = servers.iter().flatten().filter_map(Server::pid).collect();
        servers.into_iter().flatten().for_each(Server::leave);
        pids
    }

    fn apiserver_command(&self) -> Command {
        let file = |flag: &str, path: &Path| format!("--{flag}={}", path.display());
        let certificates = &self.certificates;
        let mut command = Command::new(&self.programs.apiserver);
        command
            .arg(format!("--etcd-servers={}", self.etcd_url))
            .arg("--bind-address=127.0.0.1")
            .arg(format!("--secure-port={}", self.port))
            .arg(format!("--advertise-address={NOWHERE}"))
            .arg("--endpoint-reconciler-type=none")
            .arg("--service-cluster-ip-range=10.96.0.0/16")
            .arg(file("tls-cert-file", &certificates.certificate))
            .arg(file("tls-private-key-file", &certificates.key))
            .arg(file("token-auth-file", &self.directory.join("tokens.csv")))
            .arg("--authorization-mode=Node,RBAC")
            .arg(format!("--service-account-issuer={ISSUER}"))
            .arg(file(
                "service-account-signing-key-file",
                &certificates.accounts,
            ))
            .arg(file(
                "service-account-key-file",
                &certificates.accounts_public,
            ))
            .arg("--enable-admission-plugins=NodeRestriction")
            // It wants tokens that a controller makes.
            .arg("--disable-admission-plugins=ServiceAccount");
        command
    }
}

fn etcd(programs: &Programs, directory: &Path, client: &str, peer: &str) -> Command {
    let mut command = Command::new(&programs.etcd);
    command
        .args(["--name=blackbox", "--logger=zap", "--log-level=warn"])
        .arg(format!("--data-dir={}", directory.join("etcd").display()))
        .arg(format!("--listen-client-urls={client}"))
        .arg(format!("--advertise-client-urls={client}"))
        .arg(format!("--listen-peer-urls={peer}"))
        .arg(format!("--initial-advertise-peer-urls={peer}"))
        .arg(format!("--initial-cluster=blackbox={peer}"));
    command
}

/// Makes a token for the administrator and for each node; gives the administrator.
fn credentials(directory: &Path, address: &Address, nodes: &[&str]) -> Result<User> {
    let admin = secret()?;
    let mut table = format!("{admin},admin,admin,system:masters\n");
    for node in nodes {
        let token = secret()?;
        table.push_str(&format!("{token},system:node:{node},{node},system:nodes\n"));
        let path = token_file(directory, node);
        fs::write(&path, token).with_context(|| path.display().to_string())?;
    }
    let path = directory.join("tokens.csv");
    fs::write(&path, table).with_context(|| path.display().to_string())?;
    User::new(address, directory.join("kubeconfig"), &admin)
}

fn token_file(directory: &Path, node: &str) -> PathBuf {
    directory.join(format!("node-{node}.token"))
}

/// 128 bits that nobody guesses, in hex.
fn secret() -> Result<String> {
    use std::io::Read as _;
    let mut bytes = [0; 16];
    let mut random = fs::File::open("/dev/urandom").context("/dev/urandom")?;
    random.read_exact(&mut bytes).context("/dev/urandom")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
