"""How AWO itself is: health, the queue, the disk, and the workflows it knows. Shows no secret and changes nothing."""

import shutil
from datetime import datetime
from pathlib import Path
from typing import Literal

from anyio import to_thread
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from ..domain.status import Status
from ..domain.workflow import BUILT_IN, DEFAULT_WORKFLOW
from .deps import Context, context_or_none, why_off
from .errors import RETRY_AFTER, error_responses
from .route import PublicRoute, both, guard_of

router = APIRouter()


class Check(BaseModel):
    """One thing AWO leans on."""

    name: str = Field(description="What was checked.")
    ok: bool = Field(description="Whether it is as it should be.")
    required: bool = Field(description="Whether nothing can run without it.")
    detail: str = Field(description="What was found, in one sentence.")
    next_action: str | None = Field(description="What a person can do about it; null when all is well.")


class Health(BaseModel):
    """Whether AWO can work."""

    status: Literal["healthy", "degraded", "disabled"] = Field(description="`degraded` when any check is not ok.")
    checks: list[Check] = Field(description="What was checked; empty for callers without the token.")


class Worker(BaseModel):
    """The worker of this server."""

    worker_id: str = Field(description="Its identifier, as in a work order's `worker_id`.")
    slots: int = Field(description="Orders it can run at once.")
    busy: int = Field(description="Orders it runs now.")
    confinement: str = Field(description="How agents are kept in.")


class Lease(BaseModel):
    """Who runs what."""

    agent_work_order_id: str = Field(description="The work order.")
    worker_id: str = Field(description="The worker that holds it, of this server or another.")
    expires_at: datetime = Field(description="When it can be taken over, unless it is renewed.")


class Disk(BaseModel):
    """The volume that holds the work orders."""

    total_bytes: int = Field(description="Its size, in bytes.")
    free_bytes: int = Field(description="What is free for us, in bytes.")


class Rehearsal(BaseModel):
    """A rehearsal: the model's words and GitHub are pretended, all the rest is real."""

    repository_url: str = Field(description="The sample repository.")
    github_api_url: str = Field(description="The pretend GitHub's API.")
    request: str = Field(description="The request that the scripted model knows how to carry out.")


class ServiceStatus(BaseModel):
    """The queue at a glance."""

    worker: Worker = Field(description="The worker of this server.")
    queue: dict[Status, int] = Field(description="Number of work orders by state.")
    oldest_pending_at: datetime | None = Field(description="Since when the longest-waiting order waits; null for none.")
    leases: list[Lease] = Field(description="What runs now, on all servers.")
    disk: Disk | None = Field(description="The volume; null when it cannot be read.")
    rehearsal: Rehearsal | None = Field(description="What is pretended; null on a server that works in earnest.")


class WorkflowStep(BaseModel):
    """One step of a workflow."""

    name: str = Field(description="Its name, as in `selected_commands`.")
    agent_name: str = Field(description="Who does it: `claude`, or `archon` for the server itself.")
    explanation: str = Field(description="What happens in it, in one sentence.")
    needs: list[str] = Field(description="Steps that have to come before it.")


class WorkflowView(BaseModel):
    """A named, ordered list of steps."""

    name: str = Field(description="Its name, as in `workflow_type`.")
    explanation: str = Field(description="What it is good for, in one sentence.")
    is_default: bool = Field(description="Whether a request that names none gets this one.")
    steps: list[WorkflowStep] = Field(description="Its steps, in their order.")


class WorkflowList(BaseModel):
    """The workflows that a request can name."""

    workflows: list[WorkflowView] = Field(description="All of them.")


@both(
    router,
    "GET",
    "/health",
    route_class=PublicRoute,
    response_model=Health,
    summary="Ask whether Agent Work Orders can work",
    responses={
        **{status: answer for status, answer in error_responses().items() if status != 401},
        503: {"model": Health, "description": "Something required is missing: no work order can run."},
    },
)
async def read_health(request: Request, response: Response) -> Health:
    """Needs no token. Details are shown to those only who may see the rest."""
    context = context_or_none(request)
    if context is None:
        off = why_off(request)
        check = Check(name="switched_on", ok=False, required=True, detail=off.reason, next_action=off.next_action)
        return Health(status="disabled", checks=[check])
    checks = await context.health()
    if any(check.required and not check.ok for check in checks):
        response.status_code = 503
        response.headers.update(RETRY_AFTER)
    shown = checks if guard_of(request, context).admits(request.headers) else []
    return Health(
        status="healthy" if all(check.ok for check in checks) else "degraded",
        checks=[
            Check(name=c.name, ok=c.ok, required=c.required, detail=c.detail, next_action=c.next_action) for c in shown
        ],
    )


@both(
    router,
    "GET",
    "/status",
    response_model=ServiceStatus,
    summary="Read the queue, the worker and the disk",
    responses=error_responses(),
)
async def read_status(context: Context) -> ServiceStatus:
    """What waits, what runs and where, and how much room there is."""
    worker = context.workers()
    counts = await context.tools.store.counts()
    return ServiceStatus(
        worker=Worker(worker_id=worker.worker_id, slots=worker.slots, busy=worker.busy, confinement=worker.confinement),
        queue={status: counts.by_status.get(status, 0) for status in Status},
        oldest_pending_at=counts.oldest_pending_at,
        leases=[
            Lease(agent_work_order_id=order_id, worker_id=worker_id, expires_at=expires_at)
            for order_id, worker_id, expires_at in counts.leases
        ],
        disk=await to_thread.run_sync(_disk, context.tools.work_orders_dir),
        rehearsal=Rehearsal(**context.rehearsal) if context.rehearsal else None,
    )


@both(
    router,
    "GET",
    "/workflows",
    response_model=WorkflowList,
    summary="List the workflows",
    responses=error_responses(),
)
async def list_workflows(context: Context) -> WorkflowList:
    """The workflows and their steps."""
    return WorkflowList(
        workflows=[
            WorkflowView(
                name=workflow.name,
                explanation=workflow.explanation,
                is_default=workflow.name == DEFAULT_WORKFLOW,
                steps=[
                    WorkflowStep(
                        name=step.name,
                        agent_name=step.agent_name,
                        explanation=step.explanation,
                        needs=sorted(step.needs),
                    )
                    for step in workflow.steps
                ],
            )
            for workflow in BUILT_IN.values()
        ]
    )


def _disk(folder: Path) -> Disk | None:
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return None
    return Disk(total_bytes=usage.total, free_bytes=usage.free)
