"""Who may do what: every path for every role, and whatever one can send in place of credentials."""

from __future__ import annotations

import base64
import logging
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest
from starlette.routing import BaseRoute

from receiver.columns import NodeName
from receiver.health import Component
from receiver.web.access.passwords import MAX_WAITING_OF_ADDRESS
from receiver.web.access.roles import NEEDS, OPEN, Role, needed
from receiver.web.app import create_app
from receiver.web.server import is_open
from tests.web.guarded import HASH, PASSWORD, Guarded, guarded_by
from tests.web.service import HeldService, fleet, stored

ROLES: tuple[Role, ...] = get_args(Role)
TOKEN = "0123456789abcdef0123456789abcdef"
EVERY_ROLE = f"""
basic_auth_users: {{write: &hash "{HASH}", look: *hash, label: *hash, activate: *hash, nothing: *hash}}
nodescore:
  bearer_tokens: {{prometheus: {{environment: TOKEN}}}}
  permissions:
    users: {{write: [write], look: [look], label: [label], activate: [activate]}}
    tokens: {{prometheus: [write, look]}}
"""
# Of nothing in particular, and slow to check.
COSTLY = "$2b$10$u5Y6XqGY2pBp3qzRKR4IOOZzF4iZ8TqxzGCOyJ3nTQqMZyBvb0GZq"
ONE_USER = f'basic_auth_users: {{ann: "{HASH}"}}'
# How the gate says no; other refusals, of a form from elsewhere, are the app's.
BY_GATE = ("this needs the role", "no role may")


def each(among: Sequence[BaseRoute]) -> Iterator[BaseRoute]:
    """Those of routers within routers too."""
    for route in among:
        router = getattr(route, "original_router", None)
        yield from (route,) if router is None else each(router.routes)


def routes() -> list[tuple[str, str]]:
    """Method and path of all that the service answers, with something in the place of each parameter."""
    found = list(each(create_app(fleet(1)).routes))
    paths = [(method, str(getattr(route, "path", ""))) for route in found for method in getattr(route, "methods", ())]
    filled = [
        (method, "/".join("x" if part[:1] == "{" else part for part in path.split("/"))) for method, path in paths
    ]
    return sorted([*filled, ("POST", "/api/v1/write")])


ROUTES = routes()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """A user for each role, who is called like it, one who has none, and a token for Prometheus."""
    with guarded_by(EVERY_ROLE, tmp_path_factory.mktemp("access"), {"TOKEN": TOKEN}) as one:
        yield one


def test_every_route_is_in_the_table() -> None:
    assert len(ROUTES) > 20
    assert [route for route in ROUTES if needed(*route) is None] == []


def test_every_line_of_the_table_has_a_route() -> None:
    def has_one(path: str, method: str) -> bool:
        return any(
            method == other and (there.startswith(path[:-1]) if path.endswith("*") else there == path)
            for other, there in ROUTES
        )

    assert [(m, path) for path, methods in NEEDS.items() for m in methods if not has_one(path, m)] == []


@pytest.mark.parametrize("user", ["", "stranger", "nothing", *ROLES])
def test_every_route_is_open_to_whoever_has_its_role_and_to_nobody_else(guarded: Guarded, user: str) -> None:
    wrong = []
    for method, path in ROUTES:
        need = needed(method, path)
        answer = guarded.ask(method, path, user)
        by_gate = method == "HEAD" or answer.text.startswith(BY_GATE)
        refused = answer.status_code == 401 or (answer.status_code == 403 and by_gate)
        expected = None if need in (OPEN, user) else 403 if user in (*ROLES, "nothing") else 401
        if (answer.status_code if refused else None) != expected:
            wrong.append((method, path, answer.status_code, expected))
    assert wrong == []


def test_readiness_says_how_each_part_is_to_everybody_and_why_to_who_may_look(guarded: Guarded) -> None:
    guarded.service.components = [Component("TimescaleDB", "degraded", "no route to db.internal")]
    states = "Nodescore is ready.\nTimescaleDB: degraded\n"
    for user, password in (("", ""), ("stranger", PASSWORD), ("look", "wrong"), ("write", PASSWORD)):
        answer = guarded.ask("GET", "/-/ready", user, password)
        assert (answer.status_code, answer.text) == (200, states)
    reasons = guarded.ask("GET", "/-/ready", "look").text
    assert reasons == "Nodescore is ready.\nTimescaleDB: degraded: no route to db.internal\n"


@pytest.mark.parametrize("role", ROLES)
def test_no_route_is_open_to_a_user_with_a_wrong_password(guarded: Guarded, role: Role) -> None:
    paths = [route for route in ROUTES if needed(*route) != OPEN]
    assert {guarded.ask(*route, role, "wrong").status_code for route in paths} == {401}


