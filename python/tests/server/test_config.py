"""The environment: what is accepted, and what is refused with one sentence."""

import base64
import json
from pathlib import Path

import pytest

from src.server.config.config import ConfigurationError, archon_home, get_config, is_embedded, is_loopback
from src.server.config.service_discovery import ServiceDiscovery
from src.server.services.client_manager import get_supabase_client

from .conftest import service_key


def test_an_empty_environment_is_embedded_mode_on_loopback(home: Path) -> None:
    config = get_config()
    assert is_embedded()
    assert (config.host, config.port, config.ui_port, config.reload) == ("127.0.0.1", 8181, 3737, False)
    assert config.supabase_url is None
    assert archon_home() == home


def test_the_home_is_dot_archon_unless_said_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ARCHON_HOME")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert archon_home() == Path("/home/somebody/.archon")


def test_localhost_is_one_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOST", "localhost")
    assert get_config().host == "127.0.0.1"


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("[::1]", True), ("10.0.0.1", False)],
)
def test_loopback_is_known_by_its_address(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1", "8181x"])
def test_a_port_that_is_none_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, port: str) -> None:
    monkeypatch.setenv("ARCHON_SERVER_PORT", port)
    with pytest.raises(ConfigurationError, match="ARCHON_SERVER_PORT"):
        get_config()


@pytest.mark.parametrize(
    "url",
    [
        "https://abc.supabase.co",
        "http://localhost:54321",
        "http://host.docker.internal:8000",
        "http://10.0.0.5:8000",
        "http://kong:8000",
    ],
)
def test_urls_of_supabase_and_of_private_networks_are_accepted(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("SUPABASE_URL", url)
    monkeypatch.setenv("SUPABASE_SERVICE_KEY", service_key())
    assert get_config().supabase_url == url
    assert service_key() not in repr(get_config())


@pytest.mark.parametrize("url", ["http://abc.supabase.co", "ftp://abc", "abc.supabase.co", "http://8.8.8.8"])
def test_other_urls_are_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("SUPABASE_URL", url)
    monkeypatch.setenv("SUPABASE_SERVICE_KEY", service_key())
    with pytest.raises(ConfigurationError, match="SUPABASE_URL"):
        get_config()


@pytest.mark.parametrize("key", ["", service_key("anon")])
def test_a_missing_key_and_the_anon_key_are_refused(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("SUPABASE_URL", "https://abc.supabase.co")
    monkeypatch.setenv("SUPABASE_SERVICE_KEY", key)
    with pytest.raises(ConfigurationError, match="service_role") as caught:
        get_config()
    assert not key or key not in str(caught.value)


def test_odd_keys_are_left_to_supabase(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = base64.urlsafe_b64encode(b"\xff").decode()
    listed = base64.urlsafe_b64encode(json.dumps([]).encode()).decode()
    monkeypatch.setenv("SUPABASE_URL", "https://abc.supabase.co")
    for key in ("one-word", f"a.{broken}.c", f"a.{listed}.c"):
        monkeypatch.setenv("SUPABASE_SERVICE_KEY", key)
        assert get_config().supabase_service_key == key


def test_a_short_encryption_key_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCHON_ENCRYPTION_KEY", "hunter2")
    with pytest.raises(ConfigurationError, match="ARCHON_ENCRYPTION_KEY") as caught:
        get_config()
    assert "hunter2" not in str(caught.value)


def test_there_is_no_supabase_client_in_embedded_mode() -> None:
    with pytest.raises(ValueError, match="SUPABASE_URL"):
        get_supabase_client()


def test_services_are_found_by_name_in_docker_and_on_localhost_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONTAINER", "1")
    assert ServiceDiscovery().get_service_url("api") == "http://archon-server:8181"
    monkeypatch.setenv("ARCHON_MCP_HOST", "elsewhere")
    monkeypatch.setenv("ARCHON_MCP_PORT", "9051")
    assert ServiceDiscovery().get_service_url("archon-mcp") == "http://elsewhere:9051"
    with pytest.raises(ValueError, match="Unknown service"):
        ServiceDiscovery().get_service_url("nobody")


def test_a_port_of_a_service_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCHON_AGENTS_PORT", "many")
    with pytest.raises(ValueError, match="ARCHON_AGENTS_PORT"):
        ServiceDiscovery()


@pytest.mark.anyio
async def test_a_service_that_is_not_there_is_not_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_CONTAINER", raising=False)
    monkeypatch.setenv("ARCHON_AGENTS_HOST", "127.0.0.1")
    monkeypatch.setenv("ARCHON_AGENTS_PORT", "1")
    assert await ServiceDiscovery().health_check("agents") is False
