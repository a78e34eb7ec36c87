//! Lines as services, Kubernetes and people write them, with nothing to hide.

use crate::dice::Dice;

/// How many of each line.
const EACH: u64 = 50;

/// `{name}` stands for something random.
const LINES: &[&str] = &[
    // Access logs and requests.
    r#"{ip} - - [04/Mar/2026:05:01:02 +0000] "GET /api/v1/orders/{n}?page={d} HTTP/1.1" 200 {n} "-" "kube-probe/1.31""#,
    r#"{ip}:{port} "POST /auth/login HTTP/1.1" 401 {d} {d}ms"#,
    "GET /static/js/main.{hex8}.js 304 {d}ms",
    r#"{"remote":"{ip}","method":"GET","uri":"/healthz","status":200,"request_id":"{uuid}","bytes":{n}}"#,
    "[{time}] outbound|{port}||orders.shop.svc.cluster.local {ip}:{port} - 200 via_upstream {uuid}",
    // Structured and plain logs.
    r#"{"level":"info","ts":"{time}","caller":"server/http.go:{d}","msg":"request done","trace_id":"{hex32}","span_id":"{hex16}","took_ms":{d}}"#,
    "time={time} level=warn msg=\"token expired, signing in again\" user_id={n}",
    "{time} INFO  [pool-{d}-thread-{d}] c.s.orders.OrderService - order {n} placed for customer {n} in {d} ms",
    "{time} ERROR [main] o.s.b.SpringApplication - Application run failed",
    "I0304 05:01:02.{d}       1 reconciler.go:{d}] \"Reconciling\" namespace=\"shop\" name=\"{pod}\" generation={d}",
    "E0304 05:01:02.{d} connect to {ip}:{port} failed: connection refused (attempt {d} of 5, next in 2s)",
    "[{d}.{n}] oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=cri-containerd-{hex64}.scope,mems_allowed=0",
    "systemd[1]: user@{d}.service: Succeeded.",
    "systemd[1]: Started getty@tty{d}.service - Getty on tty{d}.",
    "sshd[{d}]: Connection closed by {ip} port {port} [preauth]",
    // Kubernetes.
    "pulled image registry.shop.example/orders@sha256:{hex64}",
    "Successfully pulled image \"ghcr.io/shop/{word}:v{d}.{d}.{d}\" in {d}ms",
    "Back-off restarting failed container {word} in pod {pod}_shop({uuid})",
    "Liveness probe failed: Get \"http://{ip}:{port}/healthz\": dial tcp {ip}:{port}: connect: connection refused",
    "MountVolume.SetUp failed for volume \"kube-api-access-{word}\" : object \"shop\"/\"kube-root-ca.crt\" not registered",
    "couldn't find key API_KEY in ConfigMap shop/{word}",
    "secret \"{word}-tls\" not found",
    "Error: secrets \"{word}\" is forbidden: User \"system:serviceaccount:shop:{word}\" cannot get resource \"secrets\"",
    "token=/var/run/secrets/kubernetes.io/serviceaccount/token",
    "/var/lib/kubelet/pods/{uuid}/volumes/kubernetes.io~projected/kube-api-access-{word}/token",
    "containerd://{hex64}",
    "/sys/fs/cgroup/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{hex32}.slice",
    // Ids, numbers, times, places.
    "{uuid}",
    "commit {hex40} (HEAD -> main, tag: v{d}.{d}.{d})",
    "sha256:{hex64}",
    "etag: W/\"{hex32}\"",
    "order {badcard} shipped",
    "invoice=INV-{n}-{d} phone=+49 30 {n}",
    "tracking number {badcard}",
    "epoch={epoch}000000000 seq={n}",
    "segfault at {hex8} ip 00007f{hex10} sp 00007ffd{hex8} error 4 in libc.so.6[7f{hex10}+1c000]",
    "#{d} 0x0000{hex12} in main () at src/main.c:{d}",
    "version {d}.{d}.{d}-rc{d}+build.{hex8}",
    "listening on [::]:{port}",
    "ip=fe80::{hex4}:{hex4}:{hex4}:{hex4} mac=02:42:ac:11:00:{hex2}",
    "{time} position lat=52.{n} lon=13.{n}",
    // Stacks.
    "    at com.shop.orders.OrderController.place(OrderController.java:{d}) ~[orders.jar:{d}.{d}.{d}]",
    "Caused by: java.lang.IllegalStateException: token must not be null",
    "  File \"/usr/lib/python3.12/site-packages/{word}/auth.py\", line {d}, in get_token",
    "    at Object.<anonymous> (/app/node_modules/{word}@{d}.{d}.{d}/lib/token.js:{d}:{d})",
    "thread 'main' panicked at src/main.rs:{d}:{d}: index out of bounds: the len is {d} but the index is {d}",
    "goroutine {d} [running]:",
    "main.(*Server).authenticate(0xc000{hex6}, {0xc000{hex6}, 0x{hex2}})",
    "SyntaxError: Unexpected token < in JSON at position {d}",
    "error: unexpected token: '}' at {d}:{d}",
    // People and their words for secrets.
    "password is required",
    "password: must be at least {d} characters",
    "Password authentication failed for user \"{word}\" from {ip}",
    "FATAL:  password authentication failed for user \"{word}\"",
    "invalid password for {word}, attempt {d}",
    "the token has expired {d} minutes ago",
    "token: expired",
    "tokens used: {n}",
    "max_tokens={d} tokens={n} token_count={d}",
    "tokenizer={word}-base model={word}",
    "author={word} authority={word} oauth enabled",
    "monkey={word} donkey={n} keyboard=de turkey={d}",
    "key={word} partition={d} offset={n}",
    "primary_key={n} foreign_key={word}_id sort_key={word}",
    "cache key {word}:{n} missed",
    "keyspace hits={n} misses={d} expired_keys={d}",
    "no credentials found, using anonymous access",
    "credentials: none",
    "secret rotation is due in {d} days",
    "basic authentication is disabled for {word}",
    "bearer token is missing",
    "session {uuid} closed after {d}s",
    "session_timeout={d} auth_enabled=true auth_method=kerberos",
    "compass={d} bypass=true passenger={word} passed={d} failed={d}",
    "passed: {d}, skipped: {d}, password tests: {d}",
    "reset your password at https://shop.example/reset",
    "--token is required; see --help",
    "usage: app --password <password> --port {port}",
    "password=${DB_PASSWORD} user=${DB_USER}",
    "password=**** user={word}",
    "token=<redacted> user={word}",
    "cookie consent accepted by {word}",
    "cookies: {d}, local storage: {d} kB",
    // Metrics, statements, settings, files.
    "http_requests_total{method=\"GET\",code=\"200\",handler=\"/{word}\"} {n} {epoch}000",
    "go_gc_duration_seconds{quantile=\"0.{d}\"} 0.000{n}",
    "statsd.timing.{word}.{d}:{n}|ms|#env:prod,pod:{pod}",
    "SELECT id, name FROM users WHERE id = {n} AND deleted_at IS NULL LIMIT {d}",
    "INSERT INTO orders (id, sku, amount) VALUES ({n}, '{word}', {d}.{d})",
    "duration: {d}.{d} ms  statement: UPDATE sessions SET seen = now() WHERE id = '{uuid}'",
    "java -Xmx{d}m -XX:+UseG1GC -jar /app/{word}.jar --server.port={port}",
    "nginx -g 'daemon off;' -p /etc/nginx -c nginx.conf",
    "docker run --rm -p {port}:{port} {word}:{d}",
    "tar -p -xf {word}.tar.gz -C /opt/{word}",
    "/usr/share/{word}/lib{word}.so.{d}.{d}.{d}",
    "open /etc/{word}/config.yaml: no such file or directory",
    "https://docs.shop.example/{word}/{d}#token-lifetime",
    "git@github.com:shop/{word}.git",
    "npm WARN deprecated {word}@{d}.{d}.{d}: use {word} instead",
    "replicas: {d}\nminReadySeconds: {d}\nimagePullPolicy: IfNotPresent",
    "{\"items\":[],\"kind\":\"List\",\"metadata\":{\"resourceVersion\":\"{n}\",\"continue\":null}}",
];

