"""The capabilities' stores, read for the routes: rows become views, names and checksums are put on."""

from seamark.api.readers.alerts import StoredAlerts
from seamark.api.readers.chains import StoredChains
from seamark.api.readers.feeds import Observed, StoredFeeds
from seamark.api.readers.join import StoredJoin
from seamark.api.readers.messages import StoredMessages

__all__ = ["Observed", "StoredAlerts", "StoredChains", "StoredFeeds", "StoredJoin", "StoredMessages"]
