"""Alerts to people and their tools: what to send to whom, an outbox that survives, and the ways to send."""
