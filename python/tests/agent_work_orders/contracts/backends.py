"""The backends under contract, by the address that names one state of one of them."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from src.agent_work_orders.ports import Store
from src.agent_work_orders.store.sqlite import SqliteStore


def open_store(address: str) -> AbstractAsyncContextManager[Store]:
    """`sqlite:<path>`."""
    backend, _, place = address.partition(":")
    if backend == "sqlite":
        return SqliteStore.open(Path(place))
    raise ValueError(f"there is no backend {backend!r}")
