"""What Prometheus fetches. The text comes from elsewhere; here is only who may read it."""

from fastapi import APIRouter, Response

from .deps import Context
from .errors import error_responses
from .route import both

router = APIRouter()


@both(
    router,
    "GET",
    "/metrics",
    response_class=Response,
    summary="Read the metrics",
    responses={200: {"description": "Prometheus' text format.", "content": {"text/plain": {}}}, **error_responses(404)},
)
async def read_metrics(context: Context) -> Response:
    """Counters, gauges and histograms of this server; the queue is that of all servers."""
    exposition = context.metrics
    return Response(await exposition.text(), media_type=exposition.content_type)
