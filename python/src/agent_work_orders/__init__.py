"""Agent Work Orders, a plugin of the Archon server. `app.include_router(router)` is all that a host does."""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .plugin import router

__all__ = ["router"]


def __getattr__(name: str) -> Any:
    # Late, so that the plugin's programs (`python -m …`) do not pay for the web framework they do not use.
    if name == "router":
        from .switched_off import nobody_switched_it_on

        if nobody_switched_it_on(os.environ):
            from .switched_off import router as off

            return off
        from .plugin import router

        return router
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
