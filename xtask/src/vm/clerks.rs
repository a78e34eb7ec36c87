//! A real API server, and those who tell it what the kubelet does: kubectl takes its time, so they work beside the
//! kubelet, one pod's business in order.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::packed::NAME;
use super::pod::NAMESPACES;
use crate::cargo::workspace_root;
use crate::kube::{self, Cluster, Kubelet, User};

/// The daemon's account, as the manifest names it.
const ACCOUNT: (&str, &str) = ("blackbox", "blackbox-daemon");
/// The host's loopback, as the machine reaches it.
const HOST: &str = "10.0.2.2";
/// They work at once.
const CLERKS: usize = 3;
/// What waits for one of them.
const QUEUE: usize = 1024;
const GRACE_SECONDS: u32 = 30;

/// What a kubelet, or who makes and deletes pods, asks for.
pub(super) enum Ask {
    /// Make a pod; answered by [`Answer::Bound`].
    Bind { object: Value },
    /// Write a pod's status.
    Tell { uid: String, status: Value },
    /// Delete a pod with its grace period; answered by [`Answer::Deleted`].
    Delete { uid: String },
    /// Nothing of a pod is left on the node.
    Forget { uid: String },
}

/// What was done.
pub(super) enum Answer {
    /// The API server gave the pod this uid.
    Bound { name: String, uid: String },
    /// It has a deletion time stamp.
    Deleted { uid: String },
    /// The API server refused.
    Failed { why: String },
}

/// The cluster and its clerks.
pub(super) struct Clerks {
    cluster: Cluster,
    desks: Vec<SyncSender<Ask>>,
    threads: Vec<JoinHandle<()>>,
    answers: Receiver<Answer>,
    /// Pods by uid: their names, which a clerk is chosen by.
    names: HashMap<String, String>,
}

/// What the daemon is given to reach the API server.
pub(super) struct Credentials {
    pub(super) kubeconfig: Value,
    pub(super) authority: PathBuf,
}

impl Clerks {
    /// Starts an API server, installs the manifest and the namespaces, and registers the node.
    ///
    /// # Errors
    /// It cannot be had, or refuses something.
    pub(super) fn start() -> Result<Self> {
        let programs = kube::ensure()?;
        let cluster = Cluster::start(&programs, &[NAME])?;
        install(cluster.admin())?;
        let kubelet = cluster.kubelet(NAME)?;
        let (answer, answers) = sync_channel(QUEUE);
        let objects = Arc::new(Mutex::new(HashMap::new()));
        let (mut desks, mut threads) = (Vec::new(), Vec::new());
        for _ in 0..CLERKS {
            let (desk, asked) = sync_channel(QUEUE);
            let clerk = Clerk {
                admin: cluster.admin().clone(),
                kubelet: kubelet.clone(),
                objects: Arc::clone(&objects),
            };
            let answer = answer.clone();
            threads.push(thread::spawn(move || clerk.work(&asked, &answer)));
            desks.push(desk);
        }
        Ok(Self {
            desks,
            threads,
            cluster,
            answers,
            names: HashMap::new(),
        })
    }

    /// The daemon's credentials, for use in the machine with the authority's certificate at `authority`.
    ///
    /// # Errors
    /// There is no such account, or its kubeconfig is none.
    pub(super) fn credentials(&self, authority: &Path) -> Result<Credentials> {
        let account = self.cluster.account(ACCOUNT.0, ACCOUNT.1)?;
        let text = std::fs::read_to_string(account.kubeconfig())?;
        let mut kubeconfig: Value = serde_json::from_str(&text).context("a kubeconfig in JSON")?;
        let cluster = kubeconfig.pointer_mut("/clusters/0/cluster");
        let cluster = cluster.context("a kubeconfig with a cluster")?;
        let on_host = cluster["certificate-authority"].as_str().map(PathBuf::from);
        let url = cluster["server"].as_str().unwrap_or_default();
        let (_, port) = url.rsplit_once(':').context("an address with a port")?;
        *cluster = json!({"server": format!("https://{HOST}:{port}"), "tls-server-name": "localhost",
            "certificate-authority": authority});
        Ok(Credentials {
            kubeconfig,
            authority: on_host.context("a kubeconfig with an authority")?,
        })
    }

