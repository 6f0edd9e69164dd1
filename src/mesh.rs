//! Messages between the shards of one node.

/// What one shard sends to another.
#[derive(Debug)]
pub enum Message {}
