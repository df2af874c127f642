"""The data sets, by name, and what their figures say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.detection import aks, eks, hpas, machines, scenarios
from benchmarks.detection.cases import Case
from benchmarks.detection.splits import Part


@dataclass(frozen=True, slots=True)
class DataSet:
    """A set, not yet read."""

    title: str
    cases: Callable[[Path, Part], list[Case]]
    needs_folder: bool = True


def _own(_: Path, part: Part) -> list[Case]:
    return scenarios.own(part)


SETS = {
    "scenarios": DataSet("Our own scenarios, nodes and strengths not trained on", _own, needs_folder=False),
    "eks": DataSet("EKS nodes, one workload left out, threshold for accuracy", eks.one_workload_out),
    "eks-time": DataSet("EKS nodes, the last 20 % in time, threshold for accuracy", eks.in_time),
    "eks-unsupervised": DataSet("EKS nodes, normal rows of the other workloads only", eks.unsupervised),
    "smd": DataSet("SMD, a model for each machine, from its train part", machines.smd),
    "smd-unseen": DataSet("SMD, machines not trained on", machines.smd_unseen),
    "asd": DataSet("ASD, a model for each server, from its train part", machines.asd),
    "hpas": DataSet("HPAS, runs held out, every tenth row", hpas.runs_held_out),
    "aks": DataSet("AKS nodes without labels, rates from differences of totals", aks.rates),
    "aks-raw": DataSet("AKS nodes without labels, totals as they are", aks.totals),
}
