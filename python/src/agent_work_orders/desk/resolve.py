"""Environment over database over files over default, setting by setting, with the source of each. Reads nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..domain.setting import Conflict, Source
from ..settings import Settings, catalogue, from_environment, from_text, settings_of, variable_of


@dataclass(frozen=True)
class Filed:
    """A checked value from a file, and where it stands there: `agent-settings.yaml:3`."""

    value: Any
    origin: str


@dataclass(frozen=True)
class Given:
    """One setting as it is resolved. `origin` is the variable, the database's key or the file's line."""

    value: Any
    source: Source
    origin: str
    problem: str | None = None
    overridden: tuple[tuple[Source, str], ...] = ()

    @property
    def locked(self) -> bool:
        return self.source is Source.ENVIRONMENT


@dataclass(frozen=True)
class Resolution:
    """All settings, and what a person should know about how they came to be."""

    settings: Settings
    given: dict[str, Given]
    conflicts: tuple[Conflict, ...] = ()
    problems: tuple[str, ...] = field(default=())


def resolve(
    environ: Mapping[str, str], stored: Mapping[str, str] | None = None, filed: Mapping[str, Filed] | None = None
) -> Resolution:
    """The settings in force. InvalidSettings for a wrong variable; what is wrong in the database is passed over and
    named, since its next source still gives a value that somebody meant.

    `stored` maps the database's keys, which are the variables' names, to texts.
    """
    stored, filed = stored or {}, filed or {}
    from_env = from_environment(environ)
    programs = from_env.get("allowed_programs") or (
        filed["allowed_programs"].value if "allowed_programs" in filed else frozenset()
    )
    given: dict[str, Given] = {}
    conflicts: list[Conflict] = []
    problems: list[str] = []
    for name, knob in catalogue().items():
        found: list[tuple[Source, str, Any]] = []
        problem: str | None = None
        if name in from_env:
            found.append((Source.ENVIRONMENT, variable_of(knob, environ)[0], from_env[name]))
        if (text := stored.get(knob.env, "").strip()) and not _is_the_hosts_own(name):
            try:
                found.append((Source.DATABASE, knob.env, from_database(name, text, programs)))
            except ValueError as error:
                problem = f"{knob.env} in the database is not used: it {error}."
                problems.append(problem)
        if name in filed:
            found.append((Source.FILE, filed[name].origin, filed[name].value))
        if not found:
            found.append((Source.DEFAULT, "", Settings.model_fields[name].get_default(call_default_factory=True)))
        (source, origin, value), *others = found
        differing = tuple((other, where) for other, where, meant in others if meant != value)
        given[name] = Given(value, source, origin, problem, differing)
        conflicts += [_conflict(name, (source, origin), (other, where)) for other, where in differing]
    conflicts += _renamed(environ)
    settings = settings_of({name: one.value for name, one in given.items() if one.source is not Source.DEFAULT})
    given["home"] = replace(given["home"], value=settings.home)
    return Resolution(settings, given, tuple(conflicts), tuple(problems))


def from_database(name: str, text: str, programs: frozenset[str]) -> Any:
    """The value that the database's text gives; ValueError if it gives none, or may not be given there."""
    knob = catalogue()[name]
    if "database" not in knob.places:
        raise ValueError(f"can only be set by {' or '.join(knob.places)}, so that the API alone cannot change it")
    value = from_text(name, text)
    if knob.program and value not in programs:
        raise ValueError("names a program that AWO_ALLOWED_PROGRAMS does not list")
    return value


def _is_the_hosts_own(name: str) -> bool:
    # Archon's own table has a row of this name, for a purpose of its own.
    return name == "host"


def _renamed(environ: Mapping[str, str]) -> list[Conflict]:
    """Variables that are set under two names, to different values."""
    found = []
    for name, knob in catalogue().items():
        if knob.alias:
            now, before = environ.get(knob.env, "").strip(), environ.get(knob.alias, "").strip()
            if now and before and now != before:
                found.append(_conflict(name, (Source.ENVIRONMENT, knob.env), (Source.ENVIRONMENT, knob.alias)))
    return found


def _conflict(name: str, winner: tuple[Source, str], loser: tuple[Source, str]) -> Conflict:
    return Conflict(setting=name, winner=winner[0], origin=winner[1], loser=loser[0], loser_origin=loser[1])
