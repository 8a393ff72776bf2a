"""Which addresses and branch names are let in. The last word on branch names has git itself."""

import string
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.agent_work_orders.domain.errors import InvalidInput
from src.agent_work_orders.domain.repository import HostPolicy, branch_for, branch_problem, parse_repository_url
from src.agent_work_orders.domain.work_order import new_order_id

GITHUB = HostPolicy(frozenset({"github.com"}))
SEGMENT = st.text(string.ascii_letters + string.digits + "._-", min_size=1, max_size=30)


def problem_of(url: str, policy: HostPolicy = GITHUB) -> str:
    with pytest.raises(InvalidInput) as refused:
        parse_repository_url(url, policy)
    (problem,) = refused.value.fields
    assert problem.field == "repository_url"
    return problem.problem


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("", "must be an address"),
        ("https://github.com/" + "a" * 500 + "/b", "must be an address of 1 to 500"),
        ("http://github.com/owner/name", "must start with https"),
        ("ssh://git@github.com/owner/name", "must start with https"),
        ("git@github.com:owner/name.git", "must start with https"),
        ("git://github.com/owner/name", "must start with https"),
        ("file:///etc/passwd", "must start with https"),
        ("ext::sh -c id", "must not contain spaces"),
        ("/srv/git/owner/name", "must start with https"),
        ("../owner/name", "must start with https"),
        ("github.com/owner/name", "must start with https"),
        ("javascript:alert(1)", "must start with https"),
        ("https://user@github.com/owner/name", "user name or password"),
        ("https://user:secret@github.com/owner/name", "user name or password"),
        ("https://@github.com/owner/name", "user name or password"),
        ("https://github.com\\@evil.example/owner/name", "user name or password"),
        ("--upload-pack=touch /tmp/x", "must not contain spaces"),
        ("--upload-pack=/tmp/x", "must not start with a dash"),
        ("-oProxyCommand=x", "must not start with a dash"),
        ("https://github.com/--upload-pack=x/name", "characters that are not allowed"),
        ("https://github.com/owner/--upload-pack=x", "characters that are not allowed"),
        ("https://-oProxyCommand=x/owner/name", "must name a host"),
        ("https://github.com/owner/na me", "must not contain spaces"),
        (" https://github.com/owner/name", "must not contain spaces"),
        ("https://github.com/owner/name\n", "must not contain spaces, control"),
        ("https://github.com/owner\t/name", "must not contain spaces, control"),
        ("https://github.com/owner/na\x00me", "must not contain spaces, control"),
        ("https://github.com/owner/na\x7fme", "must not contain spaces, control"),
        ("https://github.com/owner/na\x85me", "beyond ASCII"),
        ("https://github.com/owner/na\u202eme", "beyond ASCII"),
        ("https://g\u0131thub.com/owner/name", "beyond ASCII"),
        ("https://github.com/owner/\ud800", "beyond ASCII"),
        ("https://github.com", "one owner and one repository"),
        ("https://github.com/", "one owner and one repository"),
        ("https://github.com/owner", "one owner and one repository"),
        ("https://github.com/owner/", "one owner and one repository"),
        ("https://github.com//name", "one owner and one repository"),
        ("https://github.com/owner/name/tree/main", "one owner and one repository"),
        ("https://github.com/owner/.git", "characters that are not allowed"),
        ("https://github.com/owner/.git.git", "characters that are not allowed"),
        ("https://github.com/owner/name.git.git", "characters that are not allowed"),
        ("https://github.com/./name", "characters that are not allowed"),
        ("https://github.com/owner/..", "characters that are not allowed"),
        ("https://github.com/owner/..git", "characters that are not allowed"),
        ("https://github.com/owner/a..b", "characters that are not allowed"),
        ("https://github.com/owner/%2e%2e", "characters that are not allowed"),
        ("https://github.com/owner/na;id", "characters that are not allowed"),
        ("https://github.com/owner/name$(id)", "characters that are not allowed"),
        ("https://github.com/owner/name?x=1", "a query or a fragment"),
        ("https://github.com/owner/name#readme", "a query or a fragment"),
        ("https:///owner/name", "must name a host"),
        ("https://github.com./owner/name", "must name a host"),
        ("https://exa%6dple.com/owner/name", "must name a host"),
        ("https://github.com:99999/owner/name", "is not an address"),
        ("https://[::1/owner/name", "is not an address"),
        ("https://evil.example/owner/name", "is on the host evil.example, which is not allowed"),
        ("https://github.com.evil.example/owner/name", "which is not allowed"),
        ("https://github.com:8443/owner/name", "is on the host github.com:8443, which is not allowed"),
    ],
)
def test_an_address_outside_the_grammar_is_refused_with_its_reason(url: str, problem: str) -> None:
    assert problem in problem_of(url)


