"""The tools of Agent Work Orders. `register_work_order_tools` works on any server object with a `tool()` decorator."""

from .work_order_tools import register_work_order_tools

__all__ = ["register_work_order_tools"]
