//! A daemon's metrics, as a scraper sees them.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use anyhow::Result;

/// The page that is served on `port`.
pub(crate) fn page(port: u16) -> Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: n\r\nconnection: close\r\n\r\n")?;
    let mut page = String::new();
    stream.read_to_string(&mut page)?;
    Ok(page)
}

/// The sum of the series of this name.
pub(crate) fn value(page: &str, name: &str) -> f64 {
    let of = |line: &str| {
        let rest = line.strip_prefix(name)?;
        let (_labels, value) = rest.rsplit_once(' ')?;
        rest.starts_with(['{', ' '])
            .then(|| value.parse::<f64>().ok())?
    };
    page.lines().filter_map(of).sum()
}