PRIVATE = [
    "localhost", "sub.localhost", "printer.local", "metadata.google.internal", "intranet",
    "127.0.0.1", "127.1", "127.0x1", "0x7f.1", "0x7f000001", "0177.0.0.1", "017700000001", "2130706433", "0",
    "10.0.0.8", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "198.18.0.1", "224.0.0.1",
    "0.0.0.0",  # noqa: S104 - an address to refuse, not one to listen on
    "255.255.255.255", "[::1]", "[::]", "[fe80::1]", "[fc00::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
    "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[0:0:0:0:0:0:0:1]",
]  # fmt: skip


@pytest.mark.parametrize("host", PRIVATE)
def test_a_private_address_is_refused_in_every_spelling_even_from_the_list_of_allowed_hosts(host: str) -> None:
    assert problem_of(f"https://{host}/owner/name", HostPolicy(frozenset({host}))) == (
        "must not name a private or local address"
    )
    problem_of(f"https://{host}:8443/owner/name", HostPolicy(frozenset({host, f"{host}:8443"})))


@pytest.mark.parametrize("host", PRIVATE)
def test_the_operator_can_let_a_private_host_in(host: str) -> None:
    policy = HostPolicy(frozenset(), insecure=frozenset({f"{host}:8080"}))
    found = parse_repository_url(f"http://{host}:8080/owner/name", policy)
    assert (found.url, found.host) == (f"http://{host}:8080/owner/name", f"{host}:8080")
    problem_of(f"http://{host}:8081/owner/name", policy)
    problem_of(f"http://{host}/owner/name", policy)


@pytest.mark.parametrize("host", ["[fe80::1%25eth0]", "[fe80::1%eth0]"])
def test_an_address_with_a_zone_is_refused_although_its_host_is_let_in(host: str) -> None:
    problem_of(f"http://{host}/owner/name", HostPolicy(frozenset(), frozenset({host})))


def test_a_refusal_never_repeats_a_password() -> None:
    assert "hunter2hunter2" not in problem_of("https://me:hunter2hunter2@github.com/owner/name")


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/Owner/Name",
        "https://github.com/Owner/Name/",
        "https://github.com/Owner/Name.git",
        "https://github.com/Owner/Name.git/",
        "https://github.com/Owner/Name.GIT",
        "HTTPS://GitHub.COM/Owner/Name",
        "https://github.com:443/Owner/Name",
        "https://github.com:/Owner/Name",
        "https://github.com/owner/name",
    ],
)
def test_a_repository_has_one_key_whatever_way_its_address_is_written(url: str) -> None:
    found = parse_repository_url(url, GITHUB)
    assert found.key == "github.com/owner/name"
    assert found.url.startswith("https://github.com/")
    assert found.slug.lower() == "owner/name"


def test_the_repository_of_an_organisations_profile_is_a_repository() -> None:
    assert parse_repository_url("https://github.com/owner/.github", GITHUB).name == ".github"


