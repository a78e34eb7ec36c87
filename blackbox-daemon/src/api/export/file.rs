//! The export's files: which entries, and how they are written.
//!
//! Reads a view; writes JSON or CSV, an entry at a time.

use std::io::{self, Write};

use super::entry::{ExportEntry, ExportInfo, ExportRange};
use crate::api::selection::{Selection, Whereabouts};
use crate::api::views::{Selected, skip_unwanted};
use crate::clock::{self, WallOffset};
use crate::record::{Event, Record, Severity};
use crate::recorder::status::View;
use crate::report::{Entry, entries};

/// Most entries of one file: some 50 MB of JSON.
const MOST: u64 = 100_000;
const COLUMNS: [&str; 6] = [
    "timestamp",
    "type",
    "pod_name",
    "namespace",
    "runtime",
    "data_json",
];

/// How the file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Json,
    Csv,
}

impl Shape {
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv; charset=utf-8",
        }
    }
}

/// What is exported.
pub(super) struct Source {
    pub(super) view: View,
    pub(super) selection: Selection,
    /// Only incidents that were reported with this severity.
    pub(super) severity: Option<Severity>,
}

/// The same, and how many entries that is.
pub(super) struct Counted {
    source: Source,
    /// Entries that match, those that are too many included.
    pub(super) total: u64,
}

impl Source {
    /// Counts the entries. Reads the whole view.
    pub(super) fn count(mut self) -> Counted {
        skip_unwanted(&mut self.view.slice, &self.selection);
        let mut total = 0;
        self.each(|made, _| {
            total += made.len() as u64;
            Ok(())
        })
        // Counting fails never.
        .unwrap_or_default();
        Counted {
            source: self,
            total,
        }
    }

    /// The entries of one record after the other.
    fn each(
        &self,
        mut take: impl FnMut(Vec<Entry>, &Whereabouts) -> io::Result<()>,
    ) -> io::Result<()> {
        for (id, record, place) in Selected::of(&self.view, &self.selection) {
            if self
                .severity
                .is_none_or(|wanted| reported(&record) == Some(wanted))
            {
                let View { names, wall, .. } = &self.view;
                take(entries::project(id, &record, names, *wall), &place)?;
            }
        }
        Ok(())
    }
}

fn reported(record: &Record) -> Option<Severity> {
    match &record.event {
        Event::Reported(reported) => Some(reported.severity),
        _ => None,
    }
}

impl Counted {
    /// Writes the file.
    pub(super) fn write(&self, shape: Shape, out: &mut impl Write) -> io::Result<()> {
        match shape {
            Shape::Json => self.json(out),
            Shape::Csv => self.csv(out),
        }
    }

    /// The entries that are not too many, oldest first.
    fn each(&self, mut take: impl FnMut(ExportEntry) -> io::Result<()>) -> io::Result<()> {
        let mut too_many = self.total.saturating_sub(MOST);
        self.source.each(|made, place| {
            for entry in made {
                if too_many > 0 {
                    too_many -= 1;
                } else {
                    take(ExportEntry::new(entry, place))?;
                }
            }
            Ok(())
        })
    }

    fn info(&self) -> ExportInfo {
        let View { slice, wall, .. } = &self.source.view;
        ExportInfo {
            timestamp: WallOffset::now().wall(clock::boot_now()),
            total_entries: self.total.min(MOST),
            truncated: self.total.saturating_sub(MOST),
            time_range: ExportRange {
                start: wall.wall(slice.start),
                end: wall.wall(slice.end),
            },
        }
    }

    fn json(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(b"{\"export_info\":")?;
        serde_json::to_writer(&mut *out, &self.info())?;
        out.write_all(b",\"entries\":[")?;
        let mut separator: &[u8] = b"\n";
        self.each(|entry| {
            out.write_all(separator)?;
            separator = b",\n";
            Ok(serde_json::to_writer(&mut *out, &entry)?)
        })?;
        out.write_all(b"\n]}\n")
    }

    fn csv(&self, out: &mut impl Write) -> io::Result<()> {
        let mut table = csv::Writer::from_writer(out);
        table.write_record(COLUMNS)?;
        self.each(|entry| {
            let runtime = entry.data.tags.get("runtime").map_or("", String::as_str);
            let data = serde_json::to_string(&entry.data)?;
            table.write_record([
                &entry
                    .timestamp
                    .strftime("%Y-%m-%dT%H:%M:%S.%3fZ")
                    .to_string(),
                entry.kind.name(),
                &entry.pod_name,
                &entry.namespace,
                runtime,
                &data,
            ])?;
            Ok(())
        })?;
        table.flush()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::identity::Names;
    use crate::record::{BootTime, Subject};
    use crate::window::{self, Window};

    /// Records of one entry each, at 1, 2, 3, …
    fn counted(records: u64) -> Counted {
        let mut window = Window::new(window::Config::default());
        for at in 1..=records {
            let at = BootTime(at);
            let event = Event::CgroupRemoved {
                path: "/a,b".to_owned(),
            };
            let subject = Subject::Node;
            window.append(&Record { at, subject, event }, at);
        }
        let source = Source {
            view: View {
                slice: window.slice(BootTime(0), BootTime(records)),
                names: Names::default(),
                wall: WallOffset::from_nanos(0),
            },
            selection: Selection::default(),
            severity: None,
        };
        source.count()
    }

    fn written(records: u64, shape: Shape) -> Vec<u8> {
        let mut bytes = Vec::new();
        counted(records).write(shape, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn the_oldest_are_left_out_and_counted() {
        let json: Value = serde_json::from_slice(&written(MOST + 7, Shape::Json)).unwrap();
        assert_eq!(json["export_info"]["total_entries"], MOST);
        assert_eq!(json["export_info"]["truncated"], 7);
        assert_eq!(json["entries"].as_array().unwrap().len(), 100_000);
        assert_eq!(json["entries"][0]["id"], "r8");
    }

    #[test]
    fn an_entry_about_no_pod_has_empty_cells() {
        let bytes = written(1, Shape::Csv);
        let mut table = csv::Reader::from_reader(bytes.as_slice());
        assert_eq!(table.headers().unwrap(), &COLUMNS[..]);
        let row = table.records().next().unwrap().unwrap();
        assert_eq!(&row[0], "1970-01-01T00:00:00.000Z");
        assert_eq!(
            (&row[1], &row[2], &row[3], &row[4]),
            ("process", "", "", "")
        );
        assert!(row[5].contains("cgroup /a,b was removed"));
        assert_eq!(counted(0).total, 0);
    }
}
