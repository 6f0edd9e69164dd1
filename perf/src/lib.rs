//! Micro-benchmarks of the hot paths live in `benches/`; this library holds what they share.
