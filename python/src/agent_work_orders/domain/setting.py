"""What a person sees of the settings: values and their sources, secrets without values, changes, tests."""

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Source(StrEnum):
    """Where a setting's value comes from; the first that has one wins."""

    ENVIRONMENT = "environment"
    DATABASE = "database"
    FILE = "file"
    DEFAULT = "default"


class _Shown(BaseModel):
    model_config = ConfigDict(frozen=True)


class Conflict(_Shown):
    """A setting that two sources give different values."""

    setting: str = Field(description="Its name.")
    winner: Source = Field(description="The source whose value holds.")
    origin: str = Field(description="The variable, the database's key, or the file and line of the winner.")
    loser: Source = Field(description="The source whose value is passed over.")
    loser_origin: str = Field(description="The variable, the database's key, or the file and line of the other.")

    def sentence(self) -> str:
        return (
            f"{self.setting} is given twice: by the {self.winner} ({self.origin}), which wins, "
            f"and by the {self.loser} ({self.loser_origin})."
        )


class SettingView(_Shown):
    """One setting: its value, where that comes from, and what may be done about it."""

    name: str = Field(description="Its name, as in PATCH and in the files.")
    env: str = Field(description="The environment variable that sets it.")
    kind: Literal["boolean", "integer", "number", "text", "list"] = Field(description="What its value is in JSON.")
    value: Any = Field(description="The configured value; null when unset, and always for a secret.")
    default: Any = Field(description="The value where nothing sets it; null for none.")
    is_set: bool = Field(description="Whether any source gives a value.")
    source: Source = Field(description="Where the value comes from.")
    origin: str = Field(description="The variable, the database's key, or the file and line; empty for a default.")
    locked: bool = Field(description="Whether the environment sets it, so that it can be changed there only.")
    over_http: bool = Field(description="Whether PATCH may change it when it is not locked.")
    live: bool = Field(description="Whether a change takes effect without a restart.")
    waits_for_restart: bool = Field(description="Whether it was changed and the server still works with the old value.")
    secret: bool = Field(description="Whether its value is never shown.")
    unit: str = Field(description="Unit of the value; empty for none.")
    description: str = Field(description="What it is for, in one sentence.")
    minimum: float | None = Field(default=None, description="Least value, or null.")
    above: float | None = Field(default=None, description="What it has to be more than, or null.")
    maximum: float | None = Field(default=None, description="Greatest value, or null.")
    max_length: int | None = Field(default=None, description="Most characters, or null.")
    choices: list[str] | None = Field(default=None, description="The values it may have, or null for any.")
    problem: str | None = Field(default=None, description="What is wrong with a value that is passed over, or null.")


class SecretView(_Shown):
    """One secret, without its value."""

    name: str = Field(description="Its name, as in the path of PUT.")
    env: str = Field(description="The environment variable that can set it.")
    repository: str | None = Field(description="The repository it is for, or null for all.")
    is_set: bool = Field(description="Whether there is one.")
    last_four: str | None = Field(description="Its last four characters; null when unset or too short to show any.")
    source: Source | None = Field(description="`environment` or `database`; null when unset.")
    locked: bool = Field(description="Whether the environment sets it, so that it can be replaced there only.")
    set_by: str | None = Field(description="Who saved it last; null when that is not known.")
    set_at: datetime | None = Field(description="When it was saved last; null when that is not known.")
    problem: str | None = Field(default=None, description="Why it cannot be used, or null.")


class Finding(_Shown):
    """One thing that a test looked at."""

    name: str = Field(description="What was looked at.")
    ok: bool = Field(description="Whether it is as it should be.")
    required: bool = Field(default=True, description="Whether work orders fail without it; else it is a warning.")
    detail: str = Field(description="What was found, in one sentence.")
    next_action: str | None = Field(default=None, description="What a person can do about it; null when all is well.")


Subject = Literal["github", "claude", "database", "storage"]


class TestResult(_Shown):
    """What a test found, and when."""

    __test__ = False  # pytest would take it for a test of its own

    subject: Subject = Field(description="What was tested.")
    ok: bool = Field(description="Whether everything required is as it should be.")
    checks: list[Finding] = Field(description="One by one.")
    took_ms: int = Field(description="How long it took, in milliseconds.")
    at: datetime = Field(description="When it was made.")
    offered: bool = Field(description="Whether a value was tested that is not saved.")


class AuditEntry(_Shown):
    """One change of a setting or secret."""

    entry_id: int = Field(description="Grows with every change.")
    at: datetime = Field(description="When.")
    by: str = Field(description="Who, as far as that can be known.")
    setting: str = Field(description="Name of the setting or secret.")
    action: Literal["changed", "reset", "secret_saved", "secret_removed"] = Field(description="What was done.")
    old: str | None = Field(description="The stored value before; null for none and for secrets.")
    new: str | None = Field(description="The stored value since; null for none and for secrets.")


class SettingsPage(_Shown):
    """All settings and secrets."""

    version: str = Field(description="What was read; PATCH wants it back in If-Match.")
    settings: list[SettingView] = Field(description="Every setting.")
    secrets: list[SecretView] = Field(description="Every secret, and those of single repositories that are set.")
    conflicts: list[Conflict] = Field(description="Settings that two sources give different values.")
    problems: list[str] = Field(description="What is wrong with the sources, with file and line where there is one.")
    tests: dict[Subject, TestResult] = Field(description="The last result of each test that was made on this server.")


class Offer(BaseModel):
    """What a test is made with instead of what is saved. Nothing of it is kept."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"repository_url": "https://github.com/octo/tools"}]}
    )

    github_token: str | None = Field(default=None, max_length=4096, repr=False, description="A token to try.")
    anthropic_api_key: str | None = Field(default=None, max_length=4096, repr=False, description="A key to try.")
    claude_code_oauth_token: str | None = Field(
        default=None, max_length=4096, repr=False, description="A subscription's token to try."
    )
    repository_url: str | None = Field(
        default=None, max_length=500, description="A repository whose rights are to be tested (`github`)."
    )
    ask_model: bool = Field(
        default=False,
        strict=True,
        description="Whether to have the model say one word, which costs a little (`claude`).",
    )
