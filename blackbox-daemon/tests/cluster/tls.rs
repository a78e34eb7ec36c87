//! The same API server over TLS, with a certificate by a CA of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::serve::Listener;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Cluster;
use super::server::router;

struct TlsListener {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, from) = self.tcp.accept().await.expect("a connection");
            // A client that does not know the CA hangs up here.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, from);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}

impl Cluster {
    /// Serves at another address too: its URL, and the file of a CA that nothing else has.
    pub(crate) async fn serve_tls(&self) -> (String, PathBuf) {
        let ca_key = KeyPair::generate().expect("a key");
        let mut ca = CertificateParams::new(Vec::new()).expect("no names");
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = ca.self_signed(&ca_key).expect("a CA");
        let tcp = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = tcp.local_addr().expect("an address");
        let path = self.dir.path().join(format!("ca-{}.crt", address.port()));
        std::fs::write(&path, certificate.pem()).expect("a writable file");

        let key = KeyPair::generate().expect("a key");
        let leaf = CertificateParams::new(vec![address.ip().to_string()]).expect("an address");
        let leaf = leaf
            .signed_by(&key, &Issuer::new(ca, ca_key))
            .expect("a certificate");
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key.into())
            .expect("a key of its certificate");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TlsListener { tcp, acceptor };
        let router = router(Arc::clone(&self.server));
        tokio::spawn(async move { axum::serve(listener, router).await });
        (format!("https://{address}"), path)
    }
}
