//! The bars: what is wanted of Anode, relative to what the machine and the peers do in the same run.

use crate::run::{Field, Run};

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sense {
    /// The value may be at most this.
    AtMost,
    /// The value must be at least this.
    AtLeast,
}

/// What a value is held against.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    /// A limit of the machine in the same run.
    Machine(&'static str, Field),
    /// Another case of Anode's.
    Own(&'static str, Field),
    /// A number.
    Fixed(f64),
    /// The memory budget that Anode was given.
    Budget,
    /// What the device writes, or MD5 on the cores that the client of this case leaves, whichever is less.
    DeviceOrMd5,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value {
    /// A case.
    Of(&'static str, Field),
    /// The most memory of all cases.
    ResidentPeak,
}

/// What is wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bar {
    /// What notes name it by.
    pub(crate) key: &'static str,
    pub(crate) what: &'static str,
    pub(crate) unit: Unit,
    pub(crate) value: Value,
    pub(crate) limit: Limit,
    pub(crate) sense: Sense,
    /// Times the limit.
    pub(crate) factor: f64,
    /// More than that, in the value's own unit.
    pub(crate) plus: f64,
    /// So many times better than these servers.
    pub(crate) peers: &'static [(&'static str, f64)],
}

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Microseconds,
    PerSecond,
    KeysPerSecond,
    MegabytesPerSecond,
    Mebibytes,
    Percent,
}

impl Unit {
    /// The number in this unit, and its name.
    pub(crate) fn scale(self) -> (f64, &'static str) {
        match self {
            Self::Microseconds => (1.0, "us"),
            Self::PerSecond => (1.0, "/s"),
            Self::KeysPerSecond => (1.0, "keys/s"),
            Self::MegabytesPerSecond => (1e-6, "MB/s"),
            Self::Mebibytes => (1.0 / 1_048_576.0, "MiB"),
            Self::Percent => (100.0, "% of a core"),
        }
    }
}

const fn at_most(key: &'static str, what: &'static str, value: Value, limit: Limit) -> Bar {
    let (unit, sense) = (Unit::Microseconds, Sense::AtMost);
    Bar { key, what, unit, value, limit, sense, factor: 1.0, plus: 0.0, peers: &[] }
}

const fn at_least(key: &'static str, what: &'static str, value: Value, limit: Limit) -> Bar {
    let (unit, sense) = (Unit::PerSecond, Sense::AtLeast);
    Bar { key, what, unit, value, limit, sense, factor: 1.0, plus: 0.0, peers: &[] }
}

