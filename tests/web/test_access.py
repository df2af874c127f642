"""Who may do what: every path for every role."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

import pytest
from starlette.routing import BaseRoute

from receiver.health import Component
from receiver.web.access.roles import NEEDS, OPEN, Role, needed
from receiver.web.app import create_app
from receiver.web.server import is_open
from tests.web.guarded import ONE_USER, PASSWORD, TOKEN, Guarded, guarded_by
from tests.web.service import fleet

ROLES: tuple[Role, ...] = get_args(Role)
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
