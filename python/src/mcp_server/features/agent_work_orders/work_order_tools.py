"""The four tools by which agents file, follow and answer work orders. Imports no MCP library: any of them will do."""

import json
from collections.abc import Awaitable, Callable
from typing import Any, Protocol
from urllib.parse import quote

from src.server.config.service_discovery import get_api_url

from .answers import Refused, event_in_list, failure, order_alone, order_in_list, repository_in_list, success
from .archon_api import LONGEST_WAIT, ArchonApi

_FILTERS = ("status", "repository")
_ACTIONS = ("create", "cancel", "retry", "approve", "reject", "message", "delete")


class ToolServer(Protocol):
    """What is needed of an MCP server object, whichever library it comes from."""

    def tool(self) -> Callable[[Callable[..., Awaitable[str]]], Any]: ...


def register_work_order_tools(mcp: ToolServer, api_url: Callable[[], str] = get_api_url) -> None:
    """Adds the tools of Agent Work Orders. `api_url` is where the Archon server answers, such as http://localhost:8181."""
    api = ArchonApi(api_url)

    @mcp.tool()
    async def find_work_orders(
        work_order_id: str | None = None,
        query: str | None = None,
        filter_by: str | None = None,
        filter_value: str | None = None,
        per_page: int = 10,
        cursor: str | None = None,
        wait_seconds: int = 0,
        after_seq: int | None = None,
    ) -> str:
        """Find work orders, or read one and wait until it changes.

        A work order is a request in words for a repository: Archon runs a coding agent on it in an isolated checkout,
        verifies the result and opens a pull request.

        Args:
            work_order_id: Read this one, with its steps, instead of a list
            query: Only orders whose request contains this text
            filter_by: "status" (scheduled, pending, running, waiting, completed, failed, cancelled)
                or "repository" (its URL)
            filter_value: The value to filter by
            per_page: Orders in a list, 1 to 50
            cursor: `next_cursor` of the list before, for the next page
            wait_seconds: With work_order_id: wait up to so many seconds (at most 50) for the order to change.
                Use this instead of asking again and again
            after_seq: With wait_seconds: the `last_seq` that you saw last, so that nothing in between is missed

        Returns:
            JSON: {"success", "work_order"} or {"success", "work_orders", "count", "next_cursor"}. An order that is
            `waiting` with reason `approval` needs manage_work_order("approve" or "reject"); `failed` tells the cause
            in `error_message` and what to do in `next_action`.

        Examples:
            find_work_orders(filter_by="status", filter_value="running")
            find_work_orders(work_order_id="wo-…", wait_seconds=45, after_seq=12)
        """

        async def answer() -> str:
            if work_order_id:
                path = _order_path(work_order_id)
                if wait_seconds > 0:
                    seen = after_seq
                    if seen is None:
                        seen = (await api.ask("GET", path))["last_seq"]
                    await api.wait_for_change(_name_of(work_order_id), seen, min(wait_seconds, LONGEST_WAIT))
                return success(work_order=order_alone(await api.ask("GET", path)))
            if filter_by is not None and filter_by not in _FILTERS:
                raise Refused("validation_error", f"filter_by must be one of {', '.join(_FILTERS)}.")
            page = await api.ask(
                "GET",
                "/work-orders",
                query={
                    "status": filter_value if filter_by == "status" else None,
                    "repository_url": filter_value if filter_by == "repository" else None,
                    "q": query,
                    "limit": max(1, min(per_page, 50)),
                    "cursor": cursor,
                },
            )
            orders = [order_in_list(order) for order in page["work_orders"]]
            return success(work_orders=orders, count=len(orders), next_cursor=page["next_cursor"])

        return await _told(answer)

    @mcp.tool()
    async def manage_work_order(
        action: str,
        work_order_id: str | None = None,
        repository_url: str | None = None,
        user_request: str | None = None,
        workflow_type: str | None = None,
        options: dict[str, Any] | None = None,
        idempotency_key: str | None = None,
        from_step: int | None = None,
        approval_seq: int | None = None,
        text: str | None = None,
    ) -> str:
        """Create a work order, or act on one.

        Args:
            action: "create" | "cancel" | "retry" | "approve" | "reject" | "message" | "delete"
            work_order_id: The order to act on; needed for every action but create
            repository_url: create: such as https://github.com/owner/name
            user_request: create: what to do, in words, up to 64 kB; say how it will be known to be done
            workflow_type: create: a workflow's name; the server's default plans, executes, reviews, verifies and opens
                a pull request
            options: create: more fields of the request, such as base_branch, working_subdir, github_issue_number,
                priority (0 first to 9), model, max_cost_usd, requires_approval
            idempotency_key: create and message: the same key never files the same thing twice; for calls you repeat
            from_step: retry: the step to start again from, by its step_order
            approval_seq: approve and reject: `approval.seq` of the order as you read it
            text: message: what to tell the agent; approve and reject: an optional comment for it

        Returns:
            JSON: {"success", "work_order", "message"}; on failure {"success": false, "error": {"type", "message",
            "suggestion"}}. `conflict` means that the order stands differently than you thought: read it again.

        Examples:
            manage_work_order("create", repository_url="https://github.com/owner/name", user_request="Fix …")
            manage_work_order("approve", work_order_id="wo-…", approval_seq=17)
            manage_work_order("message", work_order_id="wo-…", text="Also update the changelog.")
        """

        async def answer() -> str:
            if action not in _ACTIONS:
                raise Refused("invalid_action", f"action must be one of {', '.join(_ACTIONS)}.")
            headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
            if action == "create":
                _need(action, repository_url=repository_url, user_request=user_request)
                body = {**(options or {}), "repository_url": repository_url, "user_request": user_request}
                if workflow_type:
                    body["workflow_type"] = workflow_type
                order = await api.ask("POST", "/work-orders", body=body, headers=headers)
                return success(
                    work_order=order_alone(order),
                    message="Filed. Follow it: find_work_orders(work_order_id, wait_seconds=45, after_seq=last_seq).",
                )
            _need(action, work_order_id=work_order_id)
            path = _order_path(work_order_id or "")
            if action == "delete":
                await api.ask("DELETE", path)
                return success(message="Deleted, with its files.")
            if action == "message":
                _need(action, text=text)
                await api.ask("POST", f"{path}/messages", body={"text": text}, headers=headers)
            elif action in ("approve", "reject"):
                _need(action, approval_seq=approval_seq)
                body = {"seq": approval_seq, **({"comment": text} if text else {})}
                await api.ask("POST", f"{path}/{action}", body=body)
            else:
                body = {"from_step": from_step} if action == "retry" and from_step is not None else {}
                await api.ask("POST", f"{path}/{action}", body=body if action == "retry" else None)
            return success(work_order=order_alone(await api.ask("GET", path)))

        return await _told(answer)

    @mcp.tool()
    async def find_work_order_events(
        work_order_id: str,
        after_seq: int | None = None,
        before_seq: int | None = None,
        kind: str | None = None,
        per_page: int = 20,
    ) -> str:
        """Read what happened to a work order: its journal, in order.

        Args:
            work_order_id: The order
            after_seq: Events after this one, oldest first; without it and before_seq, the newest ones
            before_seq: The last events before this one
            kind: Only events of this kind, such as agent_spoke, tool_used, check_run, step_finished
            per_page: Events in the answer, 1 to 100

        Returns:
            JSON: {"success", "events", "count", "last_seq"}; long texts are cut.

        Examples:
            find_work_order_events("wo-…", kind="check_run")
        """

        async def answer() -> str:
            path = _order_path(work_order_id)
            before = before_seq
            if after_seq is None and before is None:
                before = (await api.ask("GET", path))["last_seq"] + 1
            page = await api.ask(
                "GET",
                f"{path}/events",
                query={
                    "after_seq": after_seq,
                    "before_seq": before if after_seq is None else None,
                    "kind": kind,
                    "limit": max(1, min(per_page, 100)),
                },
            )
            events = [event_in_list(event) for event in page["events"]]
            return success(events=events, count=len(events), last_seq=page["last_seq"])

        return await _told(answer)

    @mcp.tool()
    async def find_repositories(repository_id: str | None = None, query: str | None = None) -> str:
        """Find the repositories that are configured for work orders, with their defaults and limits.

        Args:
            repository_id: Read this one alone
            query: Only repositories whose URL contains this text

        Returns:
            JSON: {"success", "repositories", "count"}. Orders may name other repositories too, on the hosts that the
            administrator allows.

        Examples:
            find_repositories(query="archon")
        """

        async def answer() -> str:
            if repository_id:
                one = await api.ask("GET", f"/repositories/{quote(repository_id, safe='')}")
                return success(repositories=[one], count=1)
            found = (await api.ask("GET", "/repositories"))["repositories"]
            shown = [repository_in_list(one) for one in found if (query or "").lower() in one["repository_url"].lower()]
            return success(repositories=shown, count=len(shown))

        return await _told(answer)


async def _told(answer: Callable[[], Awaitable[str]]) -> str:
    try:
        return await answer()
    except Refused as refused:
        return failure(refused)
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        return failure(
            Refused(
                "invalid_response",
                f"The server's answer could not be read ({type(error).__name__}: {error}).",
                suggestion="See that MCP server and Archon server are of the same release.",
            )
        )


def _need(action: str, **values: object) -> None:
    missing = [name for name, value in values.items() if value in (None, "")]
    if missing:
        raise Refused("missing_data", f"{action} needs {' and '.join(missing)}.")


def _name_of(work_order_id: str) -> str:
    return quote(work_order_id, safe="")


def _order_path(work_order_id: str) -> str:
    return f"/work-orders/{_name_of(work_order_id)}"