    /// Lets the clerks do what they were asked, and go home. The API server stays.
    pub(super) fn close(&mut self) {
        self.desks.clear();
        for thread in self.threads.drain(..) {
            // One that panicked has said why.
            thread.join().ok();
        }
    }

    /// Has something done, after everything that was asked for this pod before.
    ///
    /// # Errors
    /// The clerks are gone.
    pub(super) fn ask(&self, ask: Ask) -> Result<()> {
        let name = match &ask {
            Ask::Bind { object } => object["metadata"]["name"].as_str(),
            Ask::Tell { uid, .. } | Ask::Delete { uid } | Ask::Forget { uid } => {
                self.names.get(uid).map(String::as_str)
            }
        };
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(name);
        let desk = &self.desks[usize::try_from(hash)? % self.desks.len()];
        let gone = |_| anyhow::anyhow!("a clerk is gone, or has too much to do");
        desk.try_send(ask).map_err(gone)
    }

    /// What has been done since.
    ///
    /// # Errors
    /// The API server refused something.
    pub(super) fn answer(&mut self) -> Result<Option<Answer>> {
        match self.answers.try_recv() {
            Ok(Answer::Failed { why }) => bail!("the API server: {why}"),
            Ok(answer) => {
                if let Answer::Bound { name, uid } = &answer {
                    self.names.insert(uid.clone(), name.clone());
                }
                Ok(Some(answer))
            }
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => bail!("the clerks are gone"),
        }
    }
}

fn install(admin: &User) -> Result<()> {
    let manifest = workspace_root().join("deployments/kubernetes/blackbox.yaml");
    let manifest = manifest.display().to_string();
    // It has fields that a server of 1.20 does not know yet.
    admin.kubectl(&["apply", "--validate=false", "-f", &manifest])?;
    for namespace in NAMESPACES {
        admin.kubectl(&["create", "namespace", namespace])?;
    }
    Ok(())
}

struct Clerk {
    admin: User,
    kubelet: Kubelet,
    objects: Arc<Mutex<HashMap<String, Value>>>,
}

impl Clerk {
    fn work(&self, asked: &Receiver<Ask>, answers: &SyncSender<Answer>) {
        for ask in asked {
            let answer = self.do_it(ask).unwrap_or_else(|error| {
                Some(Answer::Failed {
                    why: format!("{error:#}"),
                })
            });
            if let Some(answer) = answer
                && answers.send(answer).is_err()
            {
                return;
            }
        }
    }

    fn do_it(&self, ask: Ask) -> Result<Option<Answer>> {
        match ask {
            Ask::Bind { object } => self.bind(&object).map(Some),
            Ask::Tell { uid, status } => {
                self.kubelet.write_status(&self.object(&uid)?, &status)?;
                Ok(None)
            }
            Ask::Delete { uid } => {
                self.kubelet
                    .ask_to_delete(&self.object(&uid)?, GRACE_SECONDS)?;
                Ok(Some(Answer::Deleted { uid }))
            }
            Ask::Forget { uid } => {
                self.kubelet.remove(&self.object(&uid)?)?;
                Ok(None)
            }
        }
    }

    fn bind(&self, object: &Value) -> Result<Answer> {
        let namespace = object["metadata"]["namespace"].as_str();
        let namespace = namespace.context("a pod has a namespace")?;
        let path = format!("/api/v1/namespaces/{namespace}/pods");
        let made = self.admin.create(&path, object)?;
        let text = |key: &str| {
            let text = made["metadata"][key].as_str();
            text.map(str::to_owned)
                .context("a pod has a name and a uid")
        };
        let (name, uid) = (text("name")?, text("uid")?);
        let mut objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        objects.insert(uid.clone(), made);
        Ok(Answer::Bound { name, uid })
    }

    fn object(&self, uid: &str) -> Result<Value> {
        let objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        objects.get(uid).cloned().context("a pod nobody made")
    }
}
