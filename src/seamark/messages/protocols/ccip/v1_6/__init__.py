"""CCIP 1.6: one OnRamp for all destinations and one OffRamp for all sources per chain; commit and execution on the
OffRamp.
"""
