"""`hypercorn web.main:app`: the web server by itself, beside a running engine."""

from __future__ import annotations

from engine.cluster.feed import ClusterFeed
from engine.logs import configure_logging
from engine.runtime import effective_settings
from web.app import create_app
from web.edge.server import set_server_defaults

_settings = effective_settings()
set_server_defaults(_settings.proxy_networks)
configure_logging(_settings, "web")
_feed = ClusterFeed(_settings)
app = create_app(_settings, _feed)
app.before_serving(_feed.start)
app.after_serving(_feed.close)
