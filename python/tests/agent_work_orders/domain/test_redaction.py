"""No secret gets through, in whatever clothes; and what is no secret stays as it is."""

import base64
import json
import re
import shlex
import threading
import time
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from src.agent_work_orders.domain.redaction import MASK, Redactor

PLAIN = "tok-4f9a8b7c6d5e4f3a2b1c"
ODD = "p@ss w/rd+100%='\"\\ü$x"
SECRETS = st.one_of(
    st.text("abcXYZ019_-", min_size=12, max_size=60),
    st.text("abc0 '\"\\/+=%&é😀\n\t$", min_size=12, max_size=40),
)
JSONS: st.SearchStrategy[object] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=20)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
    max_leaves=12,
)

ENCODINGS: dict[str, Callable[[str], str]] = {
    "plain": lambda value: value,
    "url": lambda value: quote(value, safe=""),
    "url, lower case": lambda value: re.sub("%..", lambda code: code.group().lower(), quote(value, safe="")),
    "url path": quote,
    "form": quote_plus,
    "json": lambda value: json.dumps(value)[1:-1],
    "json with letters as they are": lambda value: json.dumps(value, ensure_ascii=False)[1:-1],
    "json inside json": lambda value: json.dumps(json.dumps({"k": value})),
    "shell": shlex.quote,
    "shell inside json": lambda value: json.dumps(f"curl -H {shlex.quote(value)}"),
    "base64": lambda value: base64.b64encode(value.encode()).decode(),
}


def redactor_of(*values: str) -> Redactor:
    redactor = Redactor()
    for value in values:
        redactor.register(value)
    return redactor


@pytest.mark.parametrize("value", [PLAIN, ODD])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_registered_value_is_masked_in_every_encoding(encoding: str, value: str) -> None:
    redactor = redactor_of(value)
    hidden = ENCODINGS[encoding](value)
    clean = redactor.redact(f"before {hidden} after")
    assert MASK in clean
    assert hidden not in clean
    assert clean.startswith("before ")
    assert clean.endswith(" after")
    assert redactor.finds(hidden)


