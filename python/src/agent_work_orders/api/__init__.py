"""HTTP under `/api/awo`: thin handlers that know the store's verbs and nothing of how a work order is carried out."""

from fastapi import APIRouter

from . import (
    archive,
    artifacts,
    cleanup,
    conversation,
    events,
    metrics,
    repositories,
    session,
    settings,
    state,
    work_orders,
)
from .deps import STATE_NAME, ApiContext, HealthCheck, WorkerStatus
from .guard import GuardPolicy

__all__ = ["STATE_NAME", "ApiContext", "GuardPolicy", "HealthCheck", "WorkerStatus", "router"]

router = APIRouter(prefix="/api/awo", tags=["agent-work-orders"])
for part in (
    work_orders,
    conversation,
    archive,
    events,
    artifacts,
    repositories,
    settings,
    state,
    metrics,
    cleanup,
    session,
):
    router.include_router(part.router)
