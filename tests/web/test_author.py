"""Who is said to have said something."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from receiver.columns import NodeName
from tests.web.guarded import ONE_USER, TOKEN, guarded_by
from tests.web.service import HeldService, stored


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
