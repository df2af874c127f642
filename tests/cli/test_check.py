"""`nodescore check`."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli import busy_model
from tests.cli.conftest import Nodescore
from tests.web.guarded import HASH


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return busy_model.write(tmp_path / "busy.onnx")


def test_a_good_configuration_has_a_line_for_each_part(nodescore: Nodescore, model: Path, data_dir: Path) -> None:
    done = nodescore("check", "--model", model, "--data-dir", data_dir)
    assert done.status == 0
    assert [line.split(":")[0] for line in done.out.splitlines()] == [
        "ok     settings",
        "ok     catalogue",
        "ok     model",
        "ok     store",
    ]
    assert "24 features" in done.out
    assert "busy busy-1" in done.out
    assert "2 nodes" in done.out


def test_nothing_is_made_or_changed(nodescore: Nodescore, model: Path, tmp_path: Path) -> None:
    done = nodescore("check", "--model", model, "--data-dir", tmp_path / "not" / "yet")
    assert done.status == 0
    assert "will be made" in done.out
    assert [path.name for path in tmp_path.iterdir()] == ["busy.onnx"]


def test_a_wrong_setting_is_named(nodescore: Nodescore) -> None:
    done = nodescore("check", "--listen", "here")
    assert (done.status, done.out) == (
        2,
        "FAULT  settings: setting listen: Value error, must be HOST:PORT, like 127.0.0.1:9201\n",
    )


def test_a_wrong_catalogue_is_named(nodescore: Nodescore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.toml").write_text("name = 'x'")
    monkeypatch.setenv("NODESCORE_CATALOGUE", "mine.toml")
    done = nodescore("check")
    assert done.status == 2
    assert done.out.splitlines()[1].startswith("FAULT  catalogue: catalogue mine.toml: entity: Field required")


def test_a_model_of_other_features_is_named_and_the_rest_is_still_examined(
    nodescore: Nodescore, tmp_path: Path
) -> None:
    other = busy_model.write(tmp_path / "other.onnx", ("cpu_sec_idle", "load1"))
    done = nodescore("check", "--model", other, "--data-dir", tmp_path / "data")
    assert done.status == 2
    assert "FAULT  model: model" in done.out
    assert "model: cpu_sec_idle, load1; catalogue: cpu_sec_idle, disk_av_per" in done.out
    assert done.out.splitlines()[-1].startswith("ok     store")


def test_a_store_that_is_none_is_named(nodescore: Nodescore, model: Path, tmp_path: Path) -> None:
    (tmp_path / "nodescore.sqlite").write_bytes(b"not a database at all" * 100)
    done = nodescore("check", "--model", model, "--data-dir", tmp_path)
    assert done.status == 2
    assert "FAULT  store: store" in done.out


def test_a_store_of_a_newer_version_is_a_fault_as_serve_says(nodescore: Nodescore, model: Path, data_dir: Path) -> None:
    path = data_dir / "nodescore.sqlite"
    with closing(sqlite3.connect(path)) as newer:
        newer.executescript("PRAGMA user_version = 99; UPDATE progress SET value = 99 WHERE name = 'format'")
    done = nodescore("check", "--model", model, "--data-dir", data_dir)
    assert done.status == 2
    assert f"FAULT  store: store {path}: written by a newer nodescore (format 99" in done.out


def test_a_data_folder_that_cannot_be_one_is_named(nodescore: Nodescore, model: Path) -> None:
    done = nodescore("check", "--model", model, "--data-dir", model / "data")
    assert done.status == 2
    assert f"FAULT  store: data folder {model / 'data'}: {model} is not a folder that can be written" in done.out


def test_a_path_that_the_system_refuses_is_a_fault_and_a_line(nodescore: Nodescore, model: Path) -> None:
    folder = "d" * 300  # a folder that another user owns is refused in the same way, but not to root
    done = nodescore("check", "--model", model, "--data-dir", folder)
    assert (done.status, "store: nodescore" in done.out) == (2, False)
    assert f"FAULT  store: {folder}" in done.out
    assert done.out.endswith(": File name too long\n")
    done = nodescore("export", "out.csv", "--data-dir", folder)
    assert (done.status, done.err) == (2, f"nodescore: {folder}/nodescore.sqlite: File name too long\n")


def test_a_timescaledb_has_a_line(nodescore: Nodescore, model: Path, timescale_dsn: str) -> None:
    done = nodescore("check", "--model", model, "--store", timescale_dsn)
    assert done.status == 0
    assert "ok     timescaledb: " in done.out
    assert "TimescaleDB" in done.out


def test_a_timescaledb_that_does_not_answer_is_a_fault_without_its_password(nodescore: Nodescore, model: Path) -> None:
    done = nodescore("check", "--model", model, "--store", "postgresql://user:hunter2@127.0.0.1:1/db")
    assert done.status == 2
    assert "FAULT  timescaledb: " in done.out
    assert "hunter2" not in done.out


def test_a_web_configuration_has_a_line_without_its_secrets(nodescore: Nodescore, model: Path, tmp_path: Path) -> None:
    file = tmp_path / "web.yml"
    file.write_text(f'basic_auth_users: {{ann: "{HASH}"}}')
    done = nodescore("check", "--model", model, "--data-dir", tmp_path / "data", "--web-config", file)
    assert (done.status, done.out.splitlines()[-1]) == (0, f"ok     web config: {file}: no TLS, 1 user")
    file.write_text("basic_auth_users: {ann: hunter2}")
    done = nodescore("check", "--model", model, "--data-dir", tmp_path / "data", "--web-config", file)
    assert done.status == 2
    assert f"FAULT  web config: web configuration {file}: basic_auth_users: user ann: not a bcrypt hash" in done.out
    assert "hunter2" not in done.out
