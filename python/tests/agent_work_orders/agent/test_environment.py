from pathlib import Path

from src.agent_work_orders.agent.environment import environment

HOME = Path("/orders/wo-1/home")


def test_what_is_not_on_the_list_is_not_inherited() -> None:
    server = {"PATH": "/bin", "LC_ALL": "C", "GITHUB_TOKEN": "x", "AWS_SECRET_ACCESS_KEY": "y", "LD_PRELOAD": "z"}
    inherited = environment(HOME, server)
    assert {"PATH", "LC_ALL"} <= inherited.keys()
    assert not {"GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "LD_PRELOAD"} & inherited.keys()
    assert inherited["HOME"] == str(HOME)
    assert "NO_PROXY" not in inherited


def test_a_gateway_on_this_machine_is_never_asked_through_a_proxy() -> None:
    server = {"https_proxy": "http://proxy:3128", "no_proxy": "example.com"}
    inherited = environment(HOME, server)
    assert inherited["NO_PROXY"] == inherited["no_proxy"] == "example.com,127.0.0.1,localhost,::1"
    assert inherited["https_proxy"] == "http://proxy:3128"
