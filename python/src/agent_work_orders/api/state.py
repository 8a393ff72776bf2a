"""How AWO itself is: health, the queue, the disk, and the workflows it knows. Shows no secret and changes nothing."""

import shutil
from datetime import datetime
from typing import Literal

from anyio import to_thread
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from ..domain.gates import gate_places
from ..domain.retention import Kind, Pressure
from ..domain.status import Status
from ..domain.workflow import DEFAULT_WORKFLOW, Gate, StepKind
from .deps import ApiContext, Context, context_or_none, why_off
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
    """The volume that holds repositories and work orders."""

    total_bytes: int = Field(description="Its size, in bytes.")
    free_bytes: int = Field(description="What is free for us, in bytes.")
    free_files: int | None = Field(default=None, description="How many more files fit; null where nobody counts them.")
    pressure: Pressure = Field(
        default=Pressure.OK, description="At `low` clean-up removes early what nobody needs; at `full` orders wait."
    )
    low_bytes: int = Field(default=0, description="With less than this free it is `low`.")
    min_free_bytes: int = Field(default=0, description="With less than this free it is `full`.")
    used_bytes: dict[Kind, int] | None = Field(
        default=None, description="What we keep, by kind, in bytes, as the last clean-up left it; null before one."
    )


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
    kind: StepKind = Field(description="Who does it: the `server` itself, or the `agent`.")
    agent_name: str = Field(description="Who does it: `claude`, or `archon` for the server itself.")
    explanation: str = Field(description="What happens in it, in one sentence.")
    needs: list[str] = Field(description="Steps that have to come before it.")
    command: str | None = Field(description="Name of the command file that the agent follows; null for the server's.")
    read_only: bool = Field(description="Whether the agent may only read in it.")


class WorkflowView(BaseModel):
    """A named, ordered list of steps."""

    name: str = Field(description="Its name, as in `workflow_type`.")
    explanation: str = Field(description="What it is good for, in one sentence.")
    is_default: bool = Field(description="Whether a request that names none gets this one.")
    source: str | None = Field(description="The operator's file; null for a built-in workflow.")
    branch_prefix: str = Field(description="How the names of its branches begin.")
    approval_gates: list[Gate] = Field(description="Where it asks a person in any case.")
    possible_gates: list[Gate] = Field(description="Where a request can have it ask a person.")
    steps: list[WorkflowStep] = Field(description="Its steps, in their order.")


class WorkflowList(BaseModel):
    """The workflows that a request can name."""

    workflows: list[WorkflowView] = Field(description="All of them.")
    problems: list[str] = Field(description="Files of the operator's that cannot be used as they are, and why.")


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
        disk=await to_thread.run_sync(_disk, context),
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
    """The workflows and their steps: built-in ones and the operator's, as they are now."""
    known = context.tools.workflows()
    return WorkflowList(
        problems=list(known.problems),
        workflows=[
            WorkflowView(
                name=workflow.name,
                explanation=workflow.explanation,
                is_default=workflow.name == DEFAULT_WORKFLOW,
                source=workflow.source,
                branch_prefix=workflow.branch_prefix,
                approval_gates=sorted(workflow.approval_gates),
                possible_gates=list(gate_places(workflow.steps)),
                steps=[
                    WorkflowStep(
                        name=step.name,
                        kind=step.kind,
                        command=step.command_name,
                        read_only=step.read_only,
                        agent_name=step.agent_name,
                        explanation=step.explanation,
                        needs=sorted(step.needs),
                    )
                    for step in workflow.steps
                ],
            )
            for workflow in known
        ],
    )


def _disk(context: ApiContext) -> Disk | None:
    volume, last = context.tools.volume, context.cleaner.last if context.cleaner else None
    try:
        if volume is None:
            usage = shutil.disk_usage(context.tools.work_orders_dir)
            return Disk(total_bytes=usage.total, free_bytes=usage.free)
        space, marks = volume.space()
    except OSError:
        return None
    return Disk(
        total_bytes=space.total_bytes,
        free_bytes=space.free_bytes,
        free_files=space.free_files if space.total_files else None,
        pressure=space.pressure(marks),
        low_bytes=marks.low_bytes,
        min_free_bytes=marks.min_free_bytes,
        used_bytes=last.used_bytes if last else None,
    )
