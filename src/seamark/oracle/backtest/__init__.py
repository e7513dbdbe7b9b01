"""Recorded ticks through the very rules that publish, with a virtual clock.

CSV, Parquet --ticks--> Tick --replay (aggregate, decide)--> Figures --chart--> HTML
"""
