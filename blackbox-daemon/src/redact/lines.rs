//! Secrets that go over several lines of a log: private keys. Each line alone looks like any base64.

use super::{Kind, Redactor};

impl Redactor {
    /// Hides secrets in lines of one stream, in order; returns how many.
    pub fn lines<'a>(&self, lines: impl Iterator<Item = &'a mut String>) -> u32 {
        let mut lines: Vec<&mut String> = lines.collect();
        let mut hidden = 0;
        let mut inside = false;
        // The tail may begin within a key.
        let end = lines.iter().position(|line| ends(line));
        let start = lines.iter().position(|line| begins(line));
        if let Some(end) = end.filter(|end| start.is_none_or(|start| start > *end)) {
            for line in lines[..end].iter_mut().rev() {
                if !is_body(line) {
                    break;
                }
                hidden += self.hide(line);
            }
        }
        for line in lines {
            if inside && is_body(line) {
                hidden += self.hide(line);
                continue;
            }
            inside = begins(line) && !ends(line);
            hidden += self.string(line);
        }
        hidden
    }

    fn hide(&self, line: &mut String) -> u32 {
        self.count(Kind::Key);
        *line = Kind::Key.marker();
        1
    }
}

fn begins(line: &str) -> bool {
    line.contains("-----BEGIN ") && line.contains("PRIVATE KEY")
}

fn ends(line: &str) -> bool {
    line.contains("-----END ") && line.contains("PRIVATE KEY")
}

/// Base64, or one of the headers of RFC 1421.
fn is_body(line: &str) -> bool {
    let line = line.trim();
    let base64 = |b: u8| b.is_ascii_alphanumeric() || b"+/=".contains(&b);
    (!line.is_empty() && line.bytes().all(base64))
        || line.starts_with("Proc-Type:")
        || line.starts_with("DEK-Info:")
}
