//! The last lines of a dead container's log, from the kubelet's directory:
//! `<namespace>_<pod>_<uid>/<container>/<restart>.log`, one line each as the container runtime interface has it:
//! `<RFC 3339 time> <stdout|stderr> <P|F> <text>` (Kubernetes documentation, "Logging Architecture").
//!
//! Bounded, and no link is followed: a pod that may write to the host's log directory must not choose what is read.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use jiff::Timestamp;
use rustix::fs::{Dir, FileType, Mode, OFlags, open, openat};

use super::{Config, Instance};
use crate::redact::Redactor;
use crate::report::{LogLine, LogTail};

/// Most lines kept.
const MAX_LINES: usize = 200;
/// Most files of one container looked at: the kubelet keeps the logs of few instances.
const MAX_FILES: usize = 64;
/// Enough of a log's beginning for the time of its first line.
const HEAD: usize = 64;

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("its name is no name of a directory: {0:?}")]
    Name(String),
    #[error("{path} cannot be read: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{0} holds no log of the instance that ended")]
    None(PathBuf),
}

/// The end of the log of the instance that ended.
///
/// # Errors
/// There is none, or it cannot be read.
pub fn tail(config: &Config, instance: &Instance) -> Result<LogTail, Error> {
    let Instance { pod, uid, .. } = instance;
    let of_pod = format!("{}_{}_{uid}", pod.namespace, pod.name);
    for name in [&of_pod, &instance.container] {
        if name.is_empty() || name.contains(['/', '\0']) || name.starts_with('.') {
            return Err(Error::Name(name.clone()));
        }
    }
    let path = config.pod_logs.join(&of_pod).join(&instance.container);
    let read = |source: rustix::io::Errno| Error::Read {
        path: path.clone(),
        source: source.into(),
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = open(&config.pod_logs, flags, Mode::empty()).map_err(read)?;
    let flags = flags | OFlags::NOFOLLOW;
    let of_pod = openat(&root, &*of_pod, flags, Mode::empty()).map_err(read)?;
    let folder = openat(&of_pod, &*instance.container, flags, Mode::empty()).map_err(read)?;
    let (number, file) = newest(&folder, instance.ended)
        .map_err(|source| Error::Read {
            path: path.clone(),
            source,
        })?
        .ok_or_else(|| Error::None(path.clone()))?;
    let path = path.join(format!("{number}.log"));
    end_of(file, config.log_bytes, path.clone()).map_err(|source| Error::Read { path, source })
}

/// The log of the latest instance that began before `ended`, and its number.
fn newest(folder: &OwnedFd, ended: i64) -> io::Result<Option<(u32, File)>> {
    let mut numbers = Vec::new();
    for entry in Dir::read_from(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        // `3.log`; rotated ones have a time behind it.
        if let Some(number) = name
            .strip_suffix(".log")
            .and_then(|n| n.parse::<u32>().ok())
        {
            numbers.push(number);
        }
    }
    numbers.sort_unstable_by(|a, b| b.cmp(a));
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    for number in numbers.into_iter().take(MAX_FILES) {
        let file = File::from(openat(
            folder,
            format!("{number}.log"),
            flags,
            Mode::empty(),
        )?);
        let stat = rustix::fs::fstat(&file)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            continue;
        }
        if began(&file)? <= ended {
            return Ok(Some((number, file)));
        }
    }
    Ok(None)
}

/// When the instance wrote its first line, wall time, ns; of one that wrote nothing, when its log was made.
fn began(mut file: &File) -> io::Result<i64> {
    let mut head = Vec::with_capacity(HEAD);
    file.take(HEAD as u64).read_to_end(&mut head)?;
    let head = String::from_utf8_lossy(&head);
    let first = head
        .split(' ')
        .next()
        .and_then(|time| time.parse::<Timestamp>().ok());
    let nanos = match first {
        Some(first) => first.as_nanosecond(),
        None => {
            let stat = rustix::fs::fstat(file)?;
            i128::from(stat.st_mtime) * 1_000_000_000 + i128::from(stat.st_mtime_nsec)
        }
    };
    file.seek(SeekFrom::Start(0))?;
    Ok(i64::try_from(nanos).unwrap_or(i64::MAX))
}

fn end_of(mut file: File, most: usize, path: PathBuf) -> io::Result<LogTail> {
    let length = file.metadata()?.len();
    let skipped = length.saturating_sub(most as u64);
    file.seek(SeekFrom::Start(skipped))?;
    let mut bytes = Vec::with_capacity(most.min(64 << 10));
    file.take(most as u64).read_to_end(&mut bytes)?;
    // The first line was cut, if anything was left out.
    let cut = match skipped {
        0 => 0,
        _ => bytes
            .iter()
            .position(|byte| *byte == b'\n')
            .map_or(bytes.len(), |end| end + 1),
    };
    let mut kept = &bytes[cut..];
    let lines = kept
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .count();
    for _ in MAX_LINES..lines {
        let end = kept
            .iter()
            .position(|byte| *byte == b'\n')
            .map_or(kept.len(), |end| end + 1);
        kept = &kept[end..];
    }
    let lines = kept
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    Ok(LogTail {
        path: path.to_string_lossy().into_owned(),
        bytes: kept.len() as u64,
        skipped_bytes: skipped + (bytes.len() - kept.len()) as u64,
        sha256: hex(ring::digest::digest(&ring::digest::SHA256, kept).as_ref()),
        hidden: 0,
        lines: lines.map(line).collect(),
    })
}

