//! Any credential: it is a token or it is not, and a token's claims fit or do not.

#![no_main]

use blackbox_daemon::api::auth::tokens::jwt::{MAX_BYTES, parse};
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|credential: &[u8]| {
    let Ok(parsed) = parse(credential) else {
        return;
    };
    assert!(credential.len() <= MAX_BYTES);
    assert_eq!(
        format!("{}.{}", parsed.signed, parsed.signature).as_bytes(),
        credential
    );
    for now in [Timestamp::MIN, Timestamp::UNIX_EPOCH, Timestamp::MAX] {
        if let Ok(pod) = parsed.claims.check(now, "blackbox", "node-1") {
            let names = [&pod.namespace, &pod.name, &pod.uid];
            assert!(names.iter().all(|name| !name.is_empty() && name.is_ascii()));
        }
    }
});
