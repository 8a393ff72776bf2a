"""The lean Archon host. Knows nothing of work orders beyond mounting their router."""

import os

# An installed logfire registers a pydantic plugin, which imports all of logfire (0.7 s, 20 MB) with the first model,
# used or not. Nothing here records validations, so that plugin stays off unless an operator asks for it.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "logfire-plugin")
