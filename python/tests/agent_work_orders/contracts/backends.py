"""The backends under contract, by the address that names one state of one of them."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from src.agent_work_orders.ports import Store
from src.agent_work_orders.store.sqlite import SqliteStore
from src.agent_work_orders.store.supabase import SupabaseStore

from ..postgres.project import key_for


def open_store(address: str) -> AbstractAsyncContextManager[Store]:
    """`sqlite:<path>` or `supabase:<address of a test's project>`."""
    backend, _, place = address.partition(":")
    if backend == "sqlite":
        return SqliteStore.open(Path(place))
    if backend == "supabase":
        return SupabaseStore.open(place, key_for("service_role"))
    raise ValueError(f"there is no backend {backend!r}")
