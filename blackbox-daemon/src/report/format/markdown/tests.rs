//! Pages, read with a real parser of Markdown.

use crate::report::Report;
use crate::report::format::Format;
use crate::report::format::quote::is_hidden;
use crate::report::format::tests::{hostile, poison, sample_report, structure};

fn page(report: &Report) -> String {
    String::from_utf8(Format::Markdown.render(report).unwrap()).unwrap()
}

#[test]
fn a_page_in_full() {
    assert_eq!(
        page(&sample_report()),
        "\
# java (4711) reached its memory limit of 512 MiB

**Verdict: proven**, cause `memory_limit`

- incident oom-1: oom, critical, at 2026-03-04 05:06:07.891 UTC
- message: java was killed
- pod prod/shop
- in container 3f2a91b0c4d5
- node node-1, kernel 6.18.0
- speaks for 3 more of the same kind

## Diagnosis

**`BBX-OOM-LIMIT`, proven**: its memory cgroup reached its limit of 512 MiB

- proven: the OOM killer chose java (4711) `r14`

**What to try:** Compare the limit with what it needs: raise the limit, or find what grows (the memory samples show how \
fast). (See docs/causes/BBX-OOM-LIMIT.md.)

## Why

- proven: the kernel's OOM killer sent SIGKILL `r12` `r14`
- unknown: what had grown is not recorded

## Evidence

- `r14` at 2026-03-04 05:06:07.891: the OOM killer chose java (4711)

## Memory at the kill

| level | usage | limit | anon | file | shmem | kernel | sampled |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |
| container 3f2a91b0c4d5, its limit was hit `r14` | 512.0 MiB | 512.0 MiB | 480.0 MiB | 16.0 MiB | 0 B | 4.0 MiB | \
500.0 ms before the kill `r12` |

| process | pid | resident | share | when |
| --- | ---: | ---: | ---: | --- |
| java | 4711 | 490.0 MiB | 95 % | victim, at the kill `r14` |
| sh | 4700 | 1.0 MiB | 0 % | 3.0 ms after the kill `r12` |

(7 more, 3.0 MiB together as far as they were read.)

## Neighbours

- pod prod/hog used 96.0 MiB of memory, requests 32.0 MiB `r12`

## First difference to the last healthy run

- after exec /usr/bin/shop this run had openat /etc/shop.yaml → ENOENT `r12`
- compared are 2 steps

## Failed calls

| call | error | argument | times | last |
| --- | --- | --- | ---: | --- |
| connect | ECONNREFUSED | 10.0.3.7:5432 | 41 | 2026-03-04 05:06:07.000 |

## Threads at the end

- 3 threads, one of them worker (4713): waiting in futex(0x7f10, 0x80, 0x2) `r15`

## Last calls

The last 41 of 977 calls while every call was kept.

```text
2026-03-04 05:06:07.700    4711  connect 10.0.3.7:5432 → ECONNREFUSED × 41, longest 1.2 ms
```

## Last words

`r13` at 2026-03-04 05:06:07.600: stderr of java (4711)

```text
allocating
```

## Stack

Made from `r12`.

```text
 0  Heap::grow(unsigned long)+0x1c at heap.cc:17 in /usr/bin/shop
 1  0x7f0000001234
```

- the stack ends here: an address is in no file that was found

## Log

The end of /var/log/pods/prod\\_shop\\_u/app/2.log.

```text
2026-03-04 05:06:07.500 stderr allocating
```

## Ends of its container so far

- 2026-03-04 05:01:00.000: died of SIGKILL, chosen by the OOM killer, OOMKilled, exit code 137

## What may be missing

nothing that could change the verdict was lost

- window: 2026-03-04 05:05:07.891 to 2026-03-04 05:06:08.000 UTC; decisive records from 2026-03-04 05:05:07.900, bulk \
records from none
- lost: 2 `failed_call`, `throttled`
- the clock was set at 05:05:30
- source `kube` is disabled: no API server

## What to look at next

```text
kubectl -n prod describe pod shop
kubectl -n prod logs --previous shop
```

## Timeline

- `r14` at 2026-03-04 05:06:07.891: oom\\_kill, java

1 entries of samples and calls are in this report's json, under `telemetry`.
"
    );
}

#[test]
fn hostile_text_changes_words_only() {
    let mut harmless = sample_report();
    poison(&mut harmless, "Some Text");
    let honest = structure(&page(&harmless));
    for evil in hostile() {
        let mut report = sample_report();
        poison(&mut report, &evil);
        let page = page(&report);
        assert_eq!(structure(&page), honest, "{evil:.200}\n{page:.4000}");
        assert!(
            page.chars().all(|c| c == '\n' || !is_hidden(c)),
            "{page:.4000}"
        );
        let mut outside = true;
        for line in page.lines() {
            if line.starts_with("```") {
                outside = !outside;
            } else if outside {
                // GitHub makes links of addresses and calls people; the parser does not.
                assert!(!line.contains("://") && !line.contains('@'), "{line:.400}");
            }
        }
    }
}

#[test]
fn a_line_has_an_end() {
    let mut report = sample_report();
    poison(&mut report, &"x".repeat(100_000));
    let page = page(&report);
    let longest = page.lines().map(str::len).max().unwrap_or_default();
    assert!(longest < 10_000, "{longest}");
    assert!(
        page.contains("… (98000 more bytes in the report's json)\n"),
        "{page:.3000}"
    );
}

#[test]
fn a_long_timeline_says_what_it_leaves_out() {
    let mut report = sample_report();
    let entry = report.telemetry.to_mut()[1].clone();
    report
        .telemetry
        .to_mut()
        .extend((0..200).map(|_| entry.clone()));
    let page = page(&report);
    assert!(page.contains("(141 earlier records are in the report's json.)"));
    let shown = page.matches(": oom\\_kill, java").count();
    assert_eq!(shown, super::timeline::TIMELINE);
}
