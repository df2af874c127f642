"""Another web configuration, while the service runs."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tests.web.guarded import ONE_USER, TOKEN, guarded_by


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
