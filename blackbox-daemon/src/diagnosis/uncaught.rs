//! An error that nobody caught: how the runtimes print one, and which of the lines are its message.
//!
//! Pure text. Sources: the tracebacks of CPython, the panics of Go and Rust, uncaught exceptions of the JVM, .NET, V8/Node,
//! C++, Ruby and PHP as these runtimes print them by default.

use super::speech::Line;

/// Who printed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Runtime {
    Python,
    Go,
    Rust,
    Jvm,
    DotNet,
    Cpp,
    Node,
    Ruby,
    Php,
}

impl Runtime {
    /// Whether a program of it ends so after an error that nobody caught. `None`: it died of a signal.
    pub(super) fn ends_with(self, code: Option<u32>) -> bool {
        match (self, code) {
            (Self::Python | Self::Jvm | Self::Ruby, code) => code == Some(1),
            // 7: the handler of such errors failed itself (node's process documentation).
            (Self::Node, code) => matches!(code, Some(1 | 7)),
            (Self::Go, code) => matches!(code, Some(2) | None),
            (Self::Rust, code) => matches!(code, Some(101) | None),
            (Self::Php, code) => code == Some(255),
            (Self::DotNet | Self::Cpp, code) => matches!(code, None | Some(134)),
        }
    }
}

/// Where it is, and what it says.
#[derive(Clone, Debug)]
pub(super) struct Uncaught {
    pub runtime: Runtime,
    /// Its first line.
    pub start: usize,
    /// The lines that are messages, not places; the first is the one to quote.
    pub messages: Vec<usize>,
}

/// Lines after the message that are no part of it: more of them, and the program went on.
const MOST_AFTER: usize = 4;

/// The last error that nobody caught among the lines, if the program said little after it.
pub(super) fn find(lines: &[Line]) -> Option<Uncaught> {
    let starts = (0..lines.len()).rev();
    let (start, runtime) = starts
        .filter_map(|at| Some((at, runtime(lines, at)?)))
        .next()?;
    let start = match runtime {
        Runtime::Python => chain(lines, start),
        _ => start,
    };
    let rest = || (start..lines.len()).map(|at| (at, lines[at].text.as_str()));
    let messages: Vec<usize> = rest()
        .filter(|(at, text)| is_message(runtime, *at == start, text))
        // Python's follows the places; what is not indented behind it is more of the message, or what went on.
        .filter(|(at, _)| runtime != Runtime::Python || lines[at - 1].text.starts_with([' ', '\t']))
        .map(|(at, _)| at)
        .collect();
    let last = *messages.last()?;
    let after = rest().skip(last - start + 1);
    let foreign = after.filter(|(_, text)| !belongs(text)).count();
    // Where messages are all that is not indented, the last may be a line of what went on.
    let strange = messages.len().saturating_sub(most_messages(runtime));
    (foreign + strange <= MOST_AFTER).then_some(Uncaught {
        runtime,
        start,
        messages,
    })
}

/// Whether an error that nobody caught begins here.
fn runtime(lines: &[Line], at: usize) -> Option<Runtime> {
    let text = lines[at].text.as_str();
    let begins = |start: &str| text.starts_with(start);
    let soon = |start: &str| {
        let next = lines[at..].iter().take(12);
        next.skip(1).any(|line| line.text.starts_with(start))
    };
    if text.trim_start() == "Traceback (most recent call last):" {
        Some(Runtime::Python)
    } else if (begins("panic: ") || begins("fatal error: ")) && soon("goroutine ")
        || begins("panic: ") && at + 1 == lines.len()
    {
        Some(Runtime::Go)
    } else if begins("thread '") && text.contains(" panicked at ") {
        Some(Runtime::Rust)
    } else if begins("Exception in thread \"main\" ") {
        Some(Runtime::Jvm)
    } else if begins("Unhandled exception. ") || begins("Unhandled Exception: ") {
        Some(Runtime::DotNet)
    } else if begins("terminate called ") || begins("libc++abi: terminating") {
        Some(Runtime::Cpp)
    } else if is_place(text) && node_follows(&lines[at..]) {
        Some(Runtime::Node)
    } else if begins("PHP Fatal error:  Uncaught ") || begins("Fatal error: Uncaught ") {
        Some(Runtime::Php)
    } else if text.contains(".rb:") && text.contains(":in ") && text.ends_with(')') {
        Some(Runtime::Ruby)
    } else {
        None
    }
}

/// `node:events:502`, `/app/main.js:10`: where Node says an error was thrown.
fn is_place(text: &str) -> bool {
    let Some((path, line)) = text.rsplit_once(':') else {
        return false;
    };
    let number = !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_digit());
    let place = path.starts_with("node:")
        || path.contains('/')
        || path.starts_with('<')
        || path == "undefined";
    number && !path.contains(' ') && place
}

/// The caret below the source line, and at the end the version.
fn node_follows(lines: &[Line]) -> bool {
    let mut next = lines.iter().take(60).map(|line| line.text.as_str());
    next.any(|text| text.starts_with("Node.js v"))
}

/// The first of the tracebacks that led to this one.
fn chain(lines: &[Line], start: usize) -> usize {
    let linked = |text: &str| {
        text.starts_with("During handling of the above exception")
            || text.starts_with("The above exception was the direct cause")
    };
    let before = lines[..start].iter().rev();
    let link = before.take(3).any(|line| linked(line.text.trim()));
    let earlier = (0..start)
        .rev()
        .find(|at| lines[*at].text.trim_start() == "Traceback (most recent call last):");
    match earlier {
        Some(earlier) if link => chain(lines, earlier),
        _ => start,
    }
}

fn is_message(runtime: Runtime, first: bool, text: &str) -> bool {
    let indented = text.starts_with([' ', '\t']);
    let bare = text.trim();
    if bare.is_empty() {
        return false;
    }
    match runtime {
        Runtime::Python => {
            let link =
                bare.starts_with("During handling") || bare.starts_with("The above exception");
            !first && !indented && !link && !bare.starts_with("Traceback ")
        }
        Runtime::Go => first || bare.starts_with("panic: ") || bare.starts_with("[signal "),
        Runtime::Rust => {
            !indented && !bare.starts_with("note: ") && !bare.starts_with("stack backtrace:")
        }
        Runtime::Jvm | Runtime::DotNet => {
            first || bare.starts_with("Caused by: ") || bare.starts_with("---> ")
        }
        Runtime::Node => {
            let property = ["code: '", "[cause]", "[errors]"]
                .iter()
                .any(|name| bare.starts_with(name));
            let place = first
                || bare.starts_with("throw ")
                || bare.starts_with('^')
                || bare.starts_with('}');
            (!indented || property) && !place && !bare.starts_with("Node.js v")
        }
        Runtime::Cpp => first || bare.starts_with("what(): "),
        Runtime::Ruby | Runtime::Php => first,
    }
}

/// How many lines a message has at most, where everything that is not indented counts as one.
fn most_messages(runtime: Runtime) -> usize {
    match runtime {
        Runtime::Node => 8,
        Runtime::Rust => 6,
        _ => usize::MAX,
    }
}

/// Whether a line behind the messages belongs to them: places, and what runtimes say last.
fn belongs(text: &str) -> bool {
    let bare = text.trim();
    let last = [
        "goroutine ",
        "created by ",
        "exit status",
        "main.",
        "runtime.",
        "note: ",
        "stack backtrace:",
        "Node.js v",
        "}",
        "[signal ",
        "... ",
        "at ",
    ];
    text.starts_with([' ', '\t'])
        || bare.is_empty()
        || last.iter().any(|start| bare.starts_with(start))
        || bare.ends_with(')')
}
