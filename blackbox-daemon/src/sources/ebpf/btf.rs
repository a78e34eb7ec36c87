//! Reads the kernel's own type information (BTF): where a field is, what a tracepoint hands over.
//!
//! Only what choosing offsets and program variants needs; aya does the rest. The format is
//! Documentation/bpf/btf.rst: a header, a table of types, a table of strings. The blob is kept as it is and
//! indexed once (about 150,000 types), so that reading it costs a few milliseconds and no strings.

use std::path::{Path, PathBuf};

/// Why there is no usable BTF.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read {path}: {source}; the kernel must be built with CONFIG_DEBUG_INFO_BTF=y")]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{path} is not BTF that can be understood: {what}")]
    Format { path: PathBuf, what: &'static str },
}

const MAGIC: u16 = 0xeb9f;
const KIND_PTR: u32 = 2;
const KIND_ARRAY: u32 = 3;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_ENUM: u32 = 6;
const KIND_TYPEDEF: u32 = 8;
const KIND_VOLATILE: u32 = 9;
const KIND_CONST: u32 = 10;
const KIND_RESTRICT: u32 = 11;
const KIND_FUNC_PROTO: u32 = 13;
const KIND_TYPE_TAG: u32 = 18;
const KIND_ENUM64: u32 = 19;

/// The types of one kernel.
#[derive(Debug)]
pub struct Btf {
    data: Vec<u8>,
    /// Where each type begins in `data`; type 0 is void.
    types: Vec<usize>,
    strings: usize,
}

#[derive(Clone, Copy, Debug)]
struct Type {
    name: u32,
    kind: u32,
    vlen: u32,
    kind_flag: bool,
    size_or_type: u32,
    /// Where what follows the common part begins.
    body: usize,
}

impl Btf {
    /// Reads and indexes a BTF file, usually `/sys/kernel/btf/vmlinux`.
    ///
    /// # Errors
    /// When it cannot be read or is not BTF.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let data = std::fs::read(path).map_err(|source| Error::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(data).map_err(|what| Error::Format {
            path: path.to_owned(),
            what,
        })
    }

    fn parse(data: Vec<u8>) -> Result<Self, &'static str> {
        let word = |at: usize| read_u32(&data, at).ok_or("its header is cut off");
        let first = word(0)?;
        if first & 0xffff != u32::from(MAGIC) {
            return Err("wrong magic number or byte order");
        }
        let header = word(4)? as usize;
        let types_at = header + word(8)? as usize;
        let types_end = types_at + word(12)? as usize;
        let strings = header + word(16)? as usize;
        let mut this = Self {
            data,
            types: vec![usize::MAX],
            strings,
        };
        let mut at = types_at;
        while at < types_end {
            this.types.push(at);
            let id = u32::try_from(this.types.len() - 1)
                .ok()
                .ok_or("too many types")?;
            let ty = this.get(id).ok_or("a type is cut off")?;
            at = ty.body + trailer(ty.kind, ty.vlen as usize).ok_or("an unknown kind of type")?;
        }
        Ok(this)
    }

    fn get(&self, id: u32) -> Option<Type> {
        let at = *self.types.get(id as usize)?;
        let info = read_u32(&self.data, at.checked_add(4)?)?;
        Some(Type {
            name: read_u32(&self.data, at)?,
            kind: (info >> 24) & 0x1f,
            vlen: info & 0xffff,
            kind_flag: info >> 31 != 0,
            size_or_type: read_u32(&self.data, at + 8)?,
            body: at + 12,
        })
    }

    fn name(&self, offset: u32) -> &[u8] {
        let tail = self
            .data
            .get(self.strings + offset as usize..)
            .unwrap_or_default();
        let end = tail
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(tail.len());
        &tail[..end]
    }

    fn find(&self, kinds: &[u32], name: &str) -> Option<Type> {
        (1..self.types.len()).find_map(|id| {
            let ty = self.get(u32::try_from(id).ok()?)?;
            (kinds.contains(&ty.kind) && self.name(ty.name) == name.as_bytes()).then_some(ty)
        })
    }

    /// The type behind typedefs and qualifiers.
    fn strip(&self, mut id: u32) -> Option<Type> {
        loop {
            let ty = self.get(id)?;
            match ty.kind {
                KIND_TYPEDEF | KIND_VOLATILE | KIND_CONST | KIND_RESTRICT | KIND_TYPE_TAG => {
                    id = ty.size_or_type;
                }
                _ => return Some(ty),
            }
        }
    }

    /// Where a path leads, in bytes from the beginning of its struct.
    ///
    /// Paths: `struct.member.member`; `a|b` takes the first alternative there is; `member[]` demands an array
    /// and goes on in its first element, `member[2]` in its third; `sizeof name` is a struct's size, and
    /// `enum name.constant` a value.
    #[must_use]
    pub fn offset(&self, path: &str) -> Option<u32> {
        if let Some(name) = path.strip_prefix("sizeof ") {
            return Some(self.find(&[KIND_STRUCT, KIND_UNION], name)?.size_or_type);
        }
        if let Some(rest) = path.strip_prefix("enum ") {
            let (name, constant) = rest.split_once('.')?;
            return self.enum_value(name, constant);
        }
        let (name, members) = path.split_once('.')?;
        let mut ty = self.find(&[KIND_STRUCT, KIND_UNION], name)?;
        let mut bits = 0;
        let mut steps = members.split('.').peekable();
        while let Some(step) = steps.next() {
            let (offset, next) = step.split('|').find_map(|name| self.step(ty, name))?;
            bits += offset;
            ty = next;
            if steps.peek().is_some() && !matches!(ty.kind, KIND_STRUCT | KIND_UNION) {
                return None;
            }
        }
        (bits % 8 == 0).then_some(bits / 8)
    }

    /// One step of a path: the member's offset in bits and its type.
    fn step(&self, ty: Type, step: &str) -> Option<(u32, Type)> {
        let (name, index) = match step.split_once('[') {
            Some((name, index)) => (name, Some(index.trim_end_matches(']'))),
            None => (step, None),
        };
        let (offset, id) = self.member(ty, name.as_bytes())?;
        let ty = self.strip(id)?;
        let Some(index) = index else {
            return Some((offset, ty));
        };
        if ty.kind != KIND_ARRAY {
            return None;
        }
        let element = self.strip(read_u32(&self.data, ty.body)?)?;
        let index: u32 = if index.is_empty() {
            0
        } else {
            index.parse().ok()?
        };
        Some((offset + index * element.size_or_type * 8, element))
    }

    /// Looks a member up, through anonymous structs and unions.
    fn member(&self, ty: Type, name: &[u8]) -> Option<(u32, u32)> {
        for index in 0..ty.vlen as usize {
            let at = ty.body + 12 * index;
            let found = read_u32(&self.data, at)?;
            let id = read_u32(&self.data, at + 4)?;
            let mut offset = read_u32(&self.data, at + 8)?;
            if ty.kind_flag {
                // The upper byte is a bitfield's width.
                offset &= 0x00ff_ffff;
            }
            let found = self.name(found);
            if found == name {
                return Some((offset, id));
            }
            if found.is_empty() {
                let inner = self.strip(id)?;
                if matches!(inner.kind, KIND_STRUCT | KIND_UNION)
                    && let Some((more, id)) = self.member(inner, name)
                {
                    return Some((offset + more, id));
                }
            }
        }
        None
    }

    fn enum_value(&self, name: &str, constant: &str) -> Option<u32> {
        let ty = self.find(&[KIND_ENUM, KIND_ENUM64], name)?;
        let size = if ty.kind == KIND_ENUM { 8 } else { 12 };
        (0..ty.vlen as usize).find_map(|index| {
            let at = ty.body + size * index;
            let found = self.name(read_u32(&self.data, at)?);
            (found == constant.as_bytes())
                .then(|| read_u32(&self.data, at + 4))
                .flatten()
        })
    }

    /// What a tracepoint hands to its programs: for each argument the name of the struct it points to, or
    /// `None` when it is no pointer to a struct. `None` for a tracepoint this kernel does not have.
    #[must_use]
    pub fn tracepoint(&self, name: &str) -> Option<Vec<Option<String>>> {
        let typedef = self.find(&[KIND_TYPEDEF], &format!("btf_trace_{name}"))?;
        let pointer = self.strip(typedef.size_or_type)?;
        let proto = self.strip(pointer.size_or_type)?;
        if pointer.kind != KIND_PTR || proto.kind != KIND_FUNC_PROTO {
            return None;
        }
        // The first parameter is the tracepoint's own private data.
        let params = (1..proto.vlen as usize).map(|index| {
            let ty = self.strip(read_u32(&self.data, proto.body + 8 * index + 4)?)?;
            let target = (ty.kind == KIND_PTR)
                .then(|| self.strip(ty.size_or_type))
                .flatten()?;
            (target.kind == KIND_STRUCT)
                .then(|| String::from_utf8_lossy(self.name(target.name)).into_owned())
        });
        Some(params.collect())
    }
}

