"""Where models are found: now the one that ships with the product, as package data of `models`."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

SHIPPED = "node24.onnx"


def shipped_model() -> Path:
    """The model that a first start scores with."""
    return Path(str(resources.files("models").joinpath("shipped", SHIPPED)))
