"""`python -m src.agent_work_orders.rehearsal`: the stage on its own, for a server or a program in another process."""

import argparse
import signal
import sys
import tempfile
from pathlib import Path

import anyio

from .scenario import Scenario
from .stage import open_stage

LONGEST_LATENCY = 60_000  # ms


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory(prefix="awo-rehearsal-") as temporary:
        directory = options.directory or Path(temporary)
        try:
            anyio.run(_serve, directory, options.port, options.scenario, options.latency / 1000)
        except KeyboardInterrupt:
            return
        except (OSError, ValueError) as problem:
            sys.exit(f"The stage cannot open: {problem}")


async def _serve(directory: Path, port: int, scenario: Path | None, latency: float) -> None:
    """Prints what a server needs to be pointed here, then serves until SIGINT or SIGTERM."""
    async with open_stage(directory, port=port) as stage:
        stage.repositories.latency = latency
        if scenario is not None:
            stage.model.play(Scenario.read(scenario))
        lines = [f"# The sample repository: {stage.repository_url}"]
        lines += [f"export {name}={value}" for name, value in stage.environment().items()]
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for _ in signals:
                return


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="rehearsal", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes the port of last time, or a free one")
    parser.add_argument(
        "--directory", type=Path, help="keeps repositories and pull requests (default: a temporary one)"
    )
    parser.add_argument("--scenario", type=Path, help="JSON file that says what the model answers")
    parser.add_argument(
        "--latency",
        type=_milliseconds,
        default=0,
        metavar="MS",
        help="how long each answer to git is on its way, in milliseconds (default: 0)",
    )
    return parser.parse_args()


def _milliseconds(text: str) -> int:
    if not (text.isdecimal() and int(text) <= LONGEST_LATENCY):
        raise argparse.ArgumentTypeError(f"a whole number from 0 to {LONGEST_LATENCY}, not {text!r}")
    return int(text)


if __name__ == "__main__":
    main()
