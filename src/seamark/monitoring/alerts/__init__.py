"""Findings in, alerts out: opened, updated, folded, silenced, acknowledged, resolved, and all of it on record."""
