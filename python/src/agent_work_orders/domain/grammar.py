"""Small grammars for what people write into settings of repositories and workflows: what is wrong, or None."""

import re

_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@\[\]-]{0,99}")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")


def text_problem(text: str, at_most: int) -> str | None:
    """Of a text that a file or a program's argument shall carry; `at_most` bytes."""
    if "\x00" in text:
        return "must not contain NUL characters"
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return "must not contain lone surrogates"
    return f"must be at most {at_most} bytes in UTF-8" if size > at_most else None


def model_problem(name: str) -> str | None:
    if _MODEL.fullmatch(name):
        return None
    return "must be a model's name: 1 to 100 letters, digits, '.', '_', ':', '/', '@', '[', ']' or '-'"


def name_problem(name: str) -> str | None:
    """Of a workflow, a step or a command file: also a safe name of a file."""
    if _NAME.fullmatch(name):
        return None
    return "must be 1 to 60 lower-case letters, digits, '_' or '-', starting with a letter or a digit"
