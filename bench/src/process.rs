//! CPU time, memory and device bytes of processes, from /proc and the kernel's accounting of our own.

use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use nix::unistd::{SysconfVar, sysconf};

/// What processes used.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// User and system time, in ticks of the kernel.
    cpu_ticks: u64,
    /// Resident memory now.
    pub resident_bytes: u64,
    /// The most it ever was, added up over the processes.
    pub resident_bytes_peak: u64,
    /// What it had devices read and write since its start, in bytes; unknown where the kernel doesn't tell.
    pub device_bytes: Option<DeviceBytes>,
}

/// Bytes to and from devices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceBytes {
    /// Read.
    pub read: u64,
    /// Written.
    pub written: u64,
}

impl Usage {
    /// The CPU time since `earlier`, in seconds; exact to a tick of 10 ms.
    #[expect(clippy::cast_precision_loss, reason = "ticks of a measurement")]
    pub fn cpu_seconds_since(&self, earlier: &Self) -> f64 {
        let ticks = self.cpu_ticks.saturating_sub(earlier.cpu_ticks);
        let ticks_a_second = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100);
        ticks as f64 / ticks_a_second as f64
    }
}

/// The figures of processes together; `None` where none is given or one is gone.
pub fn usage(ids: &[u32]) -> Option<Usage> {
    let mut sum = ids
        .first()
        .map(|_| Usage { device_bytes: Some(DeviceBytes::default()), ..Usage::default() })?;
    for id in ids {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
        let one = parse(&stat, &status)?;
        sum.cpu_ticks += one.cpu_ticks;
        sum.resident_bytes += one.resident_bytes;
        sum.resident_bytes_peak += one.resident_bytes_peak;
        let device = std::fs::read_to_string(format!("/proc/{id}/io")).ok();
        let device = device.and_then(|text| parse_device(&text));
        sum.device_bytes = sum.device_bytes.zip(device).map(|(sum, one)| DeviceBytes {
            read: sum.read + one.read,
            written: sum.written + one.written,
        });
    }
    Some(sum)
}

/// The CPU time of this process.
pub fn own_cpu() -> Duration {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else { return Duration::ZERO };
    let microseconds =
        usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Duration::from_micros(u64::try_from(microseconds).unwrap_or_default())
}

fn parse(stat: &str, status: &str) -> Option<Usage> {
    // proc(5): the name in parentheses may hold spaces; utime and stime are fields 14 and 15.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |nth: usize| fields.get(nth)?.parse::<u64>().ok();
    let memory = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        kibibytes.checked_mul(1024)
    };
    Some(Usage {
        cpu_ticks: ticks(11)?.checked_add(ticks(12)?)?,
        resident_bytes: memory("VmRSS:")?,
        resident_bytes_peak: memory("VmHWM:")?,
        device_bytes: None,
    })
}

fn parse_device(io: &str) -> Option<DeviceBytes> {
    let bytes =
        |name: &str| io.lines().find_map(|line| line.strip_prefix(name))?.trim().parse().ok();
    Some(DeviceBytes { read: bytes("read_bytes:")?, written: bytes("write_bytes:")? })
}

#[cfg(test)]
mod tests {
    use super::{DeviceBytes, own_cpu, parse, parse_device, usage};

    #[test]
    fn proc_files_are_read_past_a_name_with_spaces() {
        let stat = "7 (a b) c) S 1 1 1 0 -1 4 1 0 0 0 250 50 0 0 20 0 3 0 1 2 3";
        let usage = parse(stat, "VmHWM:\t    20 kB\nVmRSS:\t    10 kB\n").unwrap();
        assert_eq!(usage.cpu_ticks, 300);
        assert_eq!((usage.resident_bytes, usage.resident_bytes_peak), (10 << 10, 20 << 10));
        assert_eq!(parse(stat, "VmRSS: 10 kB\n"), None);
        let io = "rchar: 1\nread_bytes: 512\nwrite_bytes: 4096\ncancelled_write_bytes: 7\n";
        assert_eq!(parse_device(io), Some(DeviceBytes { read: 512, written: 4096 }));
        assert_eq!(parse_device("read_bytes: 1\n"), None);
    }

    #[test]
    fn our_own_process_has_figures() {
        let own = std::process::id();
        let (one, two) = (usage(&[own]).unwrap(), usage(&[own, own]).unwrap());
        assert!(one.resident_bytes > 0 && two.resident_bytes > one.resident_bytes);
        assert!(own_cpu().as_nanos() > 0);
        assert_eq!((usage(&[]), usage(&[own, u32::MAX])), (None, None));
    }
}
