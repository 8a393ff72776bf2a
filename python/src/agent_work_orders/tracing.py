"""Spans, for whoever listens: a trace for each order, in it its steps and every call to the world outside.

Knows OpenTelemetry's interface alone; which exporter there is, or none, is the host's affair. An attribute never holds
what people or agents wrote, and an error is named by its class only.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

_SCOPE = "archon.agent_work_orders"


@contextmanager
def span(
    name: str, *, outside: bool = False, root: bool = False, inner: bool = False, **attributes: str | int | float | bool
) -> Iterator[Span]:
    """A span while the block runs, below the one that is current.

    `outside` marks a call to another system; `root` begins a trace of its own; `inner` is no span where there is
    no trace to belong to, for what also happens by itself all day. A block that is left by an exception is an error.
    """
    if inner and not trace.get_current_span().get_span_context().is_valid:
        yield trace.INVALID_SPAN
        return
    tracer = trace.get_tracer(_SCOPE)
    context = trace.set_span_in_context(trace.INVALID_SPAN) if root else None
    with tracer.start_as_current_span(
        name,
        context=context,
        kind=SpanKind.CLIENT if outside else SpanKind.INTERNAL,
        attributes={f"awo.{key}": value for key, value in attributes.items()},
        record_exception=False,  # its text may hold anything
        set_status_on_exception=False,
    ) as current:
        try:
            yield current
        except BaseException as error:
            current.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise
