//! What the kernel tells of this process.

/// Memory that the process has, in bytes. procfs is memory: reading it waits for no device.
pub(super) fn resident_bytes() -> Option<u64> {
    resident(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_the_process_is_read() {
        assert_eq!(resident("VmHWM:\t   9 kB\nVmRSS:\t    5216 kB\n"), Some(5216 << 10));
        assert_eq!(resident("VmHWM: 9 kB"), None);
        assert!(resident_bytes().is_some_and(|bytes| bytes > 1 << 20));
    }
}
