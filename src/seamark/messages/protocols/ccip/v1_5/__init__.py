"""CCIP 1.5: an EVM2EVMOnRamp on the source, a CommitStore and an EVM2EVMOffRamp on the destination, for each lane."""
