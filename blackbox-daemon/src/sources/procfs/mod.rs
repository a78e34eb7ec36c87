//! The node, from `/proc`: processors, memory, interfaces, disks, load and pressure.
//!
//! Each tick makes at most one record of each kind. A file that cannot be read or understood costs its own
//! record and is named in the health; it never costs another's. Never scans processes: at 10 µs each, ten
//! thousand of them would cost a tenth of a processor.

mod cpu;
mod disks;
mod files;
pub(crate) mod pressure;

use std::path::PathBuf;

use ::procfs::net::InterfaceDeviceStatus;
use ::procfs::{LoadAverage, Meminfo, ProcError};

use super::Sampler;
use crate::record::{
    BootTime, Event, Health, NetworkCounters, NodeLoad, NodeMemory, NodeNetwork, Pressure, Record,
    SourceName, Subject,
};
use cpu::CpuMeter;
use files::{Error, Files};

/// Reads the node's files below one root, usually `/proc`.
#[derive(Debug)]
pub struct ProcfsSampler {
    files: Files,
    meter: CpuMeter,
    health: Health,
}

impl ProcfsSampler {
    /// A sampler of the procfs mounted at `proc_root`. Reads nothing yet.
    #[must_use]
    pub fn new(proc_root: PathBuf) -> Self {
        Self {
            files: Files::below(proc_root),
            meter: CpuMeter::default(),
            health: Health::Ok,
        }
    }

    fn read_all(&mut self) -> Tick {
        let files = &mut self.files;
        let mut tick = Tick::default();
        tick.add(cpu(files, &mut self.meter));
        tick.add(memory(files));
        tick.add(network(files));
        tick.add(disks(files));
        let open_files = tick.keep(open_files(files));
        tick.add(load(files, open_files));
        let pressure = Pressure {
            // The kernel prints a `full` line for the node's CPU that is always zero
            // (Documentation/accounting/psi.rst): it says nothing, so it is not kept.
            cpu: tick
                .stall(files, "pressure/cpu")
                .map(pressure::without_full),
            memory: tick.stall(files, "pressure/memory"),
            io: tick.stall(files, "pressure/io"),
        };
        if pressure != Pressure::default() {
            tick.events.push(Event::NodePressure(pressure));
        }
        tick
    }
}

impl Sampler for ProcfsSampler {
    const NAME: SourceName = SourceName::Procfs;

    fn sample(&mut self, at: BootTime) -> Vec<Record> {
        let tick = self.read_all();
        let why = tick.failures.join(", ");
        self.health = if tick.events.is_empty() {
            Health::Failed(why)
        } else if tick.failures.is_empty() {
            Health::Ok
        } else {
            Health::Degraded(why)
        };
        let record = |event| Record {
            at,
            subject: Subject::Node,
            event,
        };
        tick.events.into_iter().map(record).collect()
    }

    fn health(&self) -> Health {
        self.health.clone()
    }
}

/// What one tick gave, and what it could not.
#[derive(Debug, Default)]
struct Tick {
    events: Vec<Event>,
    failures: Vec<String>,
}

impl Tick {
    fn keep<T>(&mut self, read: Result<T, Error>) -> Option<T> {
        read.map_err(|error| self.failures.push(error.to_string()))
            .ok()
    }

    fn add(&mut self, read: Result<Event, Error>) {
        if let Some(event) = self.keep(read) {
            self.events.push(event);
        }
    }

    fn stall(&mut self, files: &mut Files, name: &'static str) -> Option<crate::record::Stall> {
        match files.parse(name, pressure::parse) {
            // A kernel without PSI, or with `psi=0`: nothing is wrong, there is just nothing to say.
            Err(Error::Read { source, .. }) if pressure::not_offered(&source) => None,
            read => self.keep(read),
        }
    }
}

fn cpu(files: &mut Files, meter: &mut CpuMeter) -> Result<Event, Error> {
    files
        .parse("stat", |text| meter.advance(text))
        .map(Event::NodeCpu)
}

fn memory(files: &mut Files) -> Result<Event, Error> {
    let info: Meminfo = files.parse_as("meminfo")?;
    Ok(Event::NodeMemory(NodeMemory {
        total: info.mem_total,
        free: info.mem_free,
        available: info.mem_available,
        buffers: info.buffers,
        cached: info.cached,
        swap_total: info.swap_total,
        swap_free: info.swap_free,
    }))
}

/// The interfaces of the first process's network namespace, which is the node's: `net` is the reader's own, and that is
/// a pod's in a pod. Where the first process is hidden, the reader's.
fn network(files: &mut Files) -> Result<Event, Error> {
    let InterfaceDeviceStatus(devices) = match files.parse_as("1/net/dev") {
        Err(_) => files.parse_as("net/dev")?,
        Ok(of_the_first) => of_the_first,
    };
    let mut interfaces: Vec<_> = devices
        .into_values()
        .filter(|device| device.name != "lo")
        .map(|device| NetworkCounters {
            name: device.name,
            rx_bytes: device.recv_bytes,
            rx_packets: device.recv_packets,
            rx_errors: device.recv_errs,
            tx_bytes: device.sent_bytes,
            tx_packets: device.sent_packets,
            tx_errors: device.sent_errs,
        })
        .collect();
    // The parser hands them over in a map: give them an order of their own.
    interfaces.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Event::NodeNetwork(NodeNetwork { interfaces }))
}

fn disks(files: &mut Files) -> Result<Event, Error> {
    files
        .parse_as("diskstats")
        .map(|stats| Event::NodeDisks(disks::whole_disks(stats)))
}

