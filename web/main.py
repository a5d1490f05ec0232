"""`hypercorn web.main:app`: the web server by itself, beside a running engine."""

from __future__ import annotations

import os
import sys

from engine.cluster.feed import ClusterFeed
from engine.errors import BAD_SETTINGS_STATUS, SettingsError
from engine.logs import configure_logging
from engine.printable import escaped_lines
from engine.private_files import PRIVATE_UMASK
from engine.runtime import effective_settings
from web.app import create_app
from web.edge.server import let_start_up_rest, set_server_defaults

os.umask(PRIVATE_UMASK)
try:
    _settings = effective_settings()
    set_server_defaults(_settings.proxy_networks)
    configure_logging(_settings, "web")
    _feed = ClusterFeed(_settings)
    app = create_app(_settings, _feed)
except SettingsError as error:
    sys.stderr.write(escaped_lines(f"web: {error}\n"))
    sys.exit(BAD_SETTINGS_STATUS)
app.before_serving(_feed.start)
app.before_serving(let_start_up_rest)
app.after_serving(_feed.close)