/// Hides secrets in its lines, stream by stream. The checksum stays that of the bytes of the file.
pub fn redact(log: &mut LogTail, redactor: &Redactor) {
    for stream in ["stdout", "stderr", ""] {
        let lines = log.lines.iter_mut().filter(|line| line.stream == stream);
        log.hidden += redactor.lines(lines.map(|line| &mut line.text));
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn line(bytes: &[u8]) -> LogLine {
    let text = String::from_utf8_lossy(bytes);
    let mut parts = text.splitn(4, ' ');
    let head = (parts.next(), parts.next(), parts.next(), parts.next());
    if let (Some(time), Some(stream @ ("stdout" | "stderr")), Some("P" | "F"), Some(said)) = head
        && let Ok(timestamp) = time.parse()
    {
        return LogLine {
            timestamp: Some(timestamp),
            stream: stream.to_owned(),
            text: said.to_owned(),
        };
    }
    LogLine {
        timestamp: None,
        stream: String::new(),
        text: text.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::record::PodName;

    fn config(root: &Path) -> Config {
        Config {
            pod_logs: root.to_owned(),
            log_bytes: 1024,
            root: PathBuf::new(),
            containers: Vec::new(),
        }
    }

    fn instance(ended: &str) -> Instance {
        Instance {
            pod: PodName {
                namespace: "shop".to_owned(),
                name: "web".to_owned(),
            },
            uid: "u-1".to_owned(),
            container: "app".to_owned(),
            ended: i64::try_from(ended.parse::<Timestamp>().unwrap().as_nanosecond()).unwrap(),
        }
    }

    fn write(root: &Path, number: u32, text: &str) {
        let folder = root.join("shop_web_u-1/app");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("{number}.log")), text).unwrap();
    }

    #[test]
    fn the_dead_instance_is_read_and_not_the_one_that_followed() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), 0, "2026-03-04T05:00:00.5Z stdout F first\n");
        let text = "2026-03-04T05:01:00Z stdout F starting\n2026-03-04T05:01:02.25Z stderr F panic: no config\n";
        write(root.path(), 1, text);
        write(root.path(), 2, "2026-03-04T05:01:12Z stdout F starting\n");
        fs::write(
            root.path()
                .join("shop_web_u-1/app/1.log.20260304-050100.gz"),
            "x",
        )
        .unwrap();
        let found = tail(&config(root.path()), &instance("2026-03-04T05:01:03Z")).unwrap();
        assert!(found.path.ends_with("app/1.log"), "{}", found.path);
        assert_eq!((found.bytes, found.skipped_bytes), (text.len() as u64, 0));
        let last = &found.lines[1];
        assert_eq!(
            (last.stream.as_str(), last.text.as_str()),
            ("stderr", "panic: no config")
        );
        assert_eq!(
            last.timestamp,
            Some("2026-03-04T05:01:02.25Z".parse().unwrap())
        );
        assert_eq!(
            found.sha256,
            hex(ring::digest::digest(&ring::digest::SHA256, text.as_bytes()).as_ref())
        );
    }

    #[test]
    fn what_is_kept_is_bounded_and_begins_with_a_line() {
        let root = tempfile::tempdir().unwrap();
        let line = |n: usize| format!("2026-03-04T05:01:00Z stdout F line {n}\n");
        let text: String = (0..1_000).map(line).collect();
        write(root.path(), 0, &text);
        let found = tail(&config(root.path()), &instance("2026-03-04T05:02:00Z")).unwrap();
        assert!(found.bytes <= 1024 && found.bytes + found.skipped_bytes == text.len() as u64);
        assert_eq!(found.lines.last().unwrap().text, "line 999");
        assert!(found.lines.iter().all(|line| line.timestamp.is_some()));
        let many = Config {
            log_bytes: 1 << 20,
            ..config(root.path())
        };
        let found = tail(&many, &instance("2026-03-04T05:02:00Z")).unwrap();
        assert_eq!(found.lines.len(), MAX_LINES);
        assert_eq!(found.lines[0].text, "line 800");
    }

    #[test]
    fn links_and_strange_names_are_refused() {
        let root = tempfile::tempdir().unwrap();
        let at = instance("2026-03-04T05:02:00Z");
        assert!(matches!(
            tail(&config(root.path()), &at),
            Err(Error::Read { .. })
        ));
        fs::write(
            root.path().join("secret"),
            "2026-03-04T05:01:00Z stdout F secret\n",
        )
        .unwrap();
        let folder = root.path().join("shop_web_u-1/app");
        fs::create_dir_all(&folder).unwrap();
        std::os::unix::fs::symlink(root.path().join("secret"), folder.join("0.log")).unwrap();
        assert!(tail(&config(root.path()), &at).is_err());
        for container in ["..", "", "a/b", ".hidden"] {
            let other = Instance {
                container: container.to_owned(),
                ..at.clone()
            };
            assert!(
                matches!(tail(&config(root.path()), &other), Err(Error::Name(_))),
                "{container}"
            );
        }
        fs::remove_file(folder.join("0.log")).unwrap();
        assert!(matches!(
            tail(&config(root.path()), &at),
            Err(Error::None(_))
        ));
    }
}