def test_a_port_is_part_of_the_host_unless_it_is_the_usual_one() -> None:
    policy = HostPolicy(frozenset({"git.example.com:8443"}), frozenset({"git.test:80"}))
    assert parse_repository_url("https://git.example.com:8443/a/b", policy).key == "git.example.com:8443/a/b"
    problem_of("https://git.example.com/a/b", policy)
    # Listed with the usual port, and written without it: the list's spelling is the one that counts.
    assert parse_repository_url("http://git.test/a/b", policy).host == "git.test:80"
    assert parse_repository_url("http://git.test:80/a/b", policy).host == "git.test:80"


@given(SEGMENT, SEGMENT)
def test_what_is_accepted_is_safe_on_a_command_line_and_in_a_path(owner: str, name: str) -> None:
    try:
        found = parse_repository_url(f"https://github.com/{owner}/{name}", GITHUB)
    except InvalidInput:
        return
    assert found.url == f"https://github.com/{found.owner}/{found.name}"
    assert not found.owner.startswith((".", "-"))
    assert not found.name.startswith("-")
    assert found.name.lower() not in (".", "..", ".git")
    again = parse_repository_url(found.url, GITHUB)
    assert again == found


@given(st.text(max_size=80))
@settings(max_examples=300)
def test_any_text_is_either_a_repository_or_an_invalid_input(text: str) -> None:
    for url in (text, f"https://{text}", f"https://github.com/{text}"):
        try:
            found = parse_repository_url(url, GITHUB)
        except InvalidInput:
            continue
        assert found.host == "github.com"


BRANCHES = st.one_of(
    st.text("aZ09._/-", min_size=1, max_size=24),
    st.lists(
        st.sampled_from(["a", "B2", ".", "..", "/", "-", "_", ".lock", "HEAD", "refs/heads", "@"]), max_size=6
    ).map("".join),
    st.text(max_size=12),
)


@given(st.lists(BRANCHES, min_size=60, max_size=60))
@settings(max_examples=8, deadline=None)
def test_git_accepts_every_branch_name_that_we_accept(names: list[str]) -> None:
    for name in {name for name in names if branch_problem(name) is None}:
        checked = subprocess.run(["git", "check-ref-format", "--branch", name], capture_output=True, check=False)
        assert checked.returncode == 0, name
        assert checked.stdout.decode().strip() == name


@pytest.mark.parametrize(
    "name",
    [
        "", "-x", "--upload-pack=x", "/a", "a/", "a//b", ".a", "a/.b", "a..b", "a.", "a.lock", "a.lock/b", "HEAD",
        "a b", "a~1", "a^", "a:b", "a?", "a*", "a[", "a\\b", "a@{1}", "@", "a\x00", "a\n", "a\x7f",
        "x$(touch${IFS}y)", "a;id", "a|b", "a&b", "a'b", 'a"b', "a`b`", "umläut", "a" * 122,
    ],
)  # fmt: skip
def test_a_branch_name_outside_the_grammar_is_refused(name: str) -> None:
    assert branch_problem(name)


@pytest.mark.parametrize("name", ["main", "trunk", "feature/x_1.2-3", "a" * 121, "release-1.x", "0"])
def test_an_ordinary_branch_name_is_accepted(name: str) -> None:
    assert branch_problem(name) is None


@given(st.text(max_size=500))
def test_the_branch_of_an_order_is_always_a_branch(user_request: str) -> None:
    name = branch_for(new_order_id(), user_request)
    assert branch_problem(name) is None
    assert len(name) <= 53


def test_the_branch_of_an_order_says_what_was_asked() -> None:
    assert branch_for("wo-0123456789abcdef", "# Add a `--json` flag, please!") == "awo/01234567-add-a-json-flag-please"
    assert branch_for("wo-0123456789abcdef", "直して") == "awo/01234567"
    assert branch_for("wo-0123456789abcdef", "word " * 50).endswith("word")
