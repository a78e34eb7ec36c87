//! What hiding secrets costs: megabytes of log lines a second, and the memory that searching keeps on each thread.
//!
//! `cargo bench -p blackbox-daemon --bench redact` prints the figures. The lines are those of services: most have no
//! secret, one in a hundred has. Memory is this process's resident size before the first text, after one thread has
//! hidden every kind of secret, and after [`THREADS`] more have.

#![expect(clippy::print_stdout, reason = "figures are what a benchmark is for")]
#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark measures time, nothing replays it"
)]

use std::hint::black_box;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use blackbox_daemon::redact::Redactor;

/// As many as an API of eight processors has.
const THREADS: usize = 8;
/// How long each figure is measured.
const SPAN: Duration = Duration::from_secs(2);

/// Lines without a secret.
const LINES: [&str; 10] = [
    r#"10.244.1.17 - - [04/Mar/2026:05:01:02 +0000] "GET /api/v1/orders/1841?page=2 HTTP/1.1" 200 5120 "-" "kube-probe/1.31""#,
    r#"{"level":"info","ts":"2026-03-04T05:01:02.123456Z","caller":"server/http.go:214","msg":"request done","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","status":200,"took_ms":12.4}"#,
    "2026-03-04 05:01:02,123 INFO  [pool-3-thread-17] c.s.orders.OrderService - order 184467 placed for customer 9921 in 34 ms",
    "I0304 05:01:02.123456       1 reconciler.go:224] \"Reconciling\" namespace=\"shop\" name=\"orders-6d5f7c9b8-x2x4z\" generation=17",
    "    at com.shop.orders.OrderController.place(OrderController.java:141) ~[orders.jar:3.2.1]",
    "thread 'main' panicked at src/main.rs:17:5: index out of bounds: the len is 3 but the index is 7",
    "time=2026-03-04T05:01:02Z level=warn msg=\"token expired, signing in again\" user_id=9921 session=renewed",
    "http_requests_total{method=\"GET\",code=\"200\",handler=\"/metrics\"} 1027 1395066363000",
    "pulled image registry.shop.example/orders@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "E0304 05:01:02.123456 connect to 10.96.0.10:5432 failed: connection refused (attempt 3 of 5, next in 2s)",
];

/// One of each form, made so that no scanner takes it for a real one.
fn secrets() -> Vec<String> {
    let x = |n: usize| {
        "a1B2c3D4e5F6g7H8"
            .chars()
            .cycle()
            .take(n)
            .collect::<String>()
    };
    vec![
        format!("DB_PASSWORD={} port=5432", x(12)),
        format!("Authorization: Bearer {}", x(40)),
        format!("Cookie: sid={}; theme=dark", x(20)),
        format!("postgres://app:{}@db.shop.example:5432/x", x(12)),
        format!("gh{}_{}", "p", x(36)),
        format!("eyJ{}.{}.{}", x(20), x(40), x(43)),
        format!("curl -u admin:{} https://shop.example/", x(10)),
        format!("AccountKey={}==", x(86)),
        "mail to jane.doe@shop.example now".to_owned(),
        format!("card {} 1111 1111 1111", "4111"),
        format!("CREATE USER x IDENTIFIED BY '{}'", x(12)),
        format!(
            "-----BEGIN {} KEY-----\n{}\n-----END {} KEY-----",
            "PRIVATE",
            x(64),
            "PRIVATE"
        ),
        format!("https://hooks.slack.com/services/{}", x(24)),
        format!("sshpass -p {} ssh host; redis-cli -a {}", x(9), x(9)),
    ]
}

fn main() {
    let start = resident();
    let redactor = Redactor::default();
    let compiled = resident();
    let secrets = secrets();
    let work = || {
        for _ in 0..20 {
            for text in LINES
                .iter()
                .map(|line| (*line).to_owned())
                .chain(secrets.iter().cloned())
            {
                black_box(redactor.text(&text));
            }
        }
    };
    work();
    let one = resident();
    let (all, seen) = (Barrier::new(THREADS + 1), Barrier::new(THREADS + 1));
    let many = std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                all.wait();
                work();
                all.wait();
                seen.wait();
            });
        }
        all.wait();
        all.wait();
        let many = resident();
        seen.wait();
        many
    });
    println!(
        "compiled: {} KiB, first thread: {} KiB, {THREADS} more at once: {} KiB",
        compiled - start,
        one - compiled,
        many - one
    );
    rate(&redactor, "log lines", &LINES.map(str::to_owned));
    let mut mixed: Vec<String> = (0..1400)
        .map(|n| LINES[n % LINES.len()].to_owned())
        .collect();
    for (n, secret) in secrets.iter().enumerate() {
        mixed[n * 100] = secret.clone();
    }
    rate(&redactor, "one secret in 100 lines", &mixed);
    rate(&redactor, "a secret in each line", &secrets);
    rate(
        &redactor,
        "1 MiB in one text",
        &[LINES.join("\n").repeat(900)],
    );
}

fn rate(redactor: &Redactor, what: &str, texts: &[String]) {
    let started = Instant::now();
    let (mut bytes, mut count) = (0, 0_u64);
    while started.elapsed() < SPAN {
        for text in texts {
            black_box(redactor.text(text));
            bytes += text.len();
            count += 1;
        }
    }
    let took = started.elapsed();
    let rate = bytes as f64 / 1e6 / took.as_secs_f64();
    let each = took.as_nanos() as f64 / 1e3 / count as f64;
    println!("{what}: {rate:.1} MB/s, {each:.2} us each");
}

/// Resident size of this process, KiB.
fn resident() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").trim().parse().ok())
        .unwrap_or(0)
}
