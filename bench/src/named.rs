//! The named workloads: each is a few command lines of `anode-bench`, so that a name hides nothing.
//!
//! Options given after a name come after those of its lines and win. Lines that fill a bucket aren't measured, and not
//! repeated where the same keys are there already; workloads that read the same objects share a fill.

/// A line's purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Writes what the others need.
    Fill,
    /// Brings what the others read into the server's caches; never measured, and never left out.
    Warm,
    /// Is measured.
    Measured,
}

/// One command line.
#[derive(Clone, Copy, Debug)]
pub struct Phase {
    /// Why it is there.
    pub role: Role,
    /// Arguments of `anode-bench`, separated by spaces.
    pub line: &'static str,
}

/// A workload with a name.
#[derive(Clone, Copy, Debug)]
pub struct Named {
    /// As on the command line.
    pub name: &'static str,
    /// For people.
    pub what: &'static str,
    /// One after the other.
    pub phases: &'static [Phase],
}

const fn fill(line: &'static str) -> Phase {
    Phase { role: Role::Fill, line }
}

const fn warm(line: &'static str) -> Phase {
    Phase { role: Role::Warm, line }
}

const fn measured(line: &'static str) -> Phase {
    Phase { role: Role::Measured, line }
}

const fn named(name: &'static str, what: &'static str, phases: &'static [Phase]) -> Named {
    Named { name, what, phases }
}

const FILL_1K: Phase =
    fill("put --sequential --concurrency 64 --size 1KiB --keys 100000 --prefix 1k-");
const FILL_4K: Phase =
    fill("put --sequential --concurrency 64 --size 4KiB --keys 100000 --prefix 4k-");
const FILL_64K: Phase =
    fill("put --sequential --concurrency 64 --size 64KiB --keys 10000 --prefix 64k-");
const FILL_1M: Phase = fill("put --sequential --concurrency 8 --size 1MiB --keys 64 --prefix 1m-");
const FILL_10M: Phase =
    fill("put --sequential --concurrency 4 --size 10MiB --keys 16 --prefix 10m-");
const FILL_100M: Phase =
    fill("multipart --sequential --concurrency 4 --size 100MiB --keys 4 --prefix 100m-");
const WARM_1K: Phase =
    warm("get --sequential --concurrency 16 --size 1KiB --keys 10000 --prefix 1k-");
const WARM_4K: Phase =
    warm("get --sequential --concurrency 16 --size 4KiB --keys 10000 --prefix 4k-");
const WARM_64K: Phase =
    warm("get --sequential --concurrency 16 --size 64KiB --keys 1000 --prefix 64k-");
const WARM_1M: Phase = warm("get --sequential --concurrency 16 --size 1MiB --keys 64 --prefix 1m-");
/// More of them than the block cache holds.
const FILL_1K_COLD: Phase =
    fill("put --sequential --concurrency 64 --size 1KiB --keys 400000 --prefix cold-1k-");
const FILL_1M_COLD: Phase =
    fill("put --sequential --concurrency 8 --size 1MiB --keys 1024 --prefix cold-1m-");
const FILL_LIST: Phase = fill(
    "put --sequential --concurrency 64 --size 128 --keys 1000000 --folder-keys 1000 --prefix list-",
);
const FILL_MIXED: Phase = fill(
    "put --sequential --concurrency 16 --size 4KiB=70,64KiB=20,1MiB=8,10MiB=2 --keys 2000 --prefix mixed-",
);
const FILL_YCSB: Phase =
    fill("put --sequential --concurrency 64 --size 1KiB --keys 100000 --prefix ycsb-");

