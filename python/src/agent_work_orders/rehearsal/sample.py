"""The sample repository and the request that the demo files for it. `scenario.json` answers exactly this request."""

OWNER = "rehearsal"
NAME = "greeter"

REQUEST = (
    "Add a --language option to greeter: English stays the default; add German, French and Spanish; "
    "an unknown language is refused with a message that lists the known ones."
)

FILES: dict[str, str] = {
    ".gitignore": "__pycache__/\n*.pyc\n",
    "Makefile": """\
.PHONY: test
test:
\tpython3 -m unittest discover --start-directory tests --top-level-directory .
""",
    "README.md": """\
# greeter

Greets people by name. Python 3.9 or later, nothing to install.

    $ python3 -m greeter Ada
    Hello, Ada!

`make test` runs the tests.
""",
    "greeter/__init__.py": '''\
"""Greets people by name."""


def greet(name: str) -> str:
    """A friendly line for one person."""
    return f"Hello, {name}!"
''',
    "greeter/__main__.py": '''\
"""The command line: python3 -m greeter NAME."""

import argparse

from greeter import greet


def main() -> None:
    parser = argparse.ArgumentParser(prog="greeter", description="Greet somebody by name.")
    parser.add_argument("name")
    options = parser.parse_args()
    print(greet(options.name))


if __name__ == "__main__":
    main()
''',
    "tests/__init__.py": "",
    "tests/test_greet.py": """\
import unittest

from greeter import greet


class Greet(unittest.TestCase):
    def test_greets_by_name(self):
        self.assertEqual(greet("Ada"), "Hello, Ada!")


if __name__ == "__main__":
    unittest.main()
""",
}
