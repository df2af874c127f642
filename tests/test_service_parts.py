"""What a service has beside its pipeline: the model's file, labels of others, its folder, the database."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

import pytest

from receiver.columns import NodeName
from receiver.errors import ModelError
from receiver.settings import SettingsError
from receiver.store import Label
from receiver.store.embedded import EmbeddedReader
from tests import counting_model
from tests.servers.process import wait_until
from tests.serving import CATALOGUE, request, running, write


def test_reload_takes_the_new_file_and_keeps_the_old_model_when_it_is_bad(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        counting_model.write(tmp_path / "model.onnx", CATALOGUE, version="counting-2")
        assert service.reload() == "model counting-2 is in use"
        (tmp_path / "model.onnx").write_bytes(b"bad")
        with pytest.raises(ModelError):
            service.reload()
        assert [part.text for part in service.status() if part.name == "model"] == ["counting counting-2"]


def test_a_service_with_a_fixed_file_activates_nothing_and_says_why(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        with pytest.raises(ModelError, match=r"is fixed to .*model\.onnx"):
            service.activate_model("v1", "ann", "")
        with pytest.raises(ModelError, match=r"is fixed to .*model\.onnx"):
            service.roll_back_model("ann", "")


def test_a_label_that_another_process_puts_into_the_file_is_learnt(tmp_path: Path) -> None:
    counting_model.write(tmp_path / "model.onnx", CATALOGUE, offset=5.0)  # always over the threshold
    with running(tmp_path) as service:
        last_ms = service.now_ms() - 1000

        def shows(score: float) -> None:
            wait_until(lambda: service.exposition.snapshot.score.tolist() == pytest.approx([score]), f"score {score}")

        for place in range(3):
            write(service, request(last_ms - 1000 * (2 - place)))
        shows(5.03)
        normal = Label(NodeName("", "a:9100"), last_ms, last_ms, False, None, "", "ann", last_ms)
        with closing(EmbeddedReader.open(service.settings.embedded_path, CATALOGUE)) as reader:
            reader.add_label(normal)
        shows(5.01)


def test_a_data_folder_that_cannot_be_made_is_a_wrong_setting(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(SettingsError, match="setting data_dir"), running(tmp_path):
        pass


def test_rows_go_on_to_timescaledb_and_the_status_says_so(tmp_path: Path, timescale_dsn: str) -> None:
    import psycopg

    with running(tmp_path, store=timescale_dsn) as service:
        write(service, request(service.now_ms()))

        def arrived() -> bool:
            try:
                with psycopg.connect(timescale_dsn) as connection:
                    found = connection.execute("SELECT count(*) FROM node_scores").fetchone()
            except psycopg.errors.UndefinedTable:
                return False
            return found == (1,)

        wait_until(arrived, "the row in TimescaleDB")
        wait_until(lambda: service.status()[-1].text == "0 rows wait here", "the lag to be known")


def test_a_timescaledb_that_is_away_degrades_the_status_and_nothing_else(tmp_path: Path) -> None:
    with running(tmp_path, store="postgresql://nobody:secret@127.0.0.1:1/none") as service:
        write(service, request(service.now_ms()))
        wait_until(lambda: service.exposition.snapshot.names, "a score")
        wait_until(lambda: service.status()[-1].state == "degraded", "the status to say so")
        assert "secret" not in service.status()[-1].text
        began = time.monotonic()
    assert time.monotonic() - began < 5