/// All of them, in the order of a list for people.
pub const NAMED: &[Named] = &[
    named(
        "put-1k",
        "durable PUTs of 1 KiB",
        &[measured("put --concurrency 64 --size 1KiB --keys 100000 --prefix put-1k-")],
    ),
    named(
        "put-4k",
        "durable PUTs of 4 KiB",
        &[measured("put --concurrency 64 --size 4KiB --keys 100000 --prefix put-4k-")],
    ),
    named(
        "put-64k",
        "durable PUTs of 64 KiB",
        &[measured("put --concurrency 64 --size 64KiB --keys 10000 --prefix put-64k-")],
    ),
    named(
        "get-1k",
        "GETs of 10,000 objects of 1 KiB, from cache",
        &[FILL_1K, WARM_1K, measured("get --concurrency 64 --size 1KiB --keys 10000 --prefix 1k-")],
    ),
    named(
        "get-4k",
        "GETs of 10,000 objects of 4 KiB, from cache",
        &[FILL_4K, WARM_4K, measured("get --concurrency 64 --size 4KiB --keys 10000 --prefix 4k-")],
    ),
    named(
        "get-64k",
        "GETs of 1,000 objects of 64 KiB, from cache",
        &[
            FILL_64K,
            WARM_64K,
            measured("get --concurrency 64 --size 64KiB --keys 1000 --prefix 64k-"),
        ],
    ),
    named(
        "put-1m",
        "durable PUTs of 1 MiB over 256 keys",
        &[measured("put --concurrency 16 --size 1MiB --keys 256 --prefix put-1m-")],
    ),
    named(
        "put-10m",
        "durable PUTs of 10 MiB over 32 keys",
        &[measured("put --concurrency 4 --size 10MiB --keys 32 --prefix put-10m-")],
    ),
    named(
        "put-100m",
        "multipart uploads of 100 MiB over 8 keys, parts of 8 MiB one after the other",
        &[measured("multipart --concurrency 4 --size 100MiB --keys 8 --prefix put-100m-")],
    ),
    named(
        "get-1m",
        "GETs of 64 objects of 1 MiB, from cache",
        &[FILL_1M, WARM_1M, measured("get --concurrency 16 --size 1MiB --keys 64 --prefix 1m-")],
    ),
    named(
        "get-10m",
        "GETs of 16 objects of 10 MiB",
        &[FILL_10M, measured("get --concurrency 4 --size 10MiB --keys 16 --prefix 10m-")],
    ),
    named(
        "get-100m",
        "GETs of 4 objects of 100 MiB, uploaded in parts",
        &[FILL_100M, measured("get --concurrency 4 --size 100MiB --keys 4 --prefix 100m-")],
    ),
    named(
        "get-1k-cold",
        "GETs of 400,000 objects of 1 KiB; after a restart, from the device",
        &[
            FILL_1K_COLD,
            measured("get --concurrency 1 --size 1KiB --keys 400000 --prefix cold-1k- --warm-up 0"),
        ],
    ),
    named(
        "get-1m-cold",
        "GETs of 1,024 objects of 1 MiB, each once; after a restart, from the device",
        &[
            FILL_1M_COLD,
            measured("get --sequential --concurrency 16 --size 1MiB --keys 1024 --prefix cold-1m-"),
        ],
    ),
    named(
        "head-1k",
        "HEADs of 10,000 objects of 1 KiB",
        &[
            FILL_1K,
            WARM_1K,
            measured("head --concurrency 16 --size 1KiB --keys 10000 --prefix 1k-"),
        ],
    ),
    named(
        "delete-1k",
        "20,000 objects of 1 KiB, put and then deleted",
        &[
            measured("put --sequential --concurrency 16 --size 1KiB --keys 20000 --prefix delete-"),
            measured(
                "delete --sequential --concurrency 16 --size 1KiB --keys 20000 --prefix delete-",
            ),
        ],
    ),
    named(
        "list-full",
        "one listing of a million keys from the beginning to the end (--keys 10000, 10000000)",
        &[
            FILL_LIST,
            measured(
                "list-all --sequential --concurrency 1 --keys 1000000 --folder-keys 1000 --prefix list-",
            ),
        ],
    ),
    named(
        "list-pages",
        "pages of 1,000 keys from drawn ones on, of a million",
        &[
            FILL_LIST,
            measured("list --concurrency 16 --keys 1000000 --folder-keys 1000 --prefix list-"),
        ],
    ),
    named(
        "list-folders",
        "listings of a million keys in 1,000 folders with a delimiter: common prefixes only",
        &[
            FILL_LIST,
            measured(
                "list-all --concurrency 1 --keys 1000000 --folder-keys 1000 --prefix list- --delimiter /",
            ),
        ],
    ),
    named(
        "mixed",
        "4 KiB, 64 KiB, 1 MiB and 10 MiB at 70, 20, 8 and 2 %; 80 % GET, 20 % PUT",
        &[
            FILL_MIXED,
            measured(
                "mixed --mix get=80,put=20 --concurrency 16 --size 4KiB=70,64KiB=20,1MiB=8,10MiB=2 \
                 --keys 2000 --prefix mixed-",
            ),
        ],
    ),
    named(
        "ycsb-a",
        "YCSB A, update heavy: half GET, half PUT, Zipf's law",
        &[
            FILL_YCSB,
            measured(
                "mixed --mix get=50,put=50 --distribution zipfian --concurrency 64 --size 1KiB \
                 --keys 100000 --prefix ycsb-",
            ),
        ],
    ),
    named(
        "ycsb-b",
        "YCSB B, read mostly: 95 % GET, 5 % PUT, Zipf's law",
        &[
            FILL_YCSB,
            measured(
                "mixed --mix get=95,put=5 --distribution zipfian --concurrency 64 --size 1KiB \
                 --keys 100000 --prefix ycsb-",
            ),
        ],
    ),
    named(
        "ycsb-c",
        "YCSB C, read only: GET, Zipf's law",
        &[
            FILL_YCSB,
            measured(
                "mixed --mix get=100 --distribution zipfian --concurrency 64 --size 1KiB \
                 --keys 100000 --prefix ycsb-",
            ),
        ],
    ),
    named(
        "ycsb-d",
        "YCSB D, read latest: 95 % GET of mostly the newest, 5 % PUT of new keys",
        &[
            FILL_YCSB,
            measured(
                "mixed --mix get=95,insert=5 --distribution latest --concurrency 64 --size 1KiB \
                 --keys 100000 --prefix ycsb-",
            ),
        ],
    ),
    named(
        "write-heavy",
        "90 % PUT, 10 % GET of 1 KiB",
        &[
            FILL_1K,
            measured(
                "mixed --mix put=90,get=10 --concurrency 64 --size 1KiB --keys 100000 --prefix 1k-",
            ),
        ],
    ),
    named(
        "read-heavy",
        "95 % GET, 5 % PUT of 1 KiB",
        &[
            FILL_1K,
            measured(
                "mixed --mix get=95,put=5 --concurrency 64 --size 1KiB --keys 100000 --prefix 1k-",
            ),
        ],
    ),
    named(
        "small-objects",
        "100,000 objects of 4 KiB: each put, read and deleted",
        &[
            measured("put --sequential --concurrency 64 --size 4KiB --keys 100000 --prefix small-"),
            measured("get --sequential --concurrency 64 --size 4KiB --keys 100000 --prefix small-"),
            measured(
                "delete --sequential --concurrency 64 --size 4KiB --keys 100000 --prefix small-",
            ),
        ],
    ),
    named(
        "open-put",
        "durable PUTs of 1 KiB, 5,000 due a second (--rate)",
        &[measured("put --rate 5000 --concurrency 256 --size 1KiB --keys 100000 --prefix put-1k-")],
    ),
    named(
        "open-get",
        "GETs of 1 KiB from cache, 5,000 due a second (--rate)",
        &[
            FILL_1K,
            WARM_1K,
            measured("get --rate 5000 --concurrency 256 --size 1KiB --keys 10000 --prefix 1k-"),
        ],
    ),
];

/// The workload of that name.
pub fn find(name: &str) -> Option<&'static Named> {
    NAMED.iter().find(|named| named.name == name)
}

impl Named {
    /// The lines of that purpose.
    pub fn lines(&self, role: Role) -> impl Iterator<Item = &'static str> {
        self.phases.iter().filter(move |phase| phase.role == role).map(|phase| phase.line)
    }

    /// What a measured line is called: the workload, and its operation where there are several lines.
    pub fn label(&self, line: &str) -> String {
        let operation = line.split(' ').next().unwrap_or_default();
        match self.lines(Role::Measured).count() {
            1 => self.name.to_owned(),
            _ => format!("{}/{operation}", self.name),
        }
    }
}

/// All names, what they do and how.
pub fn table() -> String {
    let line = |phase: &Phase| {
        let role = match phase.role {
            Role::Fill => "fill",
            Role::Warm => "warm",
            Role::Measured => "run ",
        };
        format!("    {role}  anode-bench {}\n", phase.line)
    };
    let entry = |named: &Named| {
        let lines: String = named.phases.iter().map(line).collect();
        format!("{}: {}\n{lines}", named.name, named.what)
    };
    NAMED.iter().map(entry).collect()
}
