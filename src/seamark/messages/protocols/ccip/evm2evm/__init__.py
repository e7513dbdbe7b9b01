"""What CCIP 1.2 and 1.5 share: a pair of ramps and a commit store for each lane."""
