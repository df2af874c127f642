"""What each error means to a sender: a table, because a wrong status loses data or repeats it for ever."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from receiver import errors, settings
from receiver.errors import ConfigurationError, NodescoreError, RequestError, Unavailable
from receiver.web.access.file import WebConfigError

STATUS = {
    NodescoreError: 500,
    RequestError: 400,
    errors.DecodeError: 400,
    errors.BodyTooLarge: 413,
    errors.UnsupportedMedia: 415,
    errors.LimitReached: 400,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.NoData: 422,
    Unavailable: 503,
    errors.StoreUnavailable: 503,
    errors.StoreDamaged: 500,
    ConfigurationError: 500,
    errors.CatalogueError: 500,
    errors.ModelError: 500,
    errors.DataError: 500,
    settings.SettingsError: 500,
    WebConfigError: 500,
}


def tree(root: type[NodescoreError]) -> Iterator[type[NodescoreError]]:
    yield root
    for branch in root.__subclasses__():
        yield from tree(branch)


def test_every_error_of_the_tree_is_in_the_table() -> None:
    assert {error for error in tree(NodescoreError) if error.__module__.startswith("receiver")} == set(STATUS)


@pytest.mark.parametrize(("error", "status"), list(STATUS.items()))
def test_an_error_knows_its_status(error: type[NodescoreError], status: int) -> None:
    assert error.http_status == status


@pytest.mark.parametrize("error", list(tree(RequestError)))
def test_what_can_never_succeed_is_not_retried(error: type[NodescoreError]) -> None:
    assert 400 <= error.http_status < 500
    assert error.http_status != 429


def test_what_may_succeed_later_says_when_to_try_again() -> None:
    assert errors.StoreUnavailable("full", retry_after_seconds=30).retry_after_seconds == 30
    assert Unavailable("busy").retry_after_seconds > 0