/// At least 5,000, most of them each another.
pub(crate) fn all() -> Vec<String> {
    let mut dice = Dice::new(0x0a11_5afe);
    let mut made = Vec::new();
    for _ in 0..EACH {
        made.extend(LINES.iter().map(|line| filled(line, &mut dice)));
    }
    made
}

/// The line with something random for each name in braces that is one of ours.
fn filled(line: &str, dice: &mut Dice) -> String {
    let mut made = String::new();
    let mut rest = line;
    while let Some(open) = rest.find('{') {
        made.push_str(&rest[..open]);
        rest = &rest[open..];
        let named = rest
            .find('}')
            .and_then(|close| Some((random(&rest[1..close], dice)?, close)));
        match named {
            Some((random, close)) => {
                made.push_str(&random);
                rest = &rest[close + 1..];
            }
            None => {
                made.push('{');
                rest = &rest[1..];
            }
        }
    }
    made + rest
}

fn random(name: &str, dice: &mut Dice) -> Option<String> {
    const WORDS: &[&str] = &[
        "orders", "billing", "cart", "search", "mailer", "ledger", "gateway", "catalog", "stock",
        "report",
    ];
    if let Some(length) = name.strip_prefix("hex") {
        return Some(dice.hex(length.parse().ok()?));
    }
    Some(match name {
        "ip" => dice.ip(),
        "port" => dice.number(1024, 65_536).to_string(),
        "d" => dice.number(1, 99).to_string(),
        "n" => dice.number(1000, 9_999_999).to_string(),
        "epoch" => dice.number(1_700_000_000, 1_800_000_000).to_string(),
        "uuid" => dice.uuid(),
        "time" => dice.time(),
        "word" => dice.pick(WORDS).to_owned(),
        "pod" => format!("{}-{}-{}", dice.pick(WORDS), dice.hex(9), dice.lower(5)),
        "badcard" => {
            let begins = dice.pick(&["4", "51", "9", "7"]);
            dice.luhn(begins, 16, false)
        }
        _ => return None,
    })
}
