"""The protocols whose messages can be tracked, one folder each; none knows another."""
