"""The tests; every cluster they start asks for one token, whatever is in the home."""

import os
import uuid

# `ray start` makes none, and two processes that make one at once disagree.
os.environ.setdefault("RAY_AUTH_TOKEN", uuid.uuid4().hex)
