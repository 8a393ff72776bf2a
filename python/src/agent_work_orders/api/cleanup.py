"""Clean-up on request: what retention would remove, or removes now. Knows no rule."""

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Query, Response

from ..domain.retention import CleanupReport
from .deps import Context
from .errors import Refused, error_responses
from .route import both

router = APIRouter()


@both(
    router,
    "POST",
    "/cleanup",
    response_model=CleanupReport,
    summary="Clean up, or see what clean-up would do",
    responses=error_responses(409, 415, 422),
)
async def clean_up(
    context: Context,
    dry_run: Annotated[bool, Query(description="Whether only to say what would go, why, and how large it is.")] = False,
) -> Response:
    """Removes what the retention settings say, as the server does by itself now and then.

    What a rule would remove and stays is listed with the reason: active and waiting orders, failures of the last day,
    and work that no remote has. 409 while another clean-up of the same disk is under way.
    """
    if context.cleaner is None:
        raise Refused(503, "disabled", "This server cleans nothing.", "Ask the server that runs the work orders.")
    report = await context.cleaner.clean(dry_run=dry_run)
    # In a thread: it may name a thousand things, and others wait for the loop.
    return Response(await to_thread.run_sync(report.model_dump_json), media_type="application/json")
