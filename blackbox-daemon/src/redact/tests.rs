//! One of each kind, what is none, and what is hidden already.

use serde_json::json;

use super::*;

#[test]
fn secrets_are_hidden_and_their_surroundings_stay() {
    let redactor = Redactor::default();
    for (text, expected) in [
        (
            "password=hunter2 user=x",
            "password=[hidden: password] user=x",
        ),
        (
            r#"{"password":"a\"b","n":1}"#,
            r#"{"password":"[hidden: password]","n":1}"#,
        ),
        (
            r#"{\"token\":\"abc123\"}"#,
            r#"{\"token\":\"[hidden: token]\"}"#,
        ),
        (
            "postgres://app:s3cr3t@db.shop.io:5432/x",
            "postgres://app:[hidden: password]@db.shop.io:5432/x",
        ),
        (
            "mail to jane.doe@example.com now",
            "mail to [hidden: email] now",
        ),
        ("card 4111 1111 1111 1111.", "card [hidden: card]."),
        ("--password hunter2 -v", "--password [hidden: password] -v"),
        (
            "Authorization: Bearer abcDEF123456",
            "Authorization: Bearer [hidden: token]",
        ),
        ("DB_PASSWORD: hunter2", "DB_PASSWORD: [hidden: password]"),
        (
            "Server=db;Pwd=a1;Database=x",
            "Server=db;Pwd=[hidden: password];Database=x",
        ),
    ] {
        let once = redactor.text(text);
        assert_eq!(once.text, expected);
        let twice = redactor.text(&once.text);
        assert_eq!((&*twice.text, twice.hidden), (expected, 0));
    }
}

#[test]
fn talk_of_secrets_is_left_alone() {
    let redactor = Redactor::default();
    for text in [
        "token expired",
        "password is wrong",
        "secret not found in namespace",
        r#"secrets "db" not found"#,
        "unexpected token < in JSON at position 0",
        "unexpected token: }1",
        "tokenizer=bert-base",
        "token: expired",
        "--token is required",
        "1700000000000000000",
        "550e8400-e29b-41d4-a716-446655440000",
        "user@1000.service: Succeeded",
        "PWD=/app",
        "token=/var/run/secrets/kubernetes.io/serviceaccount/token",
    ] {
        assert_eq!(redactor.text(text).text, text);
    }
}

#[test]
fn json_is_hidden_by_the_names_of_its_keys() {
    let redactor = Redactor::default();
    let mut value = json!({"Password": 12, "a": [{"api_key": "k"}], "name": "X_TOKEN", "value": "v", "n": 4_111_111_111_111_111_u64});
    assert_eq!(redactor.json(&mut value), 4);
    assert_eq!(redactor.json(&mut value), 0);
    assert_eq!(value["a"][0]["api_key"], "[hidden: key]");
}

#[test]
fn a_key_that_stands_twice_hides_nothing_behind_it() {
    let redactor = Redactor::default();
    for (text, expected) in [
        (
            r#"{"password":"x","password":null,"n":1}"#,
            r#"{"n":1,"password":null}"#,
        ),
        (r#"[{"a":{"b":"k7Rm2","b":{}}}]"#, r#"[{"a":{"b":{}}}]"#),
        (
            r#"{ "a": 1,  "b": [2, "x"] }"#,
            r#"{ "a": 1,  "b": [2, "x"] }"#,
        ),
    ] {
        let mut made = text.to_owned();
        redactor.json_text(&mut made);
        assert_eq!(made, expected);
    }
}

#[test]
fn what_is_no_ascii_may_stand_around_a_secret() {
    let redactor = Redactor::default();
    for (text, expected) in [
        ("épassword=é1é", "épassword=[hidden: password]"),
        ("ключ=ü token=äb1c2d3 ñ", "ключ=ü token=[hidden: token] ñ"),
        (
            "日本postgres://ü:é@日本",
            "日本postgres://ü:[hidden: password]@日本",
        ),
        ("x日basic abcd1234é", "x日basic [hidden: token]é"),
    ] {
        assert_eq!(redactor.text(text).text, expected);
    }
}

#[test]
fn a_key_over_many_lines_is_hidden() {
    let redactor = Redactor::default();
    let mut lines = [
        "-----BEGIN RSA PRIVATE KEY-----",
        "MIIEabcd",
        "-----END RSA PRIVATE KEY-----",
        "ok",
    ]
    .map(str::to_owned);
    redactor.lines(lines.iter_mut());
    assert!(!lines.join("\n").contains("MIIE") && lines[3] == "ok");
}

#[test]
fn own_patterns_are_used_and_checked() {
    let own = |pattern: &str| Redactor::new(&[pattern.to_owned()]);
    assert_eq!(
        own("EMP-[0-9]+").unwrap().text("EMP-17").text,
        "[hidden: token]"
    );
    assert!(own("(").unwrap_err().to_string().contains("\"(\""));
    assert!(own("a*").is_err());
}
