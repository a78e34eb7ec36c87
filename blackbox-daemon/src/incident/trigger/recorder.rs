//! The recorder's own end: worth an incident unless it was asked to stop.

use std::sync::Arc;

use super::{About, Reason, Trigger, Trouble};
use crate::record::{Began, LifeEnd, Record, RecordId};

/// Looks at how the former life ended.
pub(super) fn inspect(record: &Record, id: RecordId, began: &Began) -> Option<Trigger> {
    let trouble = match began.former {
        LifeEnd::Stopped => return None,
        LifeEnd::Died => Trouble::Recorder,
        LifeEnd::NodeDown => Trouble::NodeDown,
    };
    let about = About::Recorder(Arc::new(began.clone()));
    Some(Trigger::new(record, id, about, Reason::Trouble(trouble)))
}
