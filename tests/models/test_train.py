"""Training, scoring and evaluating on files, as the commands do."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from models.detectors import DEFAULT, DETECTORS, zscore
from models.detectors.mean_z2 import LEAST_THRESHOLD
from models.detectors.supervised import LEAST_OF_EVEN
from models.evaluate import evaluate
from models.score import score
from models.train import fit, train
from receiver.detector import Detector
from receiver.errors import ConfigurationError, DataError
from tests.models.nodes import FEATURES, table, write_csv
from tests.models.trained import attacked

NOW_MS = 1_795_000_000_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with train.csv, test.csv and the model of the first."""
    folder = tmp_path_factory.mktemp("tables")
    write_csv(table(nodes=15, seconds=1800, step=5, busy_spread=2), folder / "train.csv")
    write_csv(table(nodes=3, seconds=1800, step=5, seed=4, attack=(1200, 1320)), folder / "test.csv")
    train(folder / "train.csv", folder / "model.onnx", created_ms=NOW_MS)
    return folder


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model of a table with labelled attacks, which that table lies beside."""
    folder = tmp_path_factory.mktemp("labelled")
    train(write_csv(attacked(), folder / "train.csv"), folder / "model.onnx", created_ms=NOW_MS)
    return folder / "model.onnx"


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


class TestTrain:
    def test_the_card_is_what_the_model_says_of_itself(self, folder: Path) -> None:
        card = json.loads((folder / "model.json").read_text())
        info = Detector.load(folder / "model.onnx", FEATURES).info
        assert (info.version, info.detector, info.created) == (card["version"], card["detector"], card["created"])
        assert info.provenance == card["provenance"]

    def test_the_card_says_what_the_threshold_rests_on(self, folder: Path) -> None:
        card = json.loads((folder / "model.json").read_text())["provenance"]
        assert card["data"]["rows"] == 15 * 360
        assert card["threshold"]["asked_per_node_day"] == 0.1
        assert card["threshold"]["bound_95_per_node_day"] > 4
        assert card["threshold"]["node_days"] == pytest.approx(15 * 1800 / 86400, rel=0.01)

    def test_the_card_says_where_the_least_threshold_holds_and_not_the_data(self, folder: Path, tmp_path: Path) -> None:
        card = train(folder / "train.csv", tmp_path / "model.onnx", created_ms=NOW_MS, false_alerts_per_node_day=1000)
        found = card["provenance"]["threshold"]
        assert found["threshold"] == LEAST_THRESHOLD > found["calibrated_threshold"]
        assert found["method"] == "least"

    def test_the_same_data_gives_the_same_model(self, folder: Path, tmp_path: Path) -> None:
        train(folder / "train.csv", tmp_path / "again.onnx", created_ms=NOW_MS)
        assert (tmp_path / "again.onnx").read_bytes() == (folder / "model.onnx").read_bytes()

    def test_labelled_attacks_are_left_out_of_what_is_normal(self, tmp_path: Path) -> None:
        rows = table(nodes=8, seconds=1800, step=5, attack=(500, 800))
        assert rows.attack is not None
        write_csv(rows, tmp_path / "with.csv")
        write_csv(rows.take(~rows.attack), tmp_path / "without.csv")
        for name in ("with", "without"):
            train(tmp_path / f"{name}.csv", tmp_path / f"{name}.onnx", created_ms=NOW_MS, detector="mean_z2")
        states = [Detector.load(tmp_path / f"{name}.onnx").initial_state for name in ("with", "without")]
        assert states[0] == pytest.approx(states[1], rel=0.05, abs=0.02)

    @pytest.mark.parametrize("detector", ["zscore", "mean_z2", "pca"])
    def test_accuracy_takes_the_threshold_from_labels(self, tmp_path: Path, detector: str) -> None:
        rows = table(nodes=3, seconds=6000, step=10, attack=(4500, 5200))
        data = write_csv(rows, tmp_path / "labelled.csv")
        card = train(data, tmp_path / "m.onnx", created_ms=NOW_MS, detector=detector, objective="accuracy")
        assert card["provenance"]["threshold"]["objective"] == "accuracy"
        assert evaluate(data, tmp_path / "m.onnx")["accuracy"] > (0.95 if detector != "pca" else 0.88)

    def test_the_default_learns_from_labels_where_there_are_enough_and_does_without_where_not(
        self, labelled: Path, tmp_path: Path
    ) -> None:
        rows = attacked()
        two_attacks = (rows.node < 2) & (np.arange(len(rows)) < 4 * 200)
        write_csv(rows.take(two_attacks), tmp_path / "few.csv")
        train(tmp_path / "few.csv", tmp_path / "few.onnx", created_ms=NOW_MS)
        assert b"TreeEnsemble" in labelled.read_bytes()
        assert b"TreeEnsemble" not in (tmp_path / "few.onnx").read_bytes()

    def test_a_learner_without_attacks_is_refused(self, folder: Path, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="learns from labels"):
            train(folder / "train.csv", tmp_path / "m.onnx", created_ms=NOW_MS, detector="gradient_boosting")

    def test_a_budget_beyond_what_quiet_hours_can_show_leaves_attacks_within_reach_of_who_knows_them(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        alone = fit(attacked(), "zscore", 0.01, "budget")[1]["threshold"]
        most = (alone["highest_score"] + alone["threshold"]) / 2
        monkeypatch.setitem(DETECTORS, "zscore", lambda rows: replace(zscore.fit(rows), most=most))
        found = fit(attacked(), "zscore", 0.01, "budget")[1]["threshold"]
        assert found["method"] == "most"
        assert found["highest_score"] < found["threshold"] == most < found["calibrated_threshold"]

    def test_what_outlasts_an_attacks_label_for_a_minute_sets_no_learners_threshold(self, labelled: Path) -> None:
        rows = attacked()
        seconds = (rows.time_ms - rows.time_ms[0]) / 1000
        during, after = (seconds >= 6570) & (seconds < 6640), (seconds >= 6640) & (seconds < 6710)
        lasting = replace(rows, x=rows.x.copy())
        lasting.x[after] = rows.x[during]
        assert rows.attack is not None
        assert rows.attack[during].all()
        assert not rows.attack[after].any()
        without = json.loads(labelled.with_suffix(".json").read_text())["provenance"]["threshold"]
        for found in (without, fit(lasting, DEFAULT, 0.1, "budget")[1]["threshold"]):
            assert found["highest_score"] < LEAST_OF_EVEN * np.log(2)

    def test_accuracy_without_labels_is_refused(self, folder: Path, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="needs rows with attack 0 and with 1"):
            train(folder / "train.csv", tmp_path / "m.onnx", created_ms=NOW_MS, objective="accuracy")

    def test_an_unknown_detector_is_refused_with_those_there_are(self, folder: Path, tmp_path: Path) -> None:
        with pytest.raises(
            ConfigurationError, match="no detector magic; there are: auto, zscore, robust_z, mean_z2, pca"
        ):
            train(folder / "train.csv", tmp_path / "m.onnx", created_ms=NOW_MS, detector="magic")

    def test_too_few_rows_are_refused(self, tmp_path: Path) -> None:
        data = write_csv(table(nodes=1, seconds=450), tmp_path / "short.csv")
        with pytest.raises(DataError, match="normal rows; it takes 100"):
            train(data, tmp_path / "m.onnx", created_ms=NOW_MS)

    def test_a_folder_that_is_not_there_is_refused(self, folder: Path, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="cannot be written"):
            train(folder / "train.csv", tmp_path / "none" / "m.onnx", created_ms=NOW_MS)

    def test_any_feature_columns_will_do(self, tmp_path: Path) -> None:
        random = np.random.default_rng(0)
        lines = ["time,pressure,valve,dead,never"]
        lines += [f"{1_767_225_600 + 60 * row},{random.normal():.3f},{row % 2},7," for row in range(1000)]
        (tmp_path / "plant.csv").write_text("\n".join(lines))
        for detector in ("zscore", "mean_z2", "pca", "agreement"):
            train(tmp_path / "plant.csv", tmp_path / "m.onnx", created_ms=NOW_MS, detector=detector)
            assert evaluate(tmp_path / "plant.csv", tmp_path / "m.onnx")["false_positive_rate"] < 0.01

    def test_one_file_is_all_there_is(self, folder: Path) -> None:
        onnx.checker.check_model(onnx.load(folder / "model.onnx", load_external_data=False), full_check=True)
        assert sorted(path.name for path in folder.glob("model*")) == ["model.json", "model.onnx"]


class TestScore:
    def test_rows_keep_their_order_and_their_text(self, folder: Path, tmp_path: Path) -> None:
        lines = (folder / "test.csv").read_text().splitlines()
        turned = tmp_path / "turned.csv"
        turned.write_text("\n".join([lines[0], *reversed(lines[1:])]) + "\n")
        assert score(turned, folder / "model.onnx", tmp_path / "scores.csv") == len(lines) - 1
        given, found = read_csv(turned), read_csv(tmp_path / "scores.csv")
        assert [(row["time"], row["node"]) for row in found] == [(row["time"], row["node"]) for row in given]
        assert list(found[0]) == ["time", "node", "score", *(f"contribution_{name}" for name in FEATURES)]

    def test_names_that_need_quotes_have_them(self, tmp_path: Path) -> None:
        (tmp_path / "plain.csv").write_text("time,node,a\n" + "".join(f"{row},n,{row % 5}\n" for row in range(300)))
        (tmp_path / "odd.csv").write_text("time,node,a\n" + "".join(f'{row},"n,1",{row % 5}\n' for row in range(300)))
        train(tmp_path / "plain.csv", tmp_path / "m.onnx", created_ms=NOW_MS)
        for name, node in (("plain", "n"), ("odd", "n,1")):
            score(tmp_path / f"{name}.csv", tmp_path / "m.onnx", tmp_path / "scores.csv")
            assert {row["node"] for row in read_csv(tmp_path / "scores.csv")} == {node}
            assert ('"' in (tmp_path / "scores.csv").read_text()) == (name == "odd")

    def test_a_score_uses_only_rows_up_to_its_own(self, folder: Path, tmp_path: Path) -> None:
        lines = (folder / "test.csv").read_text().splitlines()
        cut = 700
        (tmp_path / "cut.csv").write_text("\n".join(lines[: cut + 1]) + "\n")
        score(folder / "test.csv", folder / "model.onnx", tmp_path / "whole_scores.csv")
        score(tmp_path / "cut.csv", folder / "model.onnx", tmp_path / "cut_scores.csv")
        assert read_csv(tmp_path / "cut_scores.csv") == read_csv(tmp_path / "whole_scores.csv")[:cut]

    def test_a_table_without_nodes_has_scores_without_nodes(self, tmp_path: Path) -> None:
        lines = ["time,a"] + [f"2026-01-01 {row // 60:02}:{row % 60:02}:00,{row % 7}" for row in range(600)]
        (tmp_path / "one.csv").write_text("\n".join(lines))
        train(tmp_path / "one.csv", tmp_path / "m.onnx", created_ms=NOW_MS)
        score(tmp_path / "one.csv", tmp_path / "m.onnx", tmp_path / "scores.csv")
        found = read_csv(tmp_path / "scores.csv")
        assert list(found[0]) == ["time", "score", "contribution_a"]
        assert found[599]["time"] == "2026-01-01 09:59:00"

    def test_two_rows_of_one_time_have_one_score(self, tmp_path: Path) -> None:
        lines = ["time,a"] + [f"{1_767_225_600 + row // 2},{row % 7}" for row in range(600)]
        (tmp_path / "double.csv").write_text("\n".join(lines))
        train(tmp_path / "double.csv", tmp_path / "m.onnx", created_ms=NOW_MS)
        score(tmp_path / "double.csv", tmp_path / "m.onnx", tmp_path / "scores.csv")
        found = read_csv(tmp_path / "scores.csv")
        assert all(one["score"] == other["score"] for one, other in zip(found[::2], found[1::2], strict=True))

    def test_features_that_lack_are_named(self, folder: Path, tmp_path: Path) -> None:
        (tmp_path / "other.csv").write_text("time,node,load1\n1767225600,n,1\n")
        with pytest.raises(DataError, match="the table lacks cpu_sec_idle"):
            score(tmp_path / "other.csv", folder / "model.onnx", tmp_path / "scores.csv")

    def test_progress_ends_at_all_rows(self, folder: Path, tmp_path: Path) -> None:
        told: list[tuple[int, int]] = []
        score(folder / "test.csv", folder / "model.onnx", tmp_path / "s.csv", progress=lambda *done: told.append(done))
        assert told[-1] == (1080, 1080)


class TestEvaluate:
    def test_finds_the_attack_on_every_node(self, folder: Path) -> None:
        figures = evaluate(folder / "test.csv", folder / "model.onnx")
        assert figures["events"] == 3
        assert figures["event_recall_raised_60s"] == 1.0
        assert figures["auc_pr"] > 0.7 > figures["auc_pr_random"]
        assert figures["perfect_event_recall_raised_30s"] == 1.0
        assert figures["false_alerts"] == 0
        assert figures["false_alerts_per_node_day_bound_95"] > 10

    def test_without_labels_every_alert_is_false(self, folder: Path) -> None:
        figures = evaluate(folder / "train.csv", folder / "model.onnx")
        assert figures["labelled"] is False
        assert figures["events"] == 0
        assert figures["normal_node_days"] == pytest.approx(15 * 1800 / 86400, rel=0.01)

    def test_figures_are_json(self, folder: Path) -> None:
        def no_constants(name: str) -> Any:
            raise AssertionError(name)

        text = json.dumps(evaluate(folder / "test.csv", folder / "model.onnx"))
        json.loads(text, parse_constant=no_constants)
