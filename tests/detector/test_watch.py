"""A model file that is exchanged while the service runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from receiver.detector import Detector, Watch
from receiver.errors import ModelError
from tests.detector.sum_model import FEATURES, write


def put(path: Path, body: bytes, mtime_ns: int) -> None:
    path.write_bytes(body)
    os.utime(path, ns=(mtime_ns, mtime_ns))


def test_a_file_that_stays_gives_nothing(detector: Detector) -> None:
    watch = Watch(detector, FEATURES)
    assert [watch.poll(), watch.poll()] == [None, None]


def test_a_touched_file_of_the_same_content_gives_nothing(path: Path, detector: Detector) -> None:
    watch = Watch(detector, FEATURES)
    put(path, path.read_bytes(), 10**18)
    assert watch.poll() is None


def test_a_new_file_gives_its_detector_until_it_is_taken(path: Path, detector: Detector) -> None:
    watch = Watch(detector, FEATURES)
    write(path, version="v2")
    found = watch.poll()
    assert found is not None
    assert found.info.version == "v2"
    assert watch.poll() is found
    watch.taken(found)
    assert watch.poll() is None


def test_a_bad_file_is_told_while_it_lies_there_and_a_good_one_after_it_is_given(
    path: Path, detector: Detector
) -> None:
    watch = Watch(detector, FEATURES)
    put(path, b"half a fi", 10**18)
    for _ in range(2):
        with pytest.raises(ModelError):
            watch.poll()
    write(path, version="v2")
    os.utime(path, ns=(2 * 10**18, 2 * 10**18))
    assert watch.poll() is not None


def test_a_file_that_is_gone_is_told(path: Path, detector: Detector) -> None:
    watch = Watch(detector, FEATURES)
    path.unlink()
    with pytest.raises(ModelError, match="the model in use stays"):
        watch.poll()
