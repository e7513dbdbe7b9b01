"""What any service needs to run: settings, logs, clock, supervision, metrics, health, HTTP."""