@pytest.mark.parametrize("lead", [b"", b"x", b"xx", b"user:", b"x-access-token:", b'{"token": "'])
@pytest.mark.parametrize("tail", [b"", b"y", b"yy", b'", "more": 1}'])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_value_inside_a_base64_text_is_masked_wherever_it_begins(
    lead: bytes, tail: bytes, encode: Callable[[bytes], bytes]
) -> None:
    value = "ÿþ~token~ÿÿÿ-0123456789"
    clean = redactor_of(value).redact(f"Authorization: Basic {encode(lead + value.encode() + tail).decode()}")
    assert MASK in clean
    shown = clean.removeprefix("Authorization: Basic ").partition(MASK)
    known = base64.urlsafe_b64decode(shown[0].replace("+", "-").replace("/", "_")[: len(shown[0]) // 4 * 4])
    assert lead.startswith(known[: len(lead)])
    assert len(known) <= len(lead)


@given(SECRETS, st.text(max_size=20), st.text(max_size=20), st.sampled_from(sorted(ENCODINGS)))
def test_no_secret_survives_between_any_other_texts(value: str, before: str, after: str, encoding: str) -> None:
    assume(value not in MASK and value not in before and value not in after)
    hidden = ENCODINGS[encoding](value)
    assert hidden not in redactor_of(value).redact(before + hidden + after)


@given(SECRETS, JSONS)
@settings(deadline=None)
def test_json_stays_json_and_says_the_same_but_for_the_secret(value: str, data: object) -> None:
    redactor = redactor_of(value)
    text = json.dumps({"data": data, "said": f"a {value} b", value: [f"{value}{value}", 5]}, ensure_ascii=False)
    clean = redactor.redact_json(text)
    read = json.loads(clean)
    assert read["said"] == f"a {MASK} b"
    assert read[MASK] == [MASK + MASK, 5]
    assert "\n" not in clean
    assert redactor.redact_json(clean) == clean
    if not redactor.finds(json.dumps(data, ensure_ascii=False)):
        assert read["data"] == data


@given(st.text(), SECRETS)
def test_what_was_redacted_once_is_not_changed_again(text: str, value: str) -> None:
    redactor = redactor_of(value, PLAIN)
    once = redactor.redact(f"{text}{value}{text} https://me:{PLAIN}@host/ {text}")
    assert redactor.redact(once) == once


@given(st.text(max_size=200).map(lambda text: " ".join(text.split())))
def test_one_line_stays_one_line(text: str) -> None:
    assert len(redactor_of(PLAIN).redact(f"{text} {PLAIN} {text}").splitlines()) == len(
        f"{text} {MASK} {text}".splitlines()
    )


def test_a_number_that_is_the_secret_leaves_json_as_json() -> None:
    assert json.loads(redactor_of("12345678").redact_json('{"id":12345678,"ok":[1,true,null]}')) == {
        "id": MASK,
        "ok": [1, True, None],
    }


def test_a_secret_that_looks_like_the_borders_of_json_breaks_none() -> None:
    text = '{"a":"x","kind":"y"}'
    assert json.loads(redactor_of('","kind":"').redact_json(text)) == {"a": "x", "kind": "y"}


def test_short_values_and_the_mask_itself_are_left_alone() -> None:
    redactor = redactor_of("short", "", "REDACTED", "[REDACTED]")
    redactor.register(None)
    assert redactor.redact("a short REDACTED word") == "a short REDACTED word"
    assert redactor.longest == 0


TOKENS = [
    "ghp_" + "a1B2" * 9,
    "gho_" + "a1B2" * 9,
    "ghs_" + "a1B2" * 9,
    "ghs_1234567_eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiIxMjM0NTY3In0.c2lnbmF0dXJl",
    "github_pat_" + "11ABCDEFG0" * 8,
    "glpat-" + "a1B2c3D4e5" * 2,
    "sk-ant-api03-" + "a1B2_c3-D4" * 9,
    "sk-proj-" + "a1B2c3D4e5" * 5,
    "sk-" + "a1B2c3D4e5" * 5,
    "sb_secret_" + "a1B2c3D4e5" * 3,
    "AKIA" + "ABCD2345" * 2,
    "xoxb-" + "1234567890-" * 3,
    "npm_" + "a1B2c3" * 6,
    "pypi-AgE" + "a1B2c3D4e5" * 6,
    "AIza" + "a1B2c" * 7,
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nIBAAKC\n-----END RSA PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----\nMIIEow\n-----END PRIVATE KEY-----",
    "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blbn\n-----END OPENSSH PRIVATE KEY-----",
]


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize("before", ["", "token=", "\n", "\t", '"', "\x1b[31m", "\x1b[0;1m", ":", "é", "Bearer "])
def test_a_known_token_is_masked_wherever_it_stands(token: str, before: str) -> None:
    redactor = Redactor()
    text = f"{before}{token} rest"
    assert redactor.redact(text) == f"{before}{MASK} rest"
    # The same inside JSON, where a line break is the two characters \\n and could pass for the end of a word.
    for ascii_only in (True, False):
        payload = json.dumps({"output": text}, ensure_ascii=ascii_only)
        assert json.loads(redactor.redact(payload)) == {"output": f"{before}{MASK} rest"}
        assert json.loads(redactor.redact_json(payload)) == {"output": f"{before}{MASK} rest"}


@pytest.mark.parametrize(
    "text",
    [
        "task-list-of-a-very-long-kebab-case-name-that-goes-on-and-on-and-on",
        "risk-assessment-for-the-quarterly-report-of-the-department-2030",
        "ghp_short", "through", "sk-", "eyJhbGciOiJIUzI1NiJ9", "AKIA", "npm_config_user_agent_is_a_long_name_here",
        "-----BEGIN PUBLIC KEY-----\nabc\n-----END PUBLIC KEY-----", "https://example.com/a/b@2.0.0",
        "mail me@example.com about https://example.com", "a1b2c3d4e5f6" * 4, "ASIAN cuisine in ASIA",
    ],
)  # fmt: skip
def test_ordinary_text_is_left_alone(text: str) -> None:
    redactor = redactor_of(PLAIN)
    assert redactor.redact(text) == text
    assert redactor.count == 0


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("https://me:pw@host/x", f"https://{MASK}@host/x"),
        ("HTTPS://me:pw@host/x", f"HTTPS://{MASK}@host/x"),
        ("https://me:p@ss@host/x", f"https://{MASK}@host/x"),
        ("postgresql+psycopg://u:p@db:5432/x", f"postgresql+psycopg://{MASK}@db:5432/x"),
        ('{"url":"\\nhttps://u:p@host"}', f'{{"url":"\\nhttps://{MASK}@host"}}'),
    ],
)
def test_user_info_in_an_address_is_masked_and_is_no_secret_of_its_own(text: str, clean: str) -> None:
    redactor = Redactor()
    assert redactor.redact(text) == clean
    # A diff may name the made-up password of a test database.
    assert not redactor.finds(text)


def test_the_longest_needle_covers_every_encoding() -> None:
    redactor = redactor_of(ODD)
    assert redactor.longest >= max(len(encode(ODD)) for name, encode in ENCODINGS.items() if "inside" not in name)


def test_it_counts_the_texts_it_changed() -> None:
    redactor = redactor_of(PLAIN)
    redactor.redact("nothing")
    redactor.redact(PLAIN)
    assert redactor.count == 1


HOSTILE = {
    "many beginnings of keys": "-----BEGIN PRIVATE KEY-----" * 40_000,
    "many tokens without an end": "eyJ-" * 250_000,
    "one endless token": "eyJ" + "a" * 1_000_000,
    "many dots": "eyJaaaaaaaaaaa." * 60_000,
    "many words of a key": "-----BEGIN " + "A " * 500_000,
    "many keys": "sk-" * 300_000,
    "many addresses": "https://" * 100_000 + "@",
    "many at signs": "https://" + "a@" * 400_000,
    "ordinary words": "the quick brown fox jumps over the lazy dog through the night\n" * 16_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_text_makes_the_scan_slow(name: str) -> None:
    redactor = redactor_of(PLAIN, ODD, "another-secret-value")
    began = time.process_time()
    redactor.redact(HOSTILE[name])
    assert time.process_time() - began < 2  # seconds for about a megabyte; a quadratic scan takes minutes


def test_values_can_be_registered_while_others_redact() -> None:
    redactor = Redactor()
    values = [f"secret-number-{number:04}" for number in range(60)]
    failures: list[str] = []

    def register(part: int) -> None:
        for value in values[part::3]:
            redactor.register(value)
            if value in redactor.redact(f"it is {value}."):
                failures.append(value)

    threads = [threading.Thread(target=register, args=(part,)) for part in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert not any(value in redactor.redact(" ".join(values)) for value in values)
