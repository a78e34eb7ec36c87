//! Any file in the place of window.ring, and any bytes in whole blocks of one: what is found lies in the file, and a recorder
//! begins again from whatever it is.

#![no_main]

use std::time::Duration;

use blackbox_daemon::clock::WallOffset;
use blackbox_daemon::incident::{self, trigger::Rules};
use blackbox_daemon::journal::Recovered;
use blackbox_daemon::journal::layout::{self, FORMAT, Head, Key, PAGE, Section, Stamp};
use blackbox_daemon::journal::scan::{Scan, scan};
use blackbox_daemon::record::{BootTime, LaneName, LifeEnd};
use blackbox_daemon::recorder::{Config, Core, Former};
use blackbox_daemon::report::NodeInfo;
use blackbox_daemon::window;
use libfuzzer_sys::fuzz_target;

const REACH: Duration = Duration::from_secs(60);

fuzz_target!(|bytes: &[u8]| {
    if let Ok(found) = scan(bytes) {
        look(bytes, &found);
    }
    let file = file(bytes);
    let found = scan(&file).expect("a whole head");
    assert_eq!(found.blocks.len(), 1, "one block, whatever is in it");
    look(&file, &found);
});

/// A file with one block, in which the bytes are everything they can be.
fn file(bytes: &[u8]) -> Vec<u8> {
    let key = Key(7);
    let size = PAGE + (bytes.len() as u64 * 2 + 8192).next_multiple_of(PAGE);
    let mut file = layout::head(&Head {
        format: FORMAT,
        size,
        key,
    });
    let stamp = Stamp {
        life: 1,
        sequence: 1,
        chain: 0,
        at: BootTime(1 << 40),
        wall: WallOffset::from_nanos(0),
        skipped: 0,
        boot: [1; 16],
        ended: false,
    };
    let frames = Section::Frames {
        lane: LaneName::Decisive,
        first_id: 1,
        count: 1,
        bytes,
    };
    let mut block = Vec::new();
    let sections = [Section::Checkpoint(bytes), frames];
    layout::encode(&stamp, &sections, key, &mut block).expect("small");
    file.extend(block);
    file.resize(size as usize, 0);
    file
}

fn look(bytes: &[u8], found: &Scan) {
    for block in &found.blocks {
        assert!(block.place.end <= bytes.len().next_multiple_of(8));
    }
    let Some(recovered) = Recovered::read(bytes, found, REACH) else {
        return;
    };
    let config = Config {
        window: REACH,
        storage: window::Config::default(),
        incidents: incident::Config {
            settle: Duration::from_secs(2),
            throttle: REACH,
        },
        rules: Rules::default(),
        node: NodeInfo::default(),
    };
    let former = Former {
        recovered,
        end: LifeEnd::Died,
        kernel_kept: true,
        panic: None,
    };
    let now = (BootTime(1 << 41), WallOffset::from_nanos(0));
    Core::new(config, []).resume(&former, [], now);
}
