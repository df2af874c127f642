"""Versions of the model, one of them refused, as a service of the tests may hold them."""

from __future__ import annotations

from typing import Any

from receiver.registry import Listed, State
from receiver.store import Activation, ModelVersion
from tests.web.service import NOW_MS, HeldService

REASON = "recall on known attacks falls by more than 2 points"
GATE = {
    "promote": False,
    "against": "pca-1",
    "at": "2026-11-20T07:00:00Z",
    "reasons": [REASON],
    "compared": [
        {
            "measure": "recall on known attacks",
            "candidate": 0.62,
            "active": 0.91,
            "low": -0.4,
            "high": -0.18,
            "margin": 0.02,
            "holds": False,
        },
        {"measure": "false alerts a node-day", "candidate": 0.05, "active": None, "holds": True},
    ],
}
FEEDBACK = {"false_alarms": {"marked": 3, "active": 3, "candidate": 1}}


def version(name: str, state: State, said: dict[str, Any]) -> Listed:
    return Listed(
        ModelVersion(
            version=name,
            sha256=name.encode().hex(),
            size_bytes=7,
            card={"detector": "pca"},
            parent="pca-0",
            trained_from_ms=NOW_MS - 86_400_000,
            trained_until_ms=NOW_MS - 1000,
            labels={"FP": 2, "TP": 1},
            measures=said,
            created_ms=NOW_MS,
        ),
        state,
    )


def with_versions(service: HeldService) -> HeldService:
    """The service with the version before, the active one, and a candidate that the gate has refused."""
    service.listed = [
        version("pca-0", "retired", {}),
        version("pca-1", "active", {}),
        version("pca-2", "candidate", {"gate": GATE, "feedback": FEEDBACK}),
    ]
    service.entered = [
        Activation("pca-0", "", NOW_MS - 2000, "nodescore", "it ships", rollback=False, id=1),
        Activation("pca-1", "pca-0", NOW_MS - 1000, "ann", "fewer <b>alerts</b>", rollback=False, id=2),
    ]
    return service
