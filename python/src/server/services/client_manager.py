"""The Supabase client. Importing this module is cheap; calling it without a configuration is an error."""

import os
from typing import TYPE_CHECKING

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
    from supabase.lib.client_options import SyncClientOptions

    client = create_client(
        url,
        key,
        SyncClientOptions(
            postgrest_client_timeout=REQUEST_TIMEOUT_SECONDS, auto_refresh_token=False, persist_session=False
        ),
    )
    search_logger.debug("Supabase client made")
    return client
