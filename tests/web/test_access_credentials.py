"""Whatever one can send in place of credentials, or to get round them."""

from __future__ import annotations

import base64
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from receiver.web.access.passwords import MAX_WAITING_OF_ADDRESS
from tests.web.guarded import EVERY_ROLE, HASH, PASSWORD, TOKEN, Guarded, guarded_by

# Of nothing in particular, and slow to check.
COSTLY = "$2b$10$u5Y6XqGY2pBp3qzRKR4IOOZzF4iZ8TqxzGCOyJ3nTQqMZyBvb0GZq"


@pytest.mark.parametrize("target", [
    "//metrics", "/METRICS", "/metrics/", "/./metrics", "/-/healthy/../../metrics", "/%2d/healthy/../metrics",
    "/static/..%2fmetrics", "/metrics%00", "/-/healthy%2f..%2f..%2fmetrics", "http://x/metrics", "*",
    "/metrics?/-/healthy", "/-/healthy;/metrics", "/metrics#/-/healthy",
])  # fmt: skip
def test_no_spelling_of_a_path_gets_round_the_table(guarded: Guarded, target: str) -> None:
    sender = guarded.sender()
    sender.send(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    answer = sender.read_to_end()
    assert b" 401 " in answer.split(b"\r\n")[0] or b" 400 " in answer.split(b"\r\n")[0]
    assert b"anomaly_score" not in answer


def basic(credentials: bytes) -> bytes:
    return b"Basic " + base64.b64encode(credentials)


@pytest.mark.parametrize(("header", "status"), [
    (b"", 401), (b"Basic", 401), (b"Basic ", 401), (b"Basic ====", 401), (b"Basic \xff\xfe", 401),
    (basic(b"look"), 401), (basic(b"look:"), 401), (basic(b":secret"), 401), (basic(b"look:Secret"), 401),
    (basic(b"look:secret\0"), 401), (basic(b"look\0:secret"), 401), (basic(b"look:secret\n"), 401),
    (basic(b"LOOK:secret"), 401), (basic("löök:secret".encode()), 401), (basic("löök:secret".encode("latin-1")), 401),
    (basic(b"look:" + b"secret" * 100), 401), (basic(b"x" * 5000), 401), (b"Bearer", 401), (b"Bearer \xff", 401),
    (b"Bearer " + TOKEN.encode()[:-1], 401), (b"Bearer " + TOKEN.upper().encode(), 401), (b"Digest a=b", 401),
    (b"Basic " + b"A" * 10_000, 401), (b"Basic \0", 400), (b"Bearer a\rb", 400),
    (basic(b"look:secret") + b"\r\nAuthorization: " + basic(b"look:secret"), 401),
    (basic(b"look:secret"), 200), (b"BASIC  " + base64.b64encode(b"look:secret"), 200),
])  # fmt: skip
def test_whatever_is_sent_in_place_of_credentials_is_right_or_refused(
    guarded: Guarded, header: bytes, status: int
) -> None:
    sender = guarded.sender()
    sender.send(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: " + header + b"\r\n\r\n")
    assert sender.read_to_end().startswith(b"HTTP/1.1 %d " % status)


def test_a_body_is_not_read_of_whoever_may_not_send_it(guarded: Guarded) -> None:
    head = b"POST /api/v1/write HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n"
    assert guarded.sender().send(head).answer().status_code == 401


def test_a_sender_that_is_refused_is_counted_with_the_others_that_are(guarded: Guarded) -> None:
    line = 'nodescore_requests_total{code="403",version="unknown"}'
    before = guarded.metric(line)
    guarded.ask("POST", "/api/v1/write", "look")
    guarded.ask("POST", "/-/reload", "look")
    assert guarded.metric(line) == before + 1


def test_each_request_of_a_connection_needs_its_own_credentials(guarded: Guarded) -> None:
    known = b"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: " + basic(b"look:secret") + b"\r\n\r\n"
    unknown = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
    sender = guarded.sender().send(known + unknown + known)
    assert [sender.answer().status_code for _ in range(3)] == [200, 401, 200]


def test_no_request_hides_in_the_body_of_another(guarded: Guarded) -> None:
    inner = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
    head = b"POST /-/healthy HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    answer = guarded.sender().send(head % (len(inner) + 5) + inner).read_to_end()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.endswith(b"\r\n\r\nthis is not an HTTP/1.1 request\n")


def test_who_guesses_is_of_the_address_that_the_connection_comes_from_whatever_a_header_says(tmp_path: Path) -> None:
    with guarded_by(f'basic_auth_users: {{slow: "{COSTLY}"}}', tmp_path) as guarded:

        def guess(number: int) -> int:
            headers = {"X-Forwarded-For": f"192.0.2.{number}"}
            return guarded.ask("GET", "/metrics", "slow", f"guess {number}", headers=headers).status_code

        with ThreadPoolExecutor(12) as pool:
            assert set(pool.map(guess, range(3 * MAX_WAITING_OF_ADDRESS))) == {401, 503}


def test_a_flood_of_wrong_passwords_keeps_neither_those_who_are_known_nor_those_who_come(tmp_path: Path) -> None:
    text = f'basic_auth_users: {{known: "{HASH}", comes: "{HASH}", slow: "{COSTLY}"}}'
    with guarded_by(text, tmp_path) as guarded, ExitStack() as stack:
        assert guarded.ask("GET", "/metrics", "known").status_code == 200
        client = stack.enter_context(httpx.Client(transport=httpx.HTTPTransport(local_address="127.0.0.2")))
        pool = stack.enter_context(ThreadPoolExecutor(12))

        def guess(number: int) -> int:
            return client.get(f"{guarded.url}/metrics", auth=("slow", f"guess {number}"), timeout=60).status_code

        guesses = [pool.submit(guess, number) for number in range(3 * MAX_WAITING_OF_ADDRESS)]
        began = time.perf_counter()
        known = [guarded.ask("GET", "/metrics", "known").status_code for _ in range(20)]
        took = time.perf_counter() - began
        comes = guarded.ask("GET", "/metrics", "comes").status_code
        statuses = [guess.result() for guess in guesses]
        assert (set(known), comes, set(statuses)) == ({200}, 200, {401, 503})
        assert took < 5
        assert guarded.metric('nodescore_access_refused_total{reason="busy"}') == statuses.count(503)


def test_no_credential_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secrets = (PASSWORD, TOKEN, "hunter2", HASH)
    with guarded_by(EVERY_ROLE, tmp_path, {"TOKEN": TOKEN}) as guarded:
        for user, password in (("look", PASSWORD), ("look", "hunter2"), ("hunter2", "x")):
            guarded.ask("GET", "/metrics", user, password)
        for header in (f"Bearer {TOKEN}", "Bearer hunter2", "hunter2"):
            guarded.ask("POST", "/-/reload", headers={"Authorization": header})
        guarded.access.reload()
        guarded.file.write_text(EVERY_ROLE + "hunter2")
        guarded.access.poll()
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))]
    assert len(ours) > 1
    assert [text for text in ours for secret in secrets if secret in text] == []