@pytest.mark.parametrize("role", ROLES)
def test_what_a_role_is_for_is_done(guarded: Guarded, role: Role) -> None:
    json = {"Content-Type": "application/json"}
    method, path, headers, done = {
        # As far as it goes with nothing behind it: its own refusal, of the type or of the time.
        "write": ("POST", "/api/v1/write", {"Content-Type": "text/plain"}, 415),
        "look": ("GET", "/api/v1/nodes", {}, 200),
        "label": ("POST", "/api/v1/feedback", json, 400),
        "activate": ("POST", "/-/reload", {}, 200),
    }[role]
    assert guarded.ask(method, path, role, headers=headers).status_code == done


def test_a_token_does_what_it_is_granted(guarded: Guarded) -> None:
    for scheme in ("Bearer", "bearer"):
        headers = {"Authorization": f"{scheme} {TOKEN}"}
        answers = [guarded.ask(*route, headers=headers) for route in (("GET", "/metrics"), ("POST", "/-/reload"))]
        assert [answer.status_code for answer in answers] == [200, 403]
        assert answers[1].text == "this needs the role 'activate', which token:prometheus does not have\n"


def test_a_refusal_says_how_to_say_who_one_is(guarded: Guarded) -> None:
    answer = guarded.ask("GET", "/")
    assert answer.status_code == 401
    assert answer.headers.get_list("www-authenticate") == [
        'Basic realm="Nodescore", charset="UTF-8"',
        'Bearer realm="Nodescore"',
    ]
    assert answer.text == "no credentials, or wrong ones\n"


def test_what_is_not_in_the_table_is_refused(guarded: Guarded) -> None:
    assert guarded.ask("GET", "/nowhere").status_code == 401
    answer = guarded.ask("GET", "/nowhere", "look")
    assert (answer.status_code, answer.text) == (403, "no role may GET this path\n")
    assert guarded.ask("OPTIONS", "/", "look").status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://elsewhere.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_whatever_changes_something_is_refused_where_a_page_of_another_site_asks_for_it(
    tmp_path: Path, headers: dict[str, str]
) -> None:
    with guarded_by("", tmp_path) as guarded:
        changing = [route for route in ROUTES if route[0] not in ("GET", "HEAD")]
        answers = {route: guarded.ask(*route, headers=headers) for route in changing}
    assert len(changing) > 10
    assert [(route, answer.text) for route, answer in answers.items() if answer.status_code != 403] == []


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


@pytest.mark.parametrize(("login", "author"), [("ann", "ann"), ("", "token:ci"), (None, "mallory")])
def test_an_author_is_who_is_logged_in_and_only_else_who_they_say(
    tmp_path: Path, login: str | None, author: str
) -> None:
    text = "" if login is None else f"{ONE_USER}\nnodescore: {{bearer_tokens: {{ci: {{environment: TOKEN}}}}}}"
    headers = {} if login else {"Authorization": f"Bearer {TOKEN}"}
    service = stored(HeldService({NodeName("", "worker-1"): [0.5] * 12}), tmp_path)
    with guarded_by(text, tmp_path, {"TOKEN": TOKEN}, service) as guarded:

        def ask(method: str, path: str, **options: Any) -> httpx.Response:
            return guarded.ask(method, path, login or "", headers=headers, **options)

        said = {"node": "worker-1", "start": "-1m", "end": "now", "verdict": "TN", "author": "mallory"}
        label = ask("POST", "/api/v1/feedback", json=said)
        assert label.status_code == 201, label.text
        key = label.json()["key"]
        change = {name: value for name, value in said.items() if name != "node"}
        changed = ask("PUT", f"/api/v1/labels/{key}", json={**change, "revision": 1})
        form = {**said, "start": "-30s", "details": "", "cluster": ""}
        withdrawn = ask("DELETE", f"/api/v1/labels/{key}?revision=2&author=mallory")
        origin = {**headers, "Origin": guarded.url}
        given = guarded.ask("POST", "/feedback", login or "", headers=origin, data=form)
        by_form = ask("GET", f"/api/v1/labels/{given.headers['location'].partition('=')[2]}").json()
        activated = ask("POST", "/api/v1/models/v2/activate", json={"by": "mallory"})
        page = ask("GET", "/feedback").text
    answers = (label.json(), changed.json(), withdrawn.json(), by_form)
    assert [(one["author"], one["revision"]) for one in answers] == [(author, 1), (author, 2), (author, 3), (author, 1)]
    assert activated.json()["by"] == author
    assert (f'value="{author}" required' in page, "readonly" in page) == ((login is not None,) * 2)


