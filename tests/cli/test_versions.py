"""`nodescore models …`: which model scores, and back."""

from __future__ import annotations

import json
from pathlib import Path

from receiver.catalogue import load
from tests import counting_model
from tests.cli.conftest import Nodescore


def model(folder: Path, version: str) -> Path:
    return counting_model.write(folder / f"{version}.onnx", load(), version)


def test_versions_are_added_activated_and_rolled_back(nodescore: Nodescore, tmp_path: Path) -> None:
    for version in ("v1", "v2"):
        added = nodescore("models", "add", model(tmp_path, version), "--data-dir", "data")
        assert added.status == 0
        assert f"nodescore models activate {version}" in added.out
        assert nodescore("models", "activate", version, "--data-dir", "data", "--reason", "new").status == 0
    listed = nodescore("models", "list", "--data-dir", "data").out
    assert [line.split()[:2] for line in listed.splitlines()] == [["v1", "retired"], ["v2", "active"]]
    back = nodescore("models", "rollback", "--data-dir", "data").out
    assert back.startswith("v1 is active since ")
    shown = json.loads(nodescore("models", "show", "v1", "--data-dir", "data").out)
    assert shown["state"] == "active"
    assert shown["card"]["detector"] == "counting"
    assert [(entry["reason"], entry["rollback"]) for entry in shown["activations"]] == [("new", False), ("", True)]


def test_a_candidate_scores_in_the_shadow_until_none_shall(nodescore: Nodescore, tmp_path: Path) -> None:
    for version in ("v1", "v2"):
        nodescore("models", "add", model(tmp_path, version), "--data-dir", "data")
    nodescore("models", "activate", "v1", "--data-dir", "data")
    began = nodescore("models", "shadow", "v2", "--data-dir", "data")
    assert began.out == "v2 scores in the shadow; services follow within 10 s\n"
    listed = nodescore("models", "list", "--data-dir", "data").out
    assert [line.split()[:2] for line in listed.splitlines()] == [["v1", "active"], ["v2", "shadow"]]
    ended = nodescore("models", "shadow", "--off", "--data-dir", "data")
    assert ended.out == "v2 scores in the shadow no more; services follow within 10 s\n"
    for wrong in ([], ["v2", "--off"], ["--off"], ["v1"]):
        assert nodescore("models", "shadow", *wrong, "--data-dir", "data").status == 2


def test_an_empty_store_says_how_it_gets_its_first_version(nodescore: Nodescore) -> None:
    assert "the first start" in nodescore("models", "list", "--data-dir", "data").out


def test_a_bad_file_and_an_unknown_version_end_with_status_2(nodescore: Nodescore, tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"bad")
    for command in (("add", tmp_path / "bad.onnx"), ("add", "none.onnx"), ("activate", "v9"), ("show", "v9")):
        ended = nodescore("models", *command, "--data-dir", "data")
        assert ended.status == 2
        assert ended.err.startswith("nodescore: model ")
    assert nodescore("models", "rollback", "--data-dir", "data").status == 2


def test_check_examines_the_active_version(nodescore: Nodescore, tmp_path: Path) -> None:
    nodescore("models", "add", model(tmp_path, "v1"), "--data-dir", "data")
    nodescore("models", "activate", "v1", "--data-dir", "data")
    assert "ok     model: v1: counting v1" in nodescore("check", "--data-dir", "data", "--listen", "127.0.0.1:0").out