/// All bars, in the order of the report.
pub(crate) const BARS: &[Bar] = &[
    Bar {
        factor: 1.3,
        peers: &[("garage-fsync", 5.0)],
        ..at_most(
            "put-1k-c1",
            "durable 1 KiB PUT, c=1, p50; limit: fio 4 KiB O_DSYNC",
            Value::Of("put-1k-c1", Field::P50),
            Limit::Machine("fio-write-4k", Field::P50),
        )
    },
    Bar {
        factor: 0.55,
        peers: &[("garage-fsync", 18.0), ("garage-no-fsync", 6.0)],
        ..at_least(
            "put-1k-c64",
            "durable 1 KiB PUT, c=64; limit: nginx's 1 KiB GET",
            Value::Of("put-1k-c64", Field::PerSecond),
            Limit::Machine("nginx-get-1k-c64", Field::PerSecond),
        )
    },
    Bar {
        factor: 0.9,
        ..at_least(
            "get-1k-c64",
            "1 KiB GET, cached, c=64; limit: nginx",
            Value::Of("get-1k-c64", Field::PerSecond),
            Limit::Machine("nginx-get-1k-c64", Field::PerSecond),
        )
    },
    Bar {
        plus: 40.0,
        ..at_most(
            "get-1k-c1",
            "1 KiB GET, cached, c=1, p50; limit: nginx",
            Value::Of("get-1k-c1", Field::P50),
            Limit::Machine("nginx-get-1k-c1", Field::P50),
        )
    },
    Bar {
        plus: 60.0,
        ..at_most(
            "get-1k-cold-c1",
            "1 KiB GET, cold, c=1, p50; limit: fio random 4 KiB read",
            Value::Of("get-1k-cold-c1", Field::P50),
            Limit::Machine("fio-read-4k", Field::P50),
        )
    },
    Bar {
        unit: Unit::MegabytesPerSecond,
        factor: 0.9,
        ..at_least(
            "get-1m-c16",
            "1 MiB GET, cached, c=16; limit: nginx",
            Value::Of("get-1m-c16", Field::BytesPerSecond),
            Limit::Machine("nginx-get-1m-c16", Field::BytesPerSecond),
        )
    },
    Bar {
        unit: Unit::MegabytesPerSecond,
        factor: 0.9,
        ..at_least(
            "get-1m-cold-c16",
            "1 MiB GET, cold, c=16; limit: fio sequential read",
            Value::Of("get-1m-cold-c16", Field::BytesPerSecond),
            Limit::Machine("fio-read-1m", Field::BytesPerSecond),
        )
    },
    Bar {
        unit: Unit::MegabytesPerSecond,
        factor: 0.8,
        peers: &[("garage-no-fsync", 4.0)],
        ..at_least(
            "put-1m-c16",
            "durable 1 MiB PUT, c=16; limit: device, or MD5 on the free cores",
            Value::Of("put-1m-c16", Field::BytesPerSecond),
            Limit::DeviceOrMd5,
        )
    },
    Bar {
        unit: Unit::MegabytesPerSecond,
        factor: 0.8,
        peers: &[("garage-no-fsync", 4.0)],
        ..at_least(
            "put-100m-c4",
            "100 MiB multipart, c=4; limit: device, or MD5 on the free cores",
            Value::Of("put-100m-c4", Field::BytesPerSecond),
            Limit::DeviceOrMd5,
        )
    },
    Bar {
        unit: Unit::KeysPerSecond,
        ..at_least(
            "list-full-c1",
            "full listing, c=1; limit: what is wanted",
            Value::Of("list-full-c1", Field::EntriesPerSecond),
            Limit::Fixed(600_000.0),
        )
    },
    Bar {
        // Two measurements of the same differ by some per cent.
        factor: 1.1,
        ..at_most(
            "list-late-c1",
            "page at nine tenths of a listing, c=1, p50; limit: a page at its beginning",
            Value::Of("list-late-c1", Field::P50),
            Limit::Own("list-first-c1", Field::P50),
        )
    },
    Bar {
        factor: 0.95,
        ..at_least(
            "head-1k-c16",
            "HEAD, c=16; limit: 1 KiB GET, c=16",
            Value::Of("head-1k-c16", Field::PerSecond),
            Limit::Own("get-1k-c16", Field::PerSecond),
        )
    },
    Bar {
        factor: 0.95,
        ..at_least(
            "delete-1k-c16",
            "DELETE of 1 KiB, c=16; limit: the PUTs of these objects",
            Value::Of("delete-1k-c16/delete", Field::PerSecond),
            Limit::Own("delete-1k-c16/put", Field::PerSecond),
        )
    },
    at_most(
        "open-put-1k-p999",
        "1 KiB PUT at half the top rate, open loop, p99.9; limit: what is wanted",
        Value::Of("open-put-1k", Field::P999),
        Limit::Fixed(5_000.0),
    ),
    at_most(
        "open-get-1k-p999",
        "1 KiB GET at half the top rate, open loop, p99.9; limit: what is wanted",
        Value::Of("open-get-1k", Field::P999),
        Limit::Fixed(5_000.0),
    ),
    at_most(
        "open-put-1k-max",
        "the same PUTs, slowest of all; limit: what is wanted",
        Value::Of("open-put-1k", Field::Max),
        Limit::Fixed(50_000.0),
    ),
    at_most(
        "open-get-1k-max",
        "the same GETs, slowest of all; limit: what is wanted",
        Value::Of("open-get-1k", Field::Max),
        Limit::Fixed(50_000.0),
    ),
    at_most(
        "get-1k-cpu",
        "server CPU of a 1 KiB GET, c=64; limit: what is wanted",
        Value::Of("get-1k-c64", Field::ServerCpu),
        Limit::Fixed(18.0),
    ),
    at_most(
        "put-1k-cpu",
        "server CPU of a durable 1 KiB PUT, c=64; limit: what is wanted",
        Value::Of("put-1k-c64", Field::ServerCpu),
        Limit::Fixed(40.0),
    ),
    Bar {
        unit: Unit::Mebibytes,
        ..at_most(
            "memory",
            "most memory under all of these; limit: the budget",
            Value::ResidentPeak,
            Limit::Budget,
        )
    },
    Bar {
        unit: Unit::Percent,
        ..at_most(
            "idle-cpu",
            "idle node, CPU; limit: what is wanted",
            Value::Of("idle", Field::CpuShare),
            Limit::Fixed(0.01),
        )
    },
    Bar {
        unit: Unit::Mebibytes,
        ..at_most(
            "idle-memory",
            "idle node, memory; limit: what is wanted",
            Value::Of("idle", Field::Resident),
            Limit::Fixed(104_857_600.0),
        )
    },
];

