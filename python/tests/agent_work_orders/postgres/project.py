"""A Supabase project on this machine: real Postgres behind real PostgREST, with Supabase's roles and default grants.

It needs no Docker and no network, works as root and as anybody else, and starts in seconds.
"""

import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

import jwt
import psycopg

from .binaries import postgres_programs, postgrest_program
from .proxy import Gateway

Child: TypeAlias = "subprocess.Popen[bytes]"  # noqa: TID251 - the type of what `stop` ends
MIGRATION = Path(__file__).resolve().parents[4] / "migration"
JWT_SECRET = "a secret that every copy of this file knows, 32 characters and more"
SECRET_KEY = "sb_secret_" + "0123456789abcdefghijkl_01234567"
STARTS_WITHIN = 60.0

ROLES = """
create role anon nologin noinherit;
create role authenticated nologin noinherit;
create role service_role nologin noinherit bypassrls;
create role authenticator login noinherit;
grant anon, authenticated, service_role to authenticator;
alter role anon set statement_timeout = '3s';
alter role authenticated set statement_timeout = '8s';
alter role authenticator set statement_timeout = '8s';
"""

# What a hosted project's database begins with. Without the default grants, tests of who may do what prove nothing.
BEGINNING = """
grant usage on schema public to anon, authenticated, service_role;
alter default privileges in schema public grant all on tables to anon, authenticated, service_role;
alter default privileges in schema public grant all on functions to anon, authenticated, service_role;
alter default privileges in schema public grant all on sequences to anon, authenticated, service_role;
create table archon_migrations (
  id uuid primary key default gen_random_uuid(), version varchar(20) not null, migration_name varchar(255) not null,
  applied_at timestamptz default now(), checksum varchar(32), unique (version, migration_name)
);
create table archon_settings (
  id uuid primary key default gen_random_uuid(), key varchar(255) unique not null, value text, encrypted_value text,
  is_encrypted boolean default false, category varchar(100), description text,
  created_at timestamptz default now(), updated_at timestamptz default now()
);
"""


def key_for(role: str) -> str:
    """A key of the old kind: a token that says which role it is for."""
    return jwt.encode({"iss": "supabase", "role": role, "iat": 1_700_000_000, "exp": 4_102_444_800}, JWT_SECRET)


