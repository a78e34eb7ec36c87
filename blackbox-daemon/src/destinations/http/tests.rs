//! The http destination against a real server on the loopback interface.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Config, Endpoint, Error, header};
use crate::destinations::document::PIECE;
use crate::destinations::tests::{document, dossier, made};
use crate::destinations::{Document, Kind};
use crate::report::format::Format;

#[derive(Clone, Copy)]
pub(in crate::destinations) enum Answer {
    Status(u16),
    Hang,
}

/// What a server was asked, whole requests.
pub(in crate::destinations) type Asked = Arc<Mutex<Vec<String>>>;

/// A server that gives these answers in order, then the last one for ever. Its URL and what it was asked.
pub(in crate::destinations) async fn serve(answers: Vec<Answer>) -> (String, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/in?key=secret", listener.local_addr().unwrap());
    let asked = Asked::default();
    let log = Arc::clone(&asked);
    let mut answers = VecDeque::from(answers);
    tokio::spawn(async move {
        let mut hanging = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let answer = if answers.len() > 1 {
                answers.pop_front().unwrap()
            } else {
                answers[0]
            };
            let request = read(&mut stream).await;
            log.lock().unwrap().push(request);
            match answer {
                Answer::Hang => hanging.push(stream),
                Answer::Status(status) => {
                    let head = format!(
                        "HTTP/1.1 {status} x\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\
                         connection: close\r\n\r\n"
                    );
                    stream.write_all(head.as_bytes()).await.unwrap();
                }
            }
        }
    });
    (url, asked)
}

/// One request with its body.
async fn read(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer).await.unwrap();
        request.extend_from_slice(&buffer[..count]);
        if let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = std::str::from_utf8(&request[..end]).unwrap();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            if request.len() - end - 4 >= length.unwrap().parse().unwrap() {
                return String::from_utf8(request).unwrap();
            }
        }
        assert!(count > 0, "the request ended early");
    }
}

pub(in crate::destinations) fn config(url: &str, timeout: Duration) -> Config {
    // Another test may have installed it already.
    drop(rustls::crypto::ring::default_provider().install_default());
    Config {
        timeout,
        ..Config::new(url).unwrap()
    }
}

async fn post(url: &str, document: &Document) -> Result<(), Error> {
    let config = config(url, Duration::from_secs(10));
    Endpoint::open(config).unwrap().write(document).await
}

#[tokio::test]
async fn a_document_is_posted_as_what_it_is() {
    let (url, asked) = serve(vec![Answer::Status(204)]).await;
    let text = Document {
        kind: Kind::Report(Format::Default),
        ..document("oom-1")
    };
    post(&url, &document("oom-1")).await.unwrap();
    post(&url, &text).await.unwrap();
    let asked = asked.lock().unwrap();
    assert!(asked[0].starts_with("POST /in?key=secret HTTP/1.1\r\n"));
    assert!(asked[0].contains("\r\ncontent-type: application/json\r\n"));
    assert!(asked[0].contains("\r\nx-blackbox-incident: oom-1\r\n"));
    let (_, body) = asked[0].split_once("\r\n\r\n").unwrap();
    assert_eq!(body.as_bytes(), made(&document("oom-1")));
    assert!(asked[1].contains("\r\ncontent-type: text/plain; charset=utf-8\r\n"));
}

#[tokio::test]
async fn a_long_document_is_sent_while_it_is_made_and_whole_each_time() {
    let (url, asked) = serve(vec![Answer::Status(503), Answer::Status(200)]).await;
    let mut long = dossier("long");
    long.report.incident.message = "x".repeat(40 * PIECE);
    let long = Document {
        dossier: Arc::new(long),
        ..document("long")
    };
    post(&url, &long).await.unwrap();
    let asked = asked.lock().unwrap();
    for request in asked.iter() {
        let (_, body) = request.split_once("\r\n\r\n").unwrap();
        assert!(body.as_bytes() == made(&long));
    }
    assert_eq!(asked.len(), 2);
}

#[tokio::test]
async fn a_failure_that_may_pass_is_tried_again() {
    for status in [500, 429] {
        let (url, asked) = serve(vec![Answer::Status(status), Answer::Status(200)]).await;
        post(&url, &document("oom-1")).await.unwrap();
        assert_eq!(asked.lock().unwrap().len(), 2, "{status}");
    }
}

#[tokio::test]
async fn a_third_failure_is_the_last() {
    let (url, asked) = serve(vec![Answer::Status(503)]).await;
    let error = post(&url, &document("oom-1")).await.unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with(" answered 503 Service Unavailable")
    );
    assert!(!error.to_string().contains("secret"));
    assert_eq!(asked.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn a_refusal_and_a_redirect_are_final() {
    for status in [302, 307, 400, 401] {
        let (url, asked) = serve(vec![Answer::Status(status)]).await;
        let error = post(&url, &document("oom-1")).await.unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{error}");
        assert_eq!(asked.lock().unwrap().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn nobody_there_is_an_error_without_the_url() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/secret", listener.local_addr().unwrap());
    drop(listener);
    let error = post(&url, &document("oom-1")).await.unwrap_err();
    let shown = format!("{:#}", anyhow::Error::from(error));
    assert!(shown.contains("refused"), "{shown}");
    assert!(!shown.contains("secret"), "{shown}");
}

#[test]
fn hostile_ids_make_a_header() {
    assert_eq!(header("oom-1"), "oom-1");
    assert_eq!(header("a\r\nx-admin: é\0"), "a__x-admin:___");
    assert_eq!(header(""), "");
}

#[test]
fn only_web_urls_are_endpoints() {
    for url in ["ftp://host/x", "host/x", "http://"] {
        assert!(Config::new(url).is_err(), "{url}");
    }
}
