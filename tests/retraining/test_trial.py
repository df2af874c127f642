"""What two models did on what operators have marked."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.retraining import trial
from models.retraining.trial import Contest, Marked
from models.scenarios import known
from receiver import registry
from receiver.catalogue import load
from receiver.detector import Detector
from tests import counting_model
from tests.retraining.test_lessons import label, sample


@pytest.fixture
def contest(tmp_path: Path) -> Contest:
    """The candidate never alarms, the active model always does."""
    never, always = (
        Detector.load(counting_model.write(tmp_path / f"{offset}.onnx", load(), offset=offset)) for offset in (0.0, 5.0)
    )
    return Contest(never, always)


def test_of_two_labels_the_newer_one_is_counted(contest: Contest) -> None:
    both = [label(20, 30, True, created=1), label(20, 30, False, created=2)]
    _, told = trial.marked(contest, sample(both))
    assert told == {"attacks": Marked(0, 0, 0), "false_alarms": Marked(1, 1, 0)}


def test_a_label_that_is_overruled_in_part_is_counted_by_the_rest(contest: Contest) -> None:
    both = [label(20, 30, True, created=1), label(20, 25, False, created=2)]
    _, told = trial.marked(contest, sample(both))
    assert told == {"attacks": Marked(1, 1, 0), "false_alarms": Marked(1, 1, 0)}


def test_floors_lie_a_margin_below_what_the_model_that_ships_raises_and_never_below_none() -> None:
    attacks = known.of(load(), "measure")
    assert attacks is not None
    shipped = registry.first_model(load())
    _, (of_all, *of_kinds) = trial.replay(Contest(shipped, shipped), shipped, attacks)
    assert of_all.least == of_all.active - trial.ALL_FLOOR
    assert {floor.measure.split(" raised")[0] for floor in of_kinds} == {attack.kind for _, attack in attacks.attacks}
    assert [floor.least for floor in of_kinds] == [max(0, floor.active - trial.KIND_FLOOR) for floor in of_kinds]
    assert min(floor.least for floor in of_kinds) == 0


def test_the_floor_of_a_kind_lets_four_attacks_of_a_dozen_go_and_no_fifth() -> None:
    attacks = known.of(load(), "measure")
    assert attacks is not None
    shipped = registry.first_model(load())
    _, floors = trial.replay(Contest(shipped, shipped), shipped, attacks)
    (cpu_stress,) = [floor for floor in floors if floor.measure.startswith("cpu-stress")]
    raised = round(12 * cpu_stress.active)
    assert (raised - 5) / 12 < cpu_stress.least <= (raised - 4) / 12