def test_who_is_logged_in_need_not_say_who_they_are(tmp_path: Path) -> None:
    service = stored(HeldService({NodeName("", "worker-1"): [0.5] * 12}), tmp_path)
    said = {"node": "worker-1", "start": "-1m", "end": "now", "verdict": "TN"}
    with guarded_by(ONE_USER, tmp_path, service=service) as guarded:
        assert guarded.ask("POST", "/api/v1/feedback", "ann", json=said).json()["author"] == "ann"
        no_names: list[object] = [[], None, 7, "x" * 201]
        for no_name in no_names:
            wrong = guarded.ask("POST", "/api/v1/feedback", "ann", json={**said, "author": no_name})
            assert (wrong.status_code, wrong.text[:7]) == (400, "author:")
        guarded.file.write_text("")
        guarded.access.reload()
        answer = guarded.ask("POST", "/api/v1/feedback", json=said)
        assert (answer.status_code, answer.text) == (400, "author: must not be empty\n")


def test_a_file_without_permissions_lets_whoever_is_known_do_everything(tmp_path: Path) -> None:
    with guarded_by(ONE_USER, tmp_path) as guarded:
        assert guarded.ask("GET", "/metrics").status_code == 401
        assert [guarded.ask("GET", "/metrics", "ann").status_code for _ in range(2)] == [200, 200]
        assert guarded.ask("POST", "/-/reload", "ann").status_code == 200


def test_a_file_without_anybody_asks_nobody_and_sets_its_headers_on_every_answer(tmp_path: Path) -> None:
    headers = "{Strict-Transport-Security: max-age=300, X-Frame-Options: sameorigin}"
    with guarded_by(f"http_server_config: {{headers: {headers}}}", tmp_path) as guarded:
        for method, path, status in (("GET", "/", 200), ("GET", "/nowhere", 404), ("GET", "/api/v1/write", 405)):
            answer = guarded.ask(method, path)
            assert answer.status_code == status
            assert answer.headers["strict-transport-security"] == "max-age=300"
            assert answer.headers.get_list("x-frame-options") == ["sameorigin"]


def test_a_service_is_open_where_other_machines_reach_it_and_nobody_has_to_say_anything(tmp_path: Path) -> None:
    assert [is_open(host, None) for host in ("127.0.0.1", "::1", "::", "192.0.2.7")] == [False, False, True, True]
    for text, is_one in (("", True), (ONE_USER, False)):
        with guarded_by(text, tmp_path) as guarded:
            assert is_open("::", guarded.access) == is_one


def test_another_file_holds_from_the_next_request_on(tmp_path: Path) -> None:
    with guarded_by(ONE_USER, tmp_path) as guarded:
        assert guarded.ask("GET", "/metrics", "ann").status_code == 200
        guarded.file.write_text(ONE_USER.replace("ann", "berta"))
        guarded.access.poll()
        assert [guarded.ask("GET", "/metrics", user).status_code for user in ("ann", "berta")] == [401, 200]
        guarded.file.write_text(ONE_USER)
        answer = guarded.ask("POST", "/-/reload", "berta")
        assert answer.text == "web configuration: no TLS, 1 user\nmodel 2026-11-01 loaded\n"
        assert [guarded.ask("GET", "/metrics", user).status_code for user in ("ann", "berta")] == [200, 401]


def test_a_bad_file_is_refused_once_and_what_held_before_still_does(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with guarded_by(ONE_USER, tmp_path) as guarded:
        guarded.file.write_text("basic_auth_users: {ann: hunter2}")
        for _ in range(3):
            guarded.access.poll()
        assert guarded.ask("GET", "/metrics", "ann").status_code == 200
        assert guarded.metric("nodescore_web_config_failures_total") == 1
        (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
        assert record.getMessage() == (
            f"web configuration {guarded.file}: basic_auth_users: user ann: not a bcrypt hash; "
            "`nodescore password-hash` makes one; what held before still does"
        )
        answer = guarded.ask("POST", "/-/reload", "ann")
        assert (answer.status_code, "not a bcrypt hash" in answer.text) == (400, True)


def test_a_token_of_a_file_is_read_anew(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(TOKEN)
    with guarded_by("nodescore: {bearer_tokens: {one: {file: token}}}", tmp_path) as guarded:
        token.write_text(TOKEN[::-1])
        guarded.access.poll()
        statuses = [
            guarded.ask("GET", "/metrics", headers={"Authorization": f"Bearer {one}"}).status_code
            for one in (TOKEN, TOKEN[::-1])
        ]
        assert statuses == [401, 200]


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
