"""The Supabase client. Importing this module is cheap; calling it without a configuration is an error."""

import os
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from ..config.logfire_config import search_logger

if TYPE_CHECKING:
    from supabase import Client

REQUEST_TIMEOUT_SECONDS = 10


def get_supabase_client() -> "Client":
    """A new synchronous client for SUPABASE_URL. Its calls block: use them in a thread.

    Raises:
        ValueError: SUPABASE_URL or SUPABASE_SERVICE_KEY is not set (embedded mode).
        supabase.SupabaseException: the key or the URL has a form that the client refuses.
    """
    url = os.environ.get("SUPABASE_URL", "").strip()
    key = os.environ.get("SUPABASE_SERVICE_KEY", "")
    if not url or not key:
        raise ValueError("SUPABASE_URL and SUPABASE_SERVICE_KEY must both be set to use Supabase.")

    from supabase import create_client  # slow to import, and not needed in embedded mode

    client = create_client(url, key, _options())
    search_logger.debug("Supabase client made")
    return client


def _options() -> Any:
    """No session of a user, and a time limit on every request, in the words of the installed client's version."""
    import httpx
    from supabase.lib.client_options import SyncClientOptions

    known = {field.name for field in fields(SyncClientOptions)}
    options: dict[str, Any] = {"auto_refresh_token": False, "persist_session": False}
    if "httpx_client" in known:
        # Newer clients want the limit there, and warn about the option. HTTP/1.1: their sync HTTP/2 is not for threads.
        options |= {"httpx_client": httpx.Client(timeout=REQUEST_TIMEOUT_SECONDS), "postgrest_client_timeout": None}
    else:
        options["postgrest_client_timeout"] = REQUEST_TIMEOUT_SECONDS
    if "postgrest_client_retry" in known:
        options["postgrest_client_retry"] = False  # it sleeps in between; callers repeat what may be repeated
    return SyncClientOptions(**options)