/// Open file handles: the first number of `sys/fs/file-nr` (Documentation/admin-guide/sysctl/fs.rst).
fn open_files(files: &mut Files) -> Result<u64, Error> {
    files.parse("sys/fs/file-nr", |text| {
        let first = text.split_whitespace().next().unwrap_or_default();
        first.parse().map_err(ProcError::from)
    })
}

fn load(files: &mut Files, open_files: Option<u64>) -> Result<Event, Error> {
    let load: LoadAverage = files.parse_as("loadavg")?;
    Ok(Event::NodeLoad(NodeLoad {
        one: load.one,
        five: load.five,
        fifteen: load.fifteen,
        processes: Some(u64::from(load.max)),
        open_files,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "cpu 10 0 10 80 0 0 0 0 0 0\ncpu0 10 0 10 80 0 0 0 0 0 0\n\
                        ctxt 1\nbtime 1\nprocesses 1\n";
    const NET: &str = "Inter-| Receive | Transmit\n face |bytes\n\
                       lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n\
                       eth1: 5 1 0 0 0 0 0 0 6 1 0 0 0 0 0 0\n\
                       eth0: 299 8 1 0 0 0 0 0 476 49 2 0 0 0 0 0\n";

    fn root_with(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn a_failing_file_is_named_and_stops_no_other() {
        let root = root_with(&[
            ("stat", STAT),
            ("net/dev", NET),
            ("loadavg", "not a load\n"),
        ]);
        let mut sampler = ProcfsSampler::new(root.path().to_owned());
        let records = sampler.sample(BootTime(7));
        assert_eq!(records.len(), 2, "{records:?}");
        assert!(records.iter().all(|record| record.at == BootTime(7)));
        let Health::Degraded(why) = sampler.health() else {
            panic!("{:?}", sampler.health());
        };
        for name in ["meminfo", "diskstats", "loadavg", "sys/fs/file-nr"] {
            assert!(
                why.contains(root.path().join(name).to_str().unwrap()),
                "{why}"
            );
        }
        assert!(!why.contains("pressure"), "no PSI is no degradation: {why}");
    }

    #[test]
    fn interfaces_are_sorted_and_lo_is_left_out() {
        let root = root_with(&[("net/dev", NET)]);
        let Ok(Event::NodeNetwork(NodeNetwork { interfaces })) =
            network(&mut Files::below(root.path().to_owned()))
        else {
            panic!("no network record");
        };
        let names: Vec<_> = interfaces.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["eth0", "eth1"]);
        assert_eq!((interfaces[0].rx_bytes, interfaces[0].rx_errors), (299, 1));
        assert_eq!((interfaces[0].tx_bytes, interfaces[0].tx_errors), (476, 2));
    }

    #[test]
    fn interfaces_are_the_nodes_not_those_of_the_daemons_pod() {
        let node = NET.replace("eth", "ens");
        let root = root_with(&[("net/dev", NET), ("1/net/dev", &node)]);
        let Ok(Event::NodeNetwork(NodeNetwork { interfaces })) =
            network(&mut Files::below(root.path().to_owned()))
        else {
            panic!("no network record");
        };
        assert_eq!(interfaces[0].name, "ens0");
    }

    #[test]
    fn load_has_tasks_and_open_files() {
        let root = root_with(&[
            ("loadavg", "1.12 0.33 0.14 1/87 9112\n"),
            ("sys/fs/file-nr", "449\t0\t2466177\n"),
        ]);
        let mut sampler = ProcfsSampler::new(root.path().to_owned());
        let events: Vec<_> = sampler
            .sample(BootTime(1))
            .into_iter()
            .map(|r| r.event)
            .collect();
        let expected = NodeLoad {
            one: 1.12,
            five: 0.33,
            fifteen: 0.14,
            processes: Some(87),
            open_files: Some(449),
        };
        assert_eq!(events, [Event::NodeLoad(expected)]);
    }

    #[test]
    fn pressure_is_one_record_and_the_nodes_cpu_has_no_full() {
        let both = "some avg10=7.06 avg60=3.72 avg300=1.30 total=16\n\
                    full avg10=0.50 avg60=0.00 avg300=0.00 total=4\n";
        let root = root_with(&[("pressure/cpu", both), ("pressure/io", both)]);
        let mut sampler = ProcfsSampler::new(root.path().to_owned());
        let records = sampler.sample(BootTime(1));
        let [
            Record {
                event: Event::NodePressure(pressure),
                ..
            },
        ] = &records[..]
        else {
            panic!("{records:?}");
        };
        assert_eq!(
            pressure
                .cpu
                .map(|stall| (stall.some_total, stall.full_total)),
            Some((16, None))
        );
        assert_eq!(pressure.io.and_then(|stall| stall.full_total), Some(4));
        assert_eq!(pressure.memory, None);
    }

    #[test]
    fn an_unreadable_root_is_a_failed_source() {
        let root = tempfile::tempdir().unwrap();
        let gone = root.path().join("gone");
        let mut sampler = ProcfsSampler::new(gone.clone());
        assert_eq!(sampler.health(), Health::Ok);
        assert_eq!(sampler.sample(BootTime(1)), []);
        let Health::Failed(why) = sampler.health() else {
            panic!("{:?}", sampler.health());
        };
        assert!(why.contains(gone.to_str().unwrap()), "{why}");
    }

    #[test]
    fn this_machine_has_memory() {
        let mut sampler = ProcfsSampler::new(PathBuf::from("/proc"));
        let records = sampler.sample(BootTime(1));
        let total = records.iter().find_map(|record| match &record.event {
            Event::NodeMemory(memory) => Some(memory.total),
            _ => None,
        });
        assert!(total > Some(0), "{:?} {records:?}", sampler.health());
    }
}
