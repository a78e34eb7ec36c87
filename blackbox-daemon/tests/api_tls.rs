//! TLS end to end: requests work, replaced files are served without a restart, broken ones change nothing.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use axum::Router;
use axum::routing::get;
use blackbox_daemon::api::server::{Limits, Listener};
use blackbox_daemon::api::tls::Tls;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::sleep;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

const PERIOD: Duration = Duration::from_millis(20);

struct Pair {
    cert: String,
    key: String,
    der: CertificateDer<'static>,
}

fn pair() -> Pair {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a pair");
    Pair {
        cert: made.cert.pem(),
        key: made.signing_key.serialize_pem(),
        der: made.cert.der().clone(),
    }
}

fn write(folder: &Path, cert: &str, key: &str) {
    fs::create_dir_all(folder).expect("a folder");
    fs::write(folder.join("tls.crt"), cert).expect("a file");
    fs::write(folder.join("tls.key"), key).expect("a file");
}

fn load(folder: &Path) -> Result<Tls, String> {
    let (cert, key) = (folder.join("tls.crt"), folder.join("tls.key"));
    Tls::load(cert, key).map_err(|error| error.to_string())
}

/// One request to a server whose certificate is to be `root`.
async fn ask(address: SocketAddr, root: &Pair) -> io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(root.der.clone()).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").expect("a name");
    let mut stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await?;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn replaced_files_are_served_and_broken_ones_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (pair(), pair());
    // As in a Secret's volume: the files are symlinks through a folder that is swapped.
    let (first, second, data) = (
        folder.path().join("1"),
        folder.path().join("2"),
        folder.path().join("data"),
    );
    write(&first, &old.cert, &old.key);
    write(&second, &new.cert, &new.key);
    symlink(&first, &data).unwrap();
    let tls = load(&data).unwrap();

    let listener = Listener::bind(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)
        .await
        .unwrap();
    let (address, counts) = (listener.local_addr().unwrap(), listener.connections());
    let stop = CancellationToken::new();
    let following = tokio::spawn(tls.clone().follow_every(PERIOD, stop.clone()));
    let router = Router::new().route("/", get(|| async { "fine" }));
    let limits = Limits {
        handshake: Duration::from_millis(500),
        ..Limits::default()
    };
    let serving = tokio::spawn(listener.serve(router, limits, Some(tls), stop.clone()));
    let mut silent = TcpStream::connect(address).await.unwrap();
    assert_eq!(silent.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(counts.handshake_failures_total(), 1);
    assert!(ask(address, &old).await.unwrap().ends_with("fine"));
    assert!(ask(address, &new).await.is_err());

    fs::remove_file(&data).unwrap();
    symlink(&second, &data).unwrap();
    for _ in 0..250 {
        if ask(address, &new).await.is_ok() {
            break;
        }
        sleep(PERIOD).await;
    }
    assert!(ask(address, &new).await.unwrap().ends_with("fine"));
    assert!(ask(address, &old).await.is_err());

    for (cert, key) in [(&old.cert, &new.key), (&String::new(), &new.key)] {
        write(&second, cert, key);
        sleep(PERIOD * 10).await;
        assert!(ask(address, &new).await.unwrap().ends_with("fine"));
    }
    fs::remove_file(second.join("tls.key")).unwrap();
    sleep(PERIOD * 10).await;
    assert!(ask(address, &new).await.unwrap().ends_with("fine"));
    write(&second, &old.cert, &old.key);
    sleep(PERIOD * 10).await;
    assert!(ask(address, &old).await.unwrap().ends_with("fine"));

    assert!(counts.handshake_failures_total() > 1);
    stop.cancel();
    serving.await.unwrap();
    following.await.unwrap();
}

#[test]
fn errors_name_the_file_and_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (pair(), pair());
    let wrong = |cert: &str, key: &str| {
        write(folder.path(), cert, key);
        load(folder.path()).unwrap_err()
    };
    let error = wrong("", &one.key);
    assert!(
        error.starts_with("no certificate in ") && error.contains("tls.crt"),
        "{error}"
    );
    let error = wrong(&one.cert, &one.cert);
    assert!(
        error.starts_with("no private key in ") && error.contains("tls.key"),
        "{error}"
    );
    let error = wrong(&one.cert, &two.key);
    assert!(error.contains("cannot be used together"), "{error}");
    fs::remove_file(folder.path().join("tls.crt")).unwrap();
    let error = load(folder.path()).unwrap_err();
    assert!(
        error.starts_with("cannot read ") && error.contains("tls.crt"),
        "{error}"
    );
}
