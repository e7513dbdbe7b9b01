"""CCIP 1.2: an EVM2EVMOnRamp on the source, a CommitStore and an EVM2EVMOffRamp on the destination, for each lane."""
