"""The pages of the model's versions, as they come over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from html import unescape
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.errors import DataError
from receiver.web import measures
from tests.web.service import HeldService
from tests.web.versions import REASON, version, with_versions

Serve = Callable[[HeldService], str]


@pytest.fixture
def service() -> HeldService:
    return with_versions(HeldService({}))


def sent(url: str, path: str, **changed: str) -> httpx.Response:
    form = {"by": "Zoë", "reason": "better", "last": "2", **changed}
    return httpx.post(f"{url}/{path}", data=form, headers={"Origin": url})


def test_a_refused_candidate_stands_there_with_the_reason_and_what_feedback_changed(
    service: HeldService, serve: Serve
) -> None:
    text = unescape(httpx.get(f"{serve(service)}/models").text)
    assert "candidate, refused by the gate" in text
    assert REASON in text
    assert "−0.4" in text.replace("-0.4", "−0.4")
    assert "Of 3 marked false alarms, the version that was active alerts on 3, this one on <strong>1</strong>." in text


def test_each_version_says_what_it_has_learnt_from_and_the_log_who_activated_it(
    service: HeldService, serve: Serve
) -> None:
    text = httpx.get(f"{serve(service)}/models").text
    assert text.count("FP 2, TP 1") == 3
    assert text.count("2026-11-19 08:00:00 UTC") == 3
    assert "fewer &lt;b&gt;alerts&lt;/b&gt;" in text
    assert 'href="rollback">Roll back to <bdi>pca-0' in text


def test_a_version_is_activated_by_a_form_that_wants_a_name(service: HeldService, serve: Serve) -> None:
    url = serve(service)
    assert "pca-0</bdi>?" in httpx.get(f"{url}/activate?version=pca-0").text
    assert sent(url, "activate?version=pca-0", by="").status_code == 400
    done = sent(url, "activate?version=pca-0")
    assert (done.status_code, done.headers["location"]) == (303, "models")
    assert [(one.version, one.by, one.reason) for one in service.entered[2:]] == [("pca-0", "Zoë", "better")]
    assert service.after_id == service.entered[1].id


def test_a_candidate_goes_into_the_shadow_and_out_of_it_by_a_form_that_wants_a_name(
    service: HeldService, serve: Serve
) -> None:
    url = serve(service)
    assert 'href="shadow?version=pca-2">Score in the shadow' in httpx.get(f"{url}/models").text
    assert 'Have <bdi class="version">pca-2</bdi> score in the shadow?' in httpx.get(f"{url}/shadow?version=pca-2").text
    assert sent(url, "shadow?version=pca-2", by="").status_code == 400
    done = sent(url, "shadow?version=pca-2")
    assert (done.status_code, done.headers["location"]) == (303, "models")
    service.listed = [version("pca-2", "shadow", {}), version("pca-3", "candidate", {})]
    assert "Leave the shadow …" in httpx.get(f"{url}/models").text
    assert "pca-2</bdi>, which is there now, leaves it" in httpx.get(f"{url}/shadow?version=pca-3").text
    assert sent(url, "shadow?version=pca-2", action="end").status_code == 303
    assert service.shadowings == [("pca-2 begins", "Zoë", "better"), ("pca-2 ends", "Zoë", "better")]


def test_a_refused_version_is_activated_only_where_that_is_ticked(service: HeldService, serve: Serve) -> None:
    url = serve(service)
    refused = sent(url, "activate?version=pca-2")
    assert refused.status_code == 400
    assert "tick the box" in refused.text
    assert REASON in refused.text
    assert sent(url, "activate?version=pca-2", despite="yes").status_code == 303


def test_rolling_back_names_the_version_that_it_goes_to(service: HeldService, serve: Serve) -> None:
    url = serve(service)
    assert "pca-0</bdi>?" in httpx.get(f"{url}/rollback").text
    assert sent(url, "rollback").status_code == 303
    assert service.entered[-1].rollback
    assert service.after_id == service.entered[-2].id


def test_where_another_version_was_activated_meanwhile_nothing_is_done_and_that_is_said(
    service: HeldService, serve: Serve
) -> None:
    answer = sent(serve(service), "rollback", last="1")
    assert answer.status_code == 409
    assert "meanwhile ann has activated pca-1" in answer.text
    assert 'name="last" value="2"' in answer.text
    assert len(service.entered) == 2


def test_a_form_that_knew_a_log_which_is_gone_is_taken_as_it_is_meant(service: HeldService, serve: Serve) -> None:
    service.entered.clear()
    assert sent(serve(service), "activate?version=pca-0").status_code == 303


def test_what_cannot_be_activated_says_why_and_keeps_what_was_typed(service: HeldService, serve: Serve) -> None:
    service.model_error = DataError("model pca-0: its file has changed")
    answer = sent(serve(service), "activate?version=pca-0")
    assert answer.status_code == 400
    assert "its file has changed" in answer.text
    assert 'value="Zoë"' in answer.text


@pytest.mark.parametrize("path", ["rollback", "activate?version=pca-0"])
def test_a_form_of_another_site_is_refused(service: HeldService, serve: Serve, path: str) -> None:
    url = serve(service)
    for headers in ({}, {"Origin": "https://elsewhere.example"}):
        form = {"by": "Zoë", "reason": "", "last": "2"}
        assert httpx.post(f"{url}/{path}", data=form, headers=headers).status_code == 403
    assert len(service.entered) == 2


def test_what_is_not_there_is_404(service: HeldService, serve: Serve) -> None:
    url = serve(service)
    assert httpx.get(f"{url}/activate?version=none").status_code == 404
    service.entered.clear()
    assert httpx.get(f"{url}/rollback").status_code == 404


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)
NAMES = st.sampled_from(["promote", "against", "at", "reasons", "compared", "measure", "low", "holds", "marked"])
LIKE_OURS = st.recursive(JSON, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner))


@given(st.dictionaries(st.sampled_from(["gate", "feedback"]), LIKE_OURS | st.dictionaries(NAMES, LIKE_OURS)))
def test_measures_of_any_form_break_nothing(said: dict[str, Any]) -> None:
    found = measures.read(said)
    if found.verdict:
        assert len(found.verdict.reasons) <= measures.MAX_ENTRIES


@pytest.mark.parametrize(
    "said",
    [
        {
            "gate": {
                "promote": True,
                "at": "noon",
                "reasons": [7, "fine"],
                "compared": [3, {"measure": 1, "low": 10**400}],
            }
        },
        {"feedback": {"attacks": {"marked": "many"}, "false_alarms": []}},
        {"recall": 0.9},
    ],
)
def test_a_page_shows_versions_that_other_programs_have_measured(
    service: HeldService, serve: Serve, said: dict[str, Any]
) -> None:
    service.listed = [version("mine", "candidate", said)]
    assert httpx.get(f"{serve(service)}/models").status_code == 200
