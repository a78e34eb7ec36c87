//! A service that indexes beyond its data: a Rust panic, exit 101.

use std::time::Duration;

#[inline(never)]
fn shard<'a>(shards: &'a [String], key: usize) -> &'a str {
    &shards[key % 4]
}

fn main() {
    println!("INFO router starting, pid {}", std::process::id());
    if let Err(error) = std::fs::metadata("/etc/router/shards.toml") {
        println!("INFO no shards.toml: {error}");
    }
    let shards: Vec<String> = (0..3).map(|number| format!("shard-{number}")).collect();
    for key in 0..4 {
        std::thread::sleep(Duration::from_millis(200));
        println!("INFO key {key} is on {}", shard(&shards, key));
    }
}
