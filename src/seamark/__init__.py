"""Seamark: publish prices on chain, carry them across chains, and see every message land."""

__all__ = ["__version__"]

__version__ = "0.1.0"
