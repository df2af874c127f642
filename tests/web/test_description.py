"""/openapi.json says all that is answered, of every part of the API."""

from __future__ import annotations

from pathlib import Path

from receiver.web.access.roles import OPEN, needed
from receiver.web.app import create_app
from receiver.web.description import SCHEMES, operations
from tests.web.guarded import HASH, guarded_by
from tests.web.service import fleet

DESCRIPTION = create_app(fleet(1)).openapi()


def test_every_operation_says_which_role_it_needs_and_how_it_refuses_who_lacks_it() -> None:
    for path, method, operation in operations(DESCRIPTION):
        need = needed(method, path)
        assert need is not None
        asks = need != OPEN
        assert (f"Needs the role `{need}`." in operation.get("description", "")) == asks, path
        assert ({"401", "403"} <= operation["responses"].keys()) == asks, path


def test_every_refusal_is_described_as_the_plain_text_that_it_is() -> None:
    for path, _, operation in operations(DESCRIPTION):
        for status, answer in operation["responses"].items():
            if status >= "400":
                assert list(answer["content"]) == ["text/plain"], (path, status)
    assert "HTTPValidationError" not in str(DESCRIPTION)


def test_remote_write_is_described_beside_the_routes_of_the_app() -> None:
    write = DESCRIPTION["paths"]["/api/v1/write"]["post"]
    assert sorted(write["responses"]) == ["202", "204", "400", "401", "403", "413", "415", "503"]


def test_credentials_are_asked_for_where_the_web_configuration_of_the_moment_does(tmp_path: Path) -> None:
    with guarded_by("", tmp_path) as guarded:
        open_to_all = guarded.ask("GET", "/openapi.json").json()
        guarded.file.write_text(f'basic_auth_users: {{ann: "{HASH}"}}')
        guarded.access.reload()
        closed = guarded.ask("GET", "/openapi.json", "ann").json()
    assert open_to_all["paths"]["/metrics"]["get"]["security"] == []
    assert closed["paths"]["/metrics"]["get"]["security"] == [{name: []} for name in SCHEMES]
    assert "security" not in closed["paths"]["/-/healthy"]["get"]