/// Bytes that follow the common part of a type of this kind.
fn trailer(kind: u32, vlen: usize) -> Option<usize> {
    Some(match kind {
        1 | 14 | 17 => 4,
        KIND_ARRAY => 12,
        KIND_STRUCT | KIND_UNION | 15 | KIND_ENUM64 => 12 * vlen,
        KIND_ENUM | KIND_FUNC_PROTO => 8 * vlen,
        KIND_PTR | 7..=12 | 16 | KIND_TYPE_TAG => 0,
        _ => return None,
    })
}

fn read_u32(data: &[u8], at: usize) -> Option<u32> {
    let bytes = data.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The running kernel is the best test there is; a kernel without BTF is told apart by its error.
    #[test]
    fn reads_the_running_kernel() {
        let btf = match Btf::read(Path::new("/sys/kernel/btf/vmlinux")) {
            Ok(btf) => btf,
            Err(Error::Read { .. }) => return,
            Err(error) => panic!("{error}"),
        };
        let tgid = btf.offset("task_struct.tgid").unwrap();
        assert_eq!(btf.offset("task_struct.pid"), Some(tgid - 4));
        assert!(btf.offset("sizeof task_struct").unwrap() > tgid);
        assert_eq!(btf.offset("mem_cgroup.css"), Some(0));
        assert_eq!(btf.offset("task_struct.no_such_member"), None);
        let rss = ["mm_struct.rss_stat[].count", "mm_struct.rss_stat.count[]"];
        assert_eq!(
            rss.iter().filter(|path| btf.offset(path).is_some()).count(),
            1
        );
        let exec = btf.tracepoint("sched_process_exec").unwrap();
        assert_eq!(exec[0].as_deref(), Some("task_struct"));
        assert_eq!(exec[2].as_deref(), Some("linux_binprm"));
        assert_eq!(btf.tracepoint("no_such_tracepoint"), None);
    }

    #[test]
    fn refuses_what_is_not_btf() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("vmlinux");
        let missing = Btf::read(&path).unwrap_err().to_string();
        assert!(missing.contains("CONFIG_DEBUG_INFO_BTF"), "{missing}");
        for bytes in [&b""[..], b"\x7fELF\0\0\0\0", b"\x9f\xeb\x01\x00\x18\x00"] {
            std::fs::write(&path, bytes).unwrap();
            assert!(matches!(Btf::read(&path), Err(Error::Format { .. })));
        }
    }
}
