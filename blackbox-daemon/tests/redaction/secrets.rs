//! The secrets, each in a carrier as it is met in logs, arguments and messages. None is real, and none stands here whole.

use crate::dice::Dice;

/// A text with a secret in it.
#[derive(Clone, Debug)]
pub(crate) struct Planted {
    pub(crate) carrier: &'static str,
    pub(crate) text: String,
    /// What may not be seen any more: a part of the secret that no format writes in another way.
    pub(crate) needle: String,
}

/// How many of each carrier.
const EACH: u64 = 8;

/// A password of one of the kinds people choose, and the part of it that nothing escapes.
fn password(dice: &mut Dice) -> (String, String) {
    let core = match dice.number(0, 3) {
        0 => dice.lower(12),
        1 => dice.digits(9),
        _ => dice.mixed(12),
    };
    match dice.number(0, 4) {
        0 => (format!("{core}!"), core),
        1 => (format!("x#{core}"), core),
        2 => (format!("{core}-{}^", dice.number(10, 99)), core),
        _ => (core.clone(), core),
    }
}

/// Where a password may stand.
const PASSWORDS: &[(&str, &str)] = &[
    ("environment", "DB_PASSWORD=§ DB_HOST=db DB_PORT=5432"),
    ("environment", "MYSQL_ROOT_PASSWORD=§"),
    ("environment", "export PGPASSWORD='§'"),
    ("environment", "REDIS_PASS=§\nREDIS_DB=0"),
    ("json", r#"{"user":"app","password":"§","port":5432}"#),
    (
        "json",
        r#"{"db":{"credentials":{"user":"app","password":"§"}}}"#,
    ),
    ("json", r#"{"password":"§","password":null,"n":1}"#),
    ("json", r#"{"env":[{"name":"DB_PASSWORD","value":"§"}]}"#),
    ("json", r#"{"args":["--user","app","--password","§"]}"#),
    (
        "json in json",
        r#"{"msg":"config","body":"{\"passwd\":\"§\"}"}"#,
    ),
    (
        "log",
        r#"level=error msg="cannot sign in" user=app password=§ host=db"#,
    ),
    (
        "log",
        r#"config loaded: {Host:db User:app Password:§ Port:5432}"#,
    ),
    ("log", r#"settings = {'PASSWORD': '§', 'HOST': 'db'}"#),
    (
        "url",
        "postgres://app:§@db.shop.svc:5432/orders?sslmode=disable",
    ),
    ("url", "amqp://guest:§@mq:5672/%2F"),
    ("url", "mongodb+srv://app:§@cluster0.abcde.mongodb.net/test"),
    ("url", "redis://:§@cache:6379/0"),
    (
        "url",
        "cannot fetch https://deploy:§@git.shop.example/orders.git: 403",
    ),
    ("url", r#"{"dsn":"mysql:\/\/app:§@db\/orders"}"#),
    ("dsn", "app:§@tcp(10.0.0.7:3306)/orders?parseTime=true"),
    (
        "dsn",
        "host=db user=app password='§' dbname=orders sslmode=disable",
    ),
    ("dsn", "host=db port=5432 user=app password=§ dbname=orders"),
    (
        "dsn",
        "Server=db;Database=orders;User Id=app;Password=§;Encrypt=true",
    ),
    (
        "dsn",
        "jdbc:postgresql://db/orders?user=app&password=§&ssl=true",
    ),
    (
        "arguments",
        "/usr/bin/app --user app --password § --verbose",
    ),
    ("arguments", "app --db-password=§ --port=8080"),
    ("arguments", "mysql -h db -u root -p§ orders"),
    ("arguments", "docker login registry.example -u app -p §"),
    ("arguments", "curl -s -u admin:§ https://shop.example/api"),
    (
        "arguments",
        "curl --user 'admin:§' https://shop.example/api",
    ),
    ("arguments", "sshpass -p § ssh root@10.0.0.7"),
    ("arguments", "redis-cli -h cache -a § ping"),
    ("arguments", "openssl rsa -in key.pem -passin pass:§ -out k"),
    ("yaml", "spring:\n  datasource:\n    password: §\n"),
    ("yaml", "smtp_password: \"§\""),
    ("ini", "[client]\nuser = app\npassword = §\n"),
    (
        "xml",
        "<property name=\"user\">app</property><password>§</password>",
    ),
    ("statement", "CREATE USER 'app'@'%' IDENTIFIED BY '§'"),
    ("statement", "ALTER ROLE app WITH PASSWORD '§'"),
    ("query", "POST /login?user=app&password=§&next=/ 302"),
];

/// Where a token may stand that is known by its surroundings only.
const TOKENS: &[(&str, &str)] = &[
    ("header", "Authorization: Bearer §"),
    ("header", "> authorization: token §"),
    ("header", "x-api-key: §"),
    (
        "header",
        r#"{"headers":{"X-Auth-Token":"§","Accept":"*/*"}}"#,
    ),
    (
        "header",
        r#"{"headers":[["X-Api-Key","§"],["Accept","*/*"]]}"#,
    ),
    (
        "header",
        r#"Headers({"authorization": "Bearer §", "accept": "*/*"})"#,
    ),
    ("cookie", "Set-Cookie: session=§; Path=/; HttpOnly"),
    ("cookie", "Cookie: theme=dark; sid=§"),
    ("cookie", "cookie: JSESSIONID=§"),
    ("environment", "API_KEY=§"),
    ("environment", "SECRET_KEY_BASE=§ RAILS_ENV=production"),
    ("environment", "JWT_SECRET=§"),
    (
        "environment",
        "AWS_SECRET_ACCESS_KEY=§ AWS_REGION=eu-central-1",
    ),
    (
        "arguments",
        "agent --token=§ --server https://10.0.0.1:6443",
    ),
    ("arguments", "agent --api-key § --site eu"),
    ("arguments", "worker -p=§ -v"),
    ("yaml", "apiKey: §"),
    ("yaml", "users:\n- name: admin\n  user:\n    token: §\n"),
    ("yaml", "client_secret: '§'"),
    ("json", r#"{"access_token":"§","expires_in":3600}"#),
    (
        "json",
        r#"{"data":{"clientSecret":"§"},"clientSecret":null}"#,
    ),
    ("json", r#"{"auths":{"registry.example":{"auth":"§"}}}"#),
    ("json", r#"{"token":{"value":"§","ttl":60}}"#),
    ("query", "GET /v1/orders?access_token=§&page=2 200"),
    (
        "azure",
        "https://x.blob.core.windows.net/c?sv=2024-01-01&se=2026-03-04&sig=§",
    ),
    ("log", "refresh token = § (expires in 3600 s)"),
];

/// Vendors' tokens, as their beginnings and what makes the rest.
fn vendors(dice: &mut Dice) -> Vec<(&'static str, String, String)> {
    let mut made = Vec::new();
    let mut add = |carrier, begins: String, body: String| made.push((carrier, begins, body));
    add("aws", "AK".to_owned() + "IA", dice.upper(16));
    add(
        "github",
        format!("gh{}_", dice.pick(&["p", "o", "s"])),
        dice.mixed(36),
    );
    add("github", "github".to_owned() + "_pat_", dice.mixed(59));
    add("gitlab", "gl".to_owned() + "pat-", dice.mixed(20));
    add(
        "slack",
        format!("xo{}", "xb-"),
        format!("{}-{}", dice.digits(12), dice.mixed(24)),
    );
    add(
        "slack",
        "https://hooks.slack.com/".to_owned() + "services/",
        format!("T{}/B{}/{}", dice.upper(8), dice.upper(8), dice.mixed(24)),
    );
    add("stripe", "sk_".to_owned() + "live_", dice.mixed(24));
    add(
        "sendgrid",
        "SG".to_owned() + ".",
        format!("{}.{}", dice.mixed(22), dice.mixed(43)),
    );
    add("npm", "np".to_owned() + "m_", dice.mixed(36));
    add(
        "pypi",
        "py".to_owned() + "pi-",
        format!("A{}", dice.mixed(70)),
    );
    add("google", "AI".to_owned() + "za", dice.mixed(35));
    add("google", "ya2".to_owned() + "9.", dice.mixed(60));
    add("age", "AGE-".to_owned() + "SECRET-KEY-1", dice.upper(58));
    add("vault", "hv".to_owned() + "s.", dice.mixed(24));
    add("openai", "sk".to_owned() + "-", dice.mixed(48));
    add("digitalocean", "do".to_owned() + "p_v1_", dice.hex(64));
    add("docker", "dckr".to_owned() + "_pat_", dice.mixed(27));
    let header = dice.base64url(24);
    add(
        "jwt",
        "ey".to_owned() + "J",
        format!("{header}.{}.{}", dice.base64url(60), dice.base64url(32)),
    );
    made
}

/// Where such a token may stand: anywhere.
const AROUND: &[&str] = &[
    "§",
    "using § to sign in",
    r#"{"a":[1,"§"],"b":2}"#,
    "GET /x?k=§&y=1",
    r"first line\n§\nlast",
    "value=§, next=1",
    "fatal: could not read from '§'",
    "url%3D§",
];

/// At least 500, each another.
pub(crate) fn all() -> Vec<Planted> {
    let mut dice = Dice::new(0x5ec2e7);
    let mut made = Vec::new();
    for _ in 0..EACH {
        for (carrier, around) in PASSWORDS {
            let (secret, needle) = password(&mut dice);
            let text = put(around, &secret);
            made.push(Planted {
                carrier,
                text,
                needle,
            });
        }
        for (carrier, around) in TOKENS {
            let needle = dice.mixed(32);
            let text = put(around, &needle);
            made.push(Planted {
                carrier,
                text,
                needle,
            });
        }
        for (carrier, begins, body) in vendors(&mut dice) {
            let text = put(dice.pick(AROUND), &format!("{begins}{body}"));
            let needle = body[..12].to_owned();
            made.push(Planted {
                carrier,
                text,
                needle,
            });
        }
        long(&mut dice, &mut made);
        personal(&mut dice, &mut made);
    }
    made
}

fn put(around: &str, secret: &str) -> String {
    around.replacen('§', secret, 1)
}

/// Keys and connection strings.
fn long(dice: &mut Dice, made: &mut Vec<Planted>) {
    let mut add = |carrier, text: String, needle: &str| {
        let needle = needle.to_owned();
        made.push(Planted {
            carrier,
            text,
            needle,
        });
    };
    let body: Vec<String> = (0..4).map(|_| format!("{}ab", dice.mixed(62))).collect();
    for kind in ["", "RSA ", "EC ", "OPENSSH "] {
        let dashes = "-".repeat(5);
        let pem = |join: &str| {
            let begin = format!("{dashes}BEGIN {kind}PRIVATE KEY{dashes}");
            format!(
                "{begin}{join}{}{join}{dashes}END {kind}PRIVATE KEY{dashes}",
                body.join(join)
            )
        };
        add("pem", pem("\n"), &body[2][..20]);
        add(
            "service account",
            format!(
                r#"{{"type":"service_account","private_key":"{}","client_id":"1"}}"#,
                pem(r"\n")
            ),
            &body[1][..20],
        );
    }
    let key = dice.mixed(86);
    add(
        "azure",
        format!(
            "DefaultEndpointsProtocol=https;AccountName=shop;AccountKey={key}==;EndpointSuffix=core.windows.net"
        ),
        &key[..20],
    );
    let key = dice.mixed(43);
    add(
        "azure",
        format!(
            "Endpoint=sb://shop.servicebus.windows.net/;SharedAccessKeyName=Root;SharedAccessKey={key}="
        ),
        &key[..20],
    );
    let pair = dice.mixed(30);
    add("header", format!("Authorization: Basic {pair}=="), &pair);
    let data = dice.mixed(80);
    add(
        "kubeconfig",
        format!("users:\n- user:\n    client-key-data: LS0t{data}=="),
        &data,
    );
}

/// Cards and addresses.
fn personal(dice: &mut Dice, made: &mut Vec<Planted>) {
    for (begins, length) in [("4", 16), ("51", 16), ("34", 15), ("6011", 16)] {
        let digits = dice.luhn(begins, length, true);
        let parts: &[usize] = if length == 15 {
            &[4, 6, 5]
        } else {
            &[4, 4, 4, 4]
        };
        let mut rest = &*digits;
        let groups: Vec<&str> = parts
            .iter()
            .map(|part| {
                let (one, next) = rest.split_at(*part);
                rest = next;
                one
            })
            .collect();
        for join in ["", " ", "-"] {
            let needle = groups.join(join);
            let around = dice.pick(&[
                "card § declined",
                "pan=§",
                r#"{"pan":"§","n":1}"#,
                "paid with §.",
            ]);
            let text = put(around, &needle);
            made.push(Planted {
                carrier: "card",
                text,
                needle,
            });
        }
    }
    for around in [
        "mail to § failed",
        "user=§ id=7",
        r#"{"to":["§"]}"#,
        "From: Jane <§>",
        "GET /u?mail=§&x=1",
    ] {
        let needle = format!(
            "{}.{}@{}.example.com",
            dice.lower(5),
            dice.lower(6),
            dice.lower(4)
        );
        let text = put(around, &needle);
        made.push(Planted {
            carrier: "e-mail",
            text,
            needle,
        });
    }
}
