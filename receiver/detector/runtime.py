"""onnxruntime, imported here and nowhere else, with its telemetry off.

Left alone, its import names this machine, keeps that name and a file of events for its makers in the home folder, and
reads the switch never again. Nobody who runs Nodescore has agreed to that.
"""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

__all__ = ["onnxruntime"]
