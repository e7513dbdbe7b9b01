"""Prices from many sources to one answer on chain."""
