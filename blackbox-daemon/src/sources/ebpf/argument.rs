//! The argument of a failing call that matters: which it is, and what it says as text.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use blackbox_common::syscall::{
    ARG_ADDRESS_1, ARG_LEN, ARG_NONE, ARG_PATH_0, ARG_PATH_1, ARG_TOLD,
};

/// Address families (include/linux/socket.h).
const AF_UNIX: u16 = 1;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// Calls by the argument that matters. Names that this machine does not have are left out.
const CALLS: [(u32, &[&str]); 5] = [
    (
        ARG_PATH_0,
        &[
            "open", "stat", "lstat", "access", "execve", "chdir", "mkdir", "rmdir", "unlink",
            "readlink", "rename", "creat", "chmod", "chown", "truncate", "statfs",
        ],
    ),
    (
        ARG_PATH_1,
        &[
            "openat",
            "openat2",
            "newfstatat",
            "statx",
            "faccessat",
            "faccessat2",
            "execveat",
            "mkdirat",
            "unlinkat",
            "readlinkat",
            "renameat2",
            "fchmodat",
        ],
    ),
    (ARG_ADDRESS_1, &["bind"]),
    (ARG_ADDRESS_1 | ARG_TOLD, &["connect"]),
    (ARG_NONE | ARG_TOLD, &["clone", "clone3", "fork", "vfork"]),
];

/// Each call whose argument matters: its number and which argument.
pub(super) fn table() -> impl Iterator<Item = (u32, u32)> {
    CALLS.into_iter().flat_map(|(kind, names)| {
        let number = |name: &&str| name.parse::<syscalls::Sysno>().ok();
        let numbers = names.iter().filter_map(number);
        numbers.filter_map(move |call| Some((u32::try_from(call.id()).ok()?, kind)))
    })
}

/// What the bytes say. `None`: nothing, or an address of another family.
pub(super) fn text(kind: u32, bytes: &[u8]) -> Option<String> {
    match kind {
        ARG_PATH_0 | ARG_PATH_1 => path(bytes),
        ARG_ADDRESS_1 => address(bytes),
        _ => None,
    }
}

fn path(bytes: &[u8]) -> Option<String> {
    let cut = bytes.len() >= ARG_LEN - 1;
    let text = String::from_utf8_lossy(bytes).into_owned();
    match (text.is_empty(), cut) {
        (true, _) => None,
        (false, true) => Some(format!("{text}…")),
        (false, false) => Some(text),
    }
}

/// `struct sockaddr_in`, `sockaddr_in6`, `sockaddr_un` (ip(7), ipv6(7), unix(7)).
fn address(bytes: &[u8]) -> Option<String> {
    let family = u16::from_ne_bytes(bytes.first_chunk().copied()?);
    let port = || Some(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?));
    match family {
        AF_INET => {
            let octets: [u8; 4] = bytes.get(4..8)?.try_into().ok()?;
            let ip = IpAddr::V4(Ipv4Addr::from(octets));
            Some(SocketAddr::new(ip, port()?).to_string())
        }
        AF_INET6 => {
            let octets: [u8; 16] = bytes.get(8..24)?.try_into().ok()?;
            let ip = IpAddr::V6(Ipv6Addr::from(octets)).to_canonical();
            Some(SocketAddr::new(ip, port()?).to_string())
        }
        AF_UNIX => {
            let name = bytes.get(2..)?;
            let end = |name: &[u8]| {
                name.iter()
                    .position(|byte| *byte == 0)
                    .unwrap_or(name.len())
            };
            match name.split_first()? {
                // The abstract name space.
                (0, rest) => Some(format!("@{}", String::from_utf8_lossy(&rest[..end(rest)]))),
                _ => Some(String::from_utf8_lossy(&name[..end(name)]).into_owned()),
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_strange_ones_are_none() {
        let v4 = [2, 0, 0x15, 0x38, 10, 0, 3, 7, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(text(ARG_ADDRESS_1, &v4).unwrap(), "10.0.3.7:5432");
        let mut v6 = [0; 28];
        v6[..4].copy_from_slice(&[10, 0, 0, 80]);
        v6[23] = 1;
        assert_eq!(text(ARG_ADDRESS_1, &v6).unwrap(), "[::1]:80");
        assert_eq!(
            text(ARG_ADDRESS_1, b"\x01\0/run/app.sock\0").unwrap(),
            "/run/app.sock"
        );
        assert_eq!(text(ARG_ADDRESS_1, b"\x01\0\0name").unwrap(), "@name");
        for bytes in [&v4[..5], &[2], &[], &[16, 0, 0, 0], &v6[..20]] {
            assert_eq!(text(ARG_ADDRESS_1, bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn the_calls_of_this_machine_are_in_the_table() {
        let table: Vec<_> = table().collect();
        for name in ["openat", "connect", "bind", "execve"] {
            let number = name.parse::<syscalls::Sysno>().unwrap().id() as u32;
            assert!(table.iter().any(|(call, _)| *call == number), "{name}");
        }
        assert!(
            table
                .iter()
                .all(|(call, _)| *call < blackbox_common::syscall::CALLS)
        );
    }
}
