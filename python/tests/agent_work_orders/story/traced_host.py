"""`python -m tests.agent_work_orders.story.traced_host`: the host, its spans written into SPANS_FILE."""

import os
import sys
from pathlib import Path

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

from src.server.main import main

if __name__ == "__main__":
    with Path(os.environ["SPANS_FILE"]).open("a", encoding="utf-8", buffering=1) as file:
        provider = TracerProvider()
        exporter = ConsoleSpanExporter(out=file, formatter=lambda span: f"{span.to_json(indent=None)}\n")
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        trace.set_tracer_provider(provider)
        sys.exit(main())
