"""The JSON API of the model's versions."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from types import MappingProxyType

import pytest

from receiver.errors import DataError
from receiver.registry import Listed
from receiver.store import ModelVersion
from tests.web.service import NOW_MS, HeldService

VERSION = ModelVersion(
    version="pca-2",
    sha256="ab" * 32,
    size_bytes=7,
    card={"detector": "pca"},
    parent="pca-1",
    trained_from_ms=NOW_MS - 1000,
    trained_until_ms=None,
    labels={"FP": 2},
    measures={"verdict": "promoted"},
    created_ms=NOW_MS,
)
Serve = Callable[[HeldService], str]


def post(url: str, body: bytes = b"{}", headers: Mapping[str, str] = MappingProxyType({})) -> tuple[int, str]:
    named = {"Content-Type": "application/json", **headers}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, named)) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.fixture
def service() -> HeldService:
    held = HeldService({})
    held.listed = [Listed(VERSION, "candidate")]
    return held


def test_versions_are_listed_with_their_state_and_measures(service: HeldService, serve: Serve) -> None:
    status, body = get(f"{serve(service)}/api/v1/models")
    assert status == 200
    (found,) = json.loads(body)["models"]
    assert (found["version"], found["state"], found["detector"]) == ("pca-2", "candidate", "pca")
    assert (found["trained_from"], found["trained_until"]) == ("2026-11-20T07:59:59Z", None)
    assert found["measures"] == {"verdict": "promoted"}


def test_one_version_comes_with_its_card_and_an_unknown_one_is_404(service: HeldService, serve: Serve) -> None:
    url = serve(service)
    assert json.loads(get(f"{url}/api/v1/models/pca-2")[1])["card"] == {"detector": "pca"}
    assert get(f"{url}/api/v1/models/none")[0] == 404


def test_a_version_is_activated_and_rolled_back_with_author_and_reason(service: HeldService, serve: Serve) -> None:
    url = serve(service)
    status, body = post(f"{url}/api/v1/models/pca-2/activate", b'{"by": "ann", "reason": "better"}')
    assert status == 200
    assert json.loads(body)["before"] == "pca-1"
    assert post(f"{url}/api/v1/models/rollback")[0] == 200
    entered = [(entry.version, entry.by, entry.reason, entry.rollback) for entry in service.entered]
    assert entered == [("pca-2", "ann", "better", False), ("pca-1", "api", "", True)]


def test_a_version_scores_in_the_shadow_until_it_is_ended(service: HeldService, serve: Serve) -> None:
    url = f"{serve(service)}/api/v1/models/pca-2/shadow"
    status, body = post(url, b'{"by": "ann", "reason": "to see"}')
    entry = {"version": "pca-2", "at": "2026-11-20T08:00:00Z", "by": "ann", "reason": "to see"}
    assert (status, json.loads(body)) == (200, entry)
    status, body = post(f"{url}/end", b'{"by": "bob"}')
    assert (status, json.loads(body)) == (200, {**entry, "version": "", "by": "bob", "reason": ""})
    assert service.shadowings == [("pca-2 begins", "ann", "to see"), ("pca-2 ends", "bob", "")]


def test_what_cannot_be_activated_is_answered_400_with_the_reason(service: HeldService, serve: Serve) -> None:
    service.model_error = DataError("model pca-9: there is no such version")
    assert post(f"{serve(service)}/api/v1/models/pca-9/activate") == (400, "model pca-9: there is no such version\n")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://elsewhere.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
    ],
)
@pytest.mark.parametrize("path", ["rollback", "pca-2/activate", "pca-2/shadow", "pca-2/shadow/end"])
def test_a_page_of_another_site_changes_nothing(
    service: HeldService, serve: Serve, path: str, headers: dict[str, str], status: int
) -> None:
    assert post(f"{serve(service)}/api/v1/models/{path}", headers=headers)[0] == status
    assert service.entered == []


def test_our_own_page_may(service: HeldService, serve: Serve) -> None:
    url = serve(service)
    assert post(f"{url}/api/v1/models/rollback", headers={"Origin": url, "Sec-Fetch-Site": "same-origin"})[0] == 200


@pytest.mark.parametrize("body", [b"[]", b'{"by": ""}', b'{"other": 1}', b"no JSON", b'{"reason": 7}'])
def test_a_body_that_says_something_else_is_refused(service: HeldService, serve: Serve, body: bytes) -> None:
    assert post(f"{serve(service)}/api/v1/models/rollback", body)[0] == 400
    assert service.entered == []
