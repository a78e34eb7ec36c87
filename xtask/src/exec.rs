//! Runs commands: one place that prints the whole command line and the exit status when one fails.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "commands report to the terminal"
)]

use std::io::{BufRead as _, BufReader};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::timing::{Stopwatch, wait_for};

/// Steps that take longer than this say how long they took.
const LONG_STEP: Duration = Duration::from_secs(2);

/// Runs `command` with our own output streams.
///
/// # Errors
/// It cannot be started, or fails: with the whole command line.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| line(command))?;
    succeeded(command, status)
}

/// Runs `command`, killing it once `limit` has passed.
///
/// # Errors
/// It cannot be started, fails, or takes longer than `limit`.
pub(crate) fn run_for(command: &mut Command, limit: Duration) -> Result<()> {
    let mut child = command.spawn().with_context(|| line(command))?;
    let ended = wait_for(limit, || child.try_wait()).with_context(|| line(command))?;
    let Some(status) = ended else {
        child
            .kill()
            .and_then(|()| child.wait())
            .with_context(|| line(command))?;
        bail!("gave up after {} s: {}", limit.as_secs(), line(command));
    };
    succeeded(command, status)
}

/// Runs `command` and returns what it wrote to standard output. Its standard error is shown only if it fails.
///
/// # Errors
/// It cannot be started, fails, or writes something that is not UTF-8.
pub(crate) fn read(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| line(command))?;
    if !output.status.success() {
        eprint!("{}", String::from_utf8_lossy(&output.stderr));
    }
    succeeded(command, output.status)?;
    String::from_utf8(output.stdout).with_context(|| line(command))
}

/// Whether `command` can be started and succeeds, showing nothing of it.
pub(crate) fn works(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Runs `command`, passing its standard output on while `each` sees it line by line.
///
/// # Errors
/// It cannot be started or its output cannot be read. A failing exit status is the caller's to judge.
pub(crate) fn watch(command: &mut Command, mut each: impl FnMut(&str)) -> Result<ExitStatus> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| line(command))?;
    if let Some(stdout) = child.stdout.take() {
        for bytes in BufReader::new(stdout).split(b'\n') {
            let bytes = bytes.with_context(|| line(command))?;
            let text = String::from_utf8_lossy(&bytes);
            println!("{text}");
            each(&text);
        }
    }
    child.wait().with_context(|| line(command))
}

/// # Errors
/// `status` is a failure: with the whole command line.
pub(crate) fn succeeded(command: &Command, status: ExitStatus) -> Result<()> {
    ensure!(status.success(), "{status}: {}", line(command));
    Ok(())
}

/// Announces `title`, does `work`, and says how long it took if it took long.
///
/// # Errors
/// Those of `work`.
pub(crate) fn step<T>(title: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    eprintln!("── {title}");
    let watch = Stopwatch::start();
    let result = work();
    if watch.elapsed() >= LONG_STEP {
        let end = if result.is_ok() { "done" } else { "failed" };
        eprintln!(
            "── {title}: {end} after {:.1} s",
            watch.elapsed().as_secs_f32()
        );
    }
    result
}

/// The whole command line, with the variables it is given, as a shell would take it.
pub(crate) fn line(command: &Command) -> String {
    let variables = command.get_envs().filter_map(|(key, value)| {
        Some(format!(
            "{}={}",
            key.display(),
            quoted(&value?.to_string_lossy())
        ))
    });
    let words = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| quoted(&word.to_string_lossy()));
    variables.chain(words).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain =
        |character: char| character.is_ascii_alphanumeric() || "-_./=:,+@^%".contains(character);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_whole_command_line() {
        let error = run(Command::new("sh").args(["-c", "exit 3"]).env("KEY", "a b")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "exit status: 3: KEY='a b' sh -c 'exit 3'"
        );
    }

    #[test]
    fn a_command_that_hangs_is_given_up() {
        let error =
            run_for(Command::new("sleep").arg("30"), Duration::from_millis(50)).unwrap_err();
        assert!(error.to_string().starts_with("gave up after"), "{error}");
    }

    #[test]
    fn watched_lines_are_seen_and_a_failure_is_not_an_error() {
        let mut lines = Vec::new();
        let mut command = Command::new("sh");
        command.args(["-c", "echo one; echo two; exit 4"]);
        let status = watch(&mut command, |line| lines.push(line.to_owned())).unwrap();
        assert_eq!(
            (status.code(), lines),
            (Some(4), vec!["one".to_owned(), "two".to_owned()])
        );
    }
}