/// What became of a bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Met,
    Missed,
    NotMeasured,
}

impl Status {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Missed => "**missed**",
            Self::NotMeasured => "not measured",
        }
    }
}

impl Bar {
    /// What a server reached.
    pub(crate) fn value(&self, run: &Run, server: &str) -> Option<f64> {
        match self.value {
            Value::Of(label, field) => run.figure(server, label, field),
            Value::ResidentPeak => run.resident_peak(server),
        }
    }

    /// What it is held against.
    pub(crate) fn limit(&self, run: &Run) -> Option<f64> {
        match self.limit {
            Limit::Machine(label, field) => run.figure("", label, field),
            Limit::Own(label, field) => run.figure("anode", label, field),
            Limit::Fixed(number) => Some(number),
            Limit::Budget => run.told_number("memory_budget_bytes"),
            Limit::DeviceOrMd5 => {
                let Value::Of(label, _) = self.value else { return None };
                let device = run.figure("", "fio-write-1m", Field::BytesPerSecond)?;
                let md5 = run.figure("", "md5", Field::BytesPerSecond)?;
                let client = run.figure("anode", label, Field::ClientCpu)?
                    * run.figure("anode", label, Field::PerSecond)?
                    / 1e6;
                Some(device.min(md5 * (run.told_number("cores")? - client)))
            }
        }
    }

    /// The value that is just enough.
    pub(crate) fn bound(&self, run: &Run) -> Option<f64> {
        self.limit(run).map(|limit| limit * self.factor + self.plus)
    }

    /// How many times Anode is better than a peer.
    pub(crate) fn advantage(&self, run: &Run, peer: &str) -> Option<f64> {
        let (own, other) = (self.value(run, "anode")?, self.value(run, peer)?);
        Some(match self.sense {
            Sense::AtMost => other / own,
            Sense::AtLeast => own / other,
        })
    }

    /// Met where the limit's bound is kept, and the advantage over each peer that was measured.
    pub(crate) fn status(&self, run: &Run) -> Status {
        let Some((value, bound)) = self.value(run, "anode").zip(self.bound(run)) else {
            return Status::NotMeasured;
        };
        let kept = match self.sense {
            Sense::AtMost => value <= bound,
            Sense::AtLeast => value >= bound,
        };
        let mut peers = self.peers.iter();
        let ahead = peers.all(|(peer, factor)| {
            self.advantage(run, peer).is_none_or(|advantage| advantage >= *factor)
        });
        if kept && ahead { Status::Met } else { Status::Missed }
    }

    /// How far above (1 and more) or below what is wanted the value is.
    pub(crate) fn score(&self, run: &Run) -> Option<f64> {
        let (value, bound) = self.value(run, "anode").zip(self.bound(run))?;
        Some(match self.sense {
            Sense::AtMost => bound / value,
            Sense::AtLeast => value / bound,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{BARS, Status};
    use crate::run::Run;
    use crate::run::tests::TEXT;

    #[test]
    fn keys_are_unique() {
        let keys: BTreeSet<&str> = BARS.iter().map(|bar| bar.key).collect();
        assert_eq!(keys.len(), BARS.len());
    }

    #[test]
    fn a_bar_is_met_missed_or_not_measured() {
        let bar = &BARS[0];
        // 120 us against 1.3 times 90 us.
        let run = Run::parse(TEXT).unwrap();
        assert_eq!((bar.bound(&run), bar.status(&run)), (Some(117.0), Status::Missed));
        let quicker = Run::parse(&TEXT.replace("130.0", "122.0")).unwrap();
        assert_eq!(bar.status(&quicker), Status::Met);
        assert!(bar.score(&quicker).unwrap() > 1.0 && bar.score(&run).unwrap() < 1.0);
        assert_eq!(BARS[1].status(&run), Status::NotMeasured);
        let peer = r#"{"kind":"load","server":"garage-fsync","round":1,"total":{"p50_us":300.0},"label":"put-1k-c1"}"#;
        let near = Run::parse(&format!("{}{peer}\n", TEXT.replace("130.0", "122.0"))).unwrap();
        assert_eq!(bar.status(&near), Status::Missed, "not five times better");
    }
}
