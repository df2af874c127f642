"""`nodescore password-hash`."""

import io
import sys

import bcrypt
import pytest

from receiver.web.access.format import BCRYPT
from tests.cli.conftest import Nodescore


def test_a_line_is_hashed_for_the_web_configuration(nodescore: Nodescore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("hunter2\n"))
    done = nodescore("password-hash")
    assert done.status == 0
    assert BCRYPT.fullmatch(done.out.strip())
    assert bcrypt.checkpw(b"hunter2", done.out.strip().encode())


@pytest.mark.parametrize("typed", ["", "\n", "x" * 73, "a\0b"])
def test_what_bcrypt_would_not_look_at_is_refused(
    nodescore: Nodescore, monkeypatch: pytest.MonkeyPatch, typed: str
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    assert nodescore("password-hash").status == 2
