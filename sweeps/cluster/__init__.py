"""The cluster: reached from afar, looked at, and given what a sweep needs."""

import logging
import os

# Ray reads these when it is imported; without a token anyone on the machine may run code.
os.environ.setdefault("RAY_AUTH_MODE", "token")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
# It would say in a notebook that widgets are missing, for a display of Ray's that is never shown.
logging.getLogger("ray.widgets.util").setLevel(logging.WARNING)
