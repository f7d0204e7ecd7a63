//! A hosts file that follows the DNS server, for programs that look addresses up by the C library.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::net::Ipv4Addr;
use std::path::Path;

/// A file as hosts(5) wants it. It is always rewritten in place, so that a bind mount of it stays current.
pub(crate) struct HostsFile {
    file: File,
    /// The longest that it has been.
    length: usize,
}

impl HostsFile {
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { file: File::create(path)?, length: 0 })
    }

    /// Writes these addresses, and `localhost`, in place of what was there.
    pub(crate) fn write(&mut self, addresses: impl Iterator<Item = (String, Ipv4Addr)>) -> io::Result<()> {
        let mut text = String::from("127.0.0.1 localhost\n");
        for (name, address) in addresses {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{address} {name}");
        }
        // One write and no truncation: nobody reads a file that is half there.
        let padding = self.length.saturating_sub(text.len());
        text.extend(std::iter::repeat_n('\n', padding));
        self.length = text.len();
        self.file.rewind()?;
        self.file.write_all(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_longer_leaves_nothing_but_empty_lines() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("hosts");
        let mut hosts = HostsFile::create(&path).unwrap();
        let address = |name: &str| (name.to_owned(), Ipv4Addr::new(127, 0, 0, 2));
        hosts.write([address("xmpp.a.lan"), address("xmpp.b.lan")].into_iter()).unwrap();
        hosts.write([address("xmpp.c.lan")].into_iter()).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.trim_end(), "127.0.0.1 localhost\n127.0.0.2 xmpp.c.lan");
    }
}