class Project:
    """One that runs. `url` and `service_key` are what goes into SUPABASE_URL and SUPABASE_SERVICE_KEY."""

    def __init__(self, folder: Path, programs: Path, postgrest: Path, options: Mapping[str, str]) -> None:
        self._folder, self._programs, self._postgrest, self._options = folder, programs, postgrest, dict(options)
        self._postgres_process: Child | None = None
        self._postgrest_process: Child | None = None
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:  # Postgres refuses to be root
            nobody = pwd.getpwnam("nobody")
            self._as = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        self.service_key, self.secret_key = key_for("service_role"), SECRET_KEY
        self.port, self._admin_port = _free_port(), _free_port()
        self.gateway = Gateway(self.port, self.service_key, SECRET_KEY)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.gateway.port}"

    def dsn(self, database: str = "postgres") -> str:
        return f"host={self._folder} user=postgres dbname={database}"

    def connect(self, database: str = "postgres") -> "psycopg.Connection[Any]":
        deadline = time.monotonic() + 60
        while True:
            try:
                return psycopg.connect(self.dsn(database), autocommit=True)
            except psycopg.OperationalError as error:  # it recovers from a crash of a test's
                if "not yet accepting" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)  # fact: Postgres accepts connections

    def run(self, sql: str, database: str = "postgres") -> None:
        """A text of any number of statements, as somebody pastes them into the SQL editor."""
        with self.connect(database) as db:
            db.execute(sql.encode())

    @contextmanager
    def database(self, name: str) -> Iterator[str]:
        """Another database of the same Postgres, as a project begins; PostgREST does not serve it."""
        self.run(f"create database {name}")
        try:
            self.run(BEGINNING, name)
            yield name
        finally:
            self.run(f"drop database {name} with (force)")

    def migrate(self) -> None:
        """The schema of Agent Work Orders; PostgREST knows it when this returns."""
        whole = (MIGRATION / "awo_setup.sql").read_text(encoding="utf-8")
        self.run(whole)
        # Every part has it read the schema anew: it knows all of it when it knows the last function.
        function, parameters = re.findall(r"create or replace function public\.(\w+)\(([^)]*)\)", whole)[-1]
        self.know(function, dict.fromkeys(re.findall(r"\bp_\w+", parameters)))

    def know(self, function: str, arguments: Mapping[str, None] | None = None) -> None:
        """Returns when PostgREST knows a function: it reads the schema again some time after it was told to."""
        _until(lambda: self._status_of(function, arguments) != 404, "PostgREST does not see the new schema")

    def forget(self, function: str) -> None:
        """Returns when PostgREST has seen that a function is gone."""
        _until(lambda: self._status_of(function) == 404, "PostgREST still sees the old schema")

    def _status_of(self, function: str, arguments: Mapping[str, None] | None = None) -> int:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/rpc/{function}",
            json.dumps(arguments or {}).encode(),
            {"Authorization": f"Bearer {self.service_key}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - our own server
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    # --- the processes ---

    def start(self) -> None:
        data = self._folder / "data"
        initdb: list[str | Path] = [self._programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust"]
        made = subprocess.run(
            [*initdb, "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"],
            cwd=self._folder,
            capture_output=True,
            text=True,
            **self._as,
        )
        if made.returncode:
            raise RuntimeError(f"initdb failed:\n{made.stdout[-500:]}\n{made.stderr[-1500:]}")
        self.start_postgres()
        self.run(ROLES + BEGINNING)
        self.start_postgrest()
        self.gateway.start()

    def start_postgres(self) -> None:
        # Commits stay durable against a crash of Postgres; only a crash of the machine could lose them.
        options = {
            "listen_addresses": "",
            "unix_socket_directories": str(self._folder),
            "max_connections": "60",
            "shared_buffers": "128MB",
            "fsync": "off",
            "full_page_writes": "off",
            "max_wal_size": "2GB",
            "log_min_messages": "warning",
            **self._options,
        }
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with (self._folder / "postgres.log").open("ab") as log:
            self._postgres_process = subprocess.Popen(  # noqa: TID251 - ended by `stop`, which the fixture calls
                [self._programs / "postgres", "-D", self._folder / "data", *arguments],
                cwd=self._folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, **self._as,
            )  # fmt: skip
        _until(self._postgres_answers, "Postgres does not answer")

    def _postgres_answers(self) -> bool:
        process = self._postgres_process
        assert process is not None
        if process.poll() is not None:
            raise RuntimeError(f"Postgres ended:\n{self.log('postgres')}")
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def start_postgrest(self) -> None:
        environment = {
            "PGRST_DB_URI": f"postgresql://authenticator@/postgres?host={self._folder}",
            "PGRST_DB_SCHEMAS": "public",
            "PGRST_DB_ANON_ROLE": "anon",
            "PGRST_DB_POOL": "10",
            "PGRST_JWT_SECRET": JWT_SECRET,
            "PGRST_SERVER_HOST": "127.0.0.1",
            "PGRST_SERVER_PORT": str(self.port),
            "PGRST_ADMIN_SERVER_PORT": str(self._admin_port),
            "PGRST_LOG_LEVEL": "error",
            "LC_ALL": "C.UTF-8",
        }
        with (self._folder / "postgrest.log").open("ab") as log:
            self._postgrest_process = subprocess.Popen(  # noqa: TID251 - ended by `stop`, which the fixture calls
                [self._postgrest], env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        _until(self._postgrest_is_ready, "PostgREST does not get ready")

    def _postgrest_is_ready(self) -> bool:
        process = self._postgrest_process
        assert process is not None
        if process.poll() is not None:
            raise RuntimeError(f"PostgREST ended:\n{self.log('postgrest')}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._admin_port}/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def kill_postgrest(self) -> None:
        """Without a last word; `start_postgrest` brings it back."""
        if self._postgrest_process is not None:
            self._postgrest_process.kill()
            self._postgrest_process.wait()

    def kill_a_backend(self) -> None:
        """SIGKILL for one process that works for PostgREST: Postgres ends all of them and recovers."""
        with self.connect() as db:
            found = db.execute("select pid from pg_stat_activity where usename = 'authenticator' limit 1").fetchone()
        if found is not None:
            with suppress(ProcessLookupError):
                os.kill(found[0], signal.SIGKILL)
        _until(self._postgres_answers, "Postgres does not recover")

    def log(self, name: str) -> str:
        """The end of what `postgres` or `postgrest` wrote."""
        with suppress(FileNotFoundError):
            return (self._folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")[-3000:]
        return ""

    def stop(self) -> None:
        self.gateway.stop()
        for process in (self._postgrest_process, self._postgres_process):
            if process is None or process.poll() is not None:
                continue
            process.send_signal(signal.SIGQUIT if process is self._postgres_process else signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def running_project(version: int = 18, **options: str) -> Iterator[Project]:
    """An empty project; BinariesMissing when it cannot be had. `options` are Postgres' own."""
    programs, postgrest = postgres_programs(version), postgrest_program()
    folder = Path(tempfile.mkdtemp(prefix="awo-pg-"))  # a socket's path has to be short
    try:
        project = Project(folder, programs, postgrest, options)
        try:
            project.start()
            yield project
        finally:
            project.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _until(fact: Any, otherwise: str) -> None:
    deadline = time.monotonic() + STARTS_WITHIN
    while not fact():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{otherwise} within {STARTS_WITHIN:g} s.")
        time.sleep(0.01)  # fact: the caller's


def _free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        return int(probe.getsockname()[1])
