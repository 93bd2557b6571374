//! How much memory this process may have.

use std::path::{Path, PathBuf};

use super::read_file::{Links, read_file};

/// Octets of a file that the kernel writes: one line.
const LINE: u64 = 4096;

/// The least of the limits of our control group and of those above it (`MemoryMax=`); `None`: there is none.
#[must_use]
pub fn limit() -> Option<u64> {
    let groups = read(Path::new("/proc/self/cgroup"))?;
    let group = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let root = Path::new("/sys/fs/cgroup");
    let group = root.join(group);
    let limits =
        group.ancestors().take_while(|folder| folder.starts_with(root)).map(|folder| folder.join("memory.max"));
    limits.filter_map(|file: PathBuf| read(&file)?.trim().parse().ok()).min()
}

fn read(path: &Path) -> Option<String> {
    let content = read_file(path, LINE, Links::Follow).ok()?;
    String::from_utf8(content.bytes.to_vec()).ok()
}
