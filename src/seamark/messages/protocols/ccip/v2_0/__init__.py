"""CCIP 2.0: one OnRamp for all destinations and one OffRamp for all sources per chain; verified off chain, executed by
anybody. Nothing is committed on chain.
"""
