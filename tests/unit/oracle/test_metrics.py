"""Metrics that follow the settings: they are read when somebody asks."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from seamark.oracle.metrics import OracleMetrics


def test_budgets_of_venues_come_and_go_with_the_settings() -> None:
    registry = CollectorRegistry()
    metrics = OracleMetrics(registry)
    budgets = {"cmc": (12, 1000), "ecb": (0, 24)}
    metrics.watch_budgets(lambda: budgets)
    assert registry.get_sample_value("oracle_venue_requests_today", {"venue": "cmc"}) == 12
    assert registry.get_sample_value("oracle_venue_budget", {"venue": "ecb"}) == 24
    del budgets["ecb"]
    assert registry.get_sample_value("oracle_venue_budget", {"venue": "ecb"}) is None


def test_without_budgets_nothing_is_shown_of_them() -> None:
    registry = CollectorRegistry()
    OracleMetrics(registry)
    assert registry.get_sample_value("oracle_venue_requests_today", {"venue": "cmc"}) is None
