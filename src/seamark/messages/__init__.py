"""Every cross-chain message followed to its final state: one tracker, many protocols."""
