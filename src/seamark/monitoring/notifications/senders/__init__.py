"""The ways to send: our own webhook, and everything that apprise knows (Slack, e-mail, PagerDuty and 130 more)."""

from seamark.monitoring.notifications.senders.opening import Receiver, Sender, open_receivers

__all__ = ["Receiver", "Sender", "open_receivers"]
