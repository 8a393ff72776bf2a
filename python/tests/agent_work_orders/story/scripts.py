"""What the scripted model says in these stories: turns, and the scripts that say them in a step of a workflow."""

from typing import Any

Json = dict[str, Any]

# A repository whose check is red while a file named `broken` is in it.
FILES: dict[str, str | bytes] = {
    "README.md": "# Words\n",
    "Makefile": "test:\n\t@test ! -e broken && echo all is well\n",
}


def in_step(name: str, *turns: Json, request: str = "") -> Json:
    """The turns of a step, for orders whose request holds `request`; then it is done."""
    return {
        "name": name,
        "match": f'<awo-step name="{name}">',
        "conversation": request,
        "turns": list(turns),
        "after": "stop",
    }


def executing(*turns: Json, request: str = "") -> Json:
    return in_step("execute", *turns, request=request)


def bash(command: str, **more: Any) -> Json:
    """A turn that runs a command in the checkout."""
    return {"tool": "Bash", "input": {"command": command}, **more}


def says(text: str, **more: Any) -> Json:
    return {"text": text, **more}


WRITES_HELLO = executing(bash("echo hello > hello.txt"), says("I wrote hello.txt."))
