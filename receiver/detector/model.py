"""One model file, checked against the contract and ready to step.

In: a path and the catalogue's feature names. Out: a `Detector`, immutable. Raises `ModelError`, one line that
says what is wrong with which file. Loading costs tens of milliseconds, a step of the shipped model about
0.1 ms plus 2 µs a node.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from receiver.columns import Float32
from receiver.detector.external import refers_to_files
from receiver.detector.runtime import onnxruntime
from receiver.errors import ModelError
from receiver.settings import MAX_MODEL_BYTES

CONTRACT = "1"
# 20 KiB a node: 100 MB for 5,000 nodes.
MAX_STATE_SIZE = 5 * 1024
# Times in the trial step: a node's first row, a usual one, and one after a year.
_TRIAL_SECONDS = (0.0, 10.0, 365 * 86400.0)


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a model file says of itself, and where it was found."""

    version: str
    detector: str
    created: str  # RFC 3339
    feature_names: tuple[str, ...]
    state_size: int  # S
    provenance: Mapping[str, Any]
    path: Path
    sha256: str  # of the file, hexadecimal


@dataclass(frozen=True, slots=True)
class StepResult:
    """What one step gives for N nodes; fresh arrays."""

    score: Float32  # [N]
    next_state: Float32  # [N, S]
    contribution: Float32  # [N, F], or NaN in rows where none was computed


class Detector:
    """A loaded model. Shared freely: a step changes nothing in it."""

    def __init__(self, session: onnxruntime.InferenceSession, info: ModelInfo, initial_state: Float32) -> None:
        self.info = info
        self.initial_state = initial_state  # [S]
        self._session = session
        self._outputs = ["score", "next_state"]
        self.explains_itself = "contribution" in {output.name for output in session.get_outputs()}
        if self.explains_itself:
            self._outputs.append("contribution")

    @classmethod
    def load(cls, path: Path, feature_names: Sequence[str] | None = None) -> Self:
        """Read and check a model; its features must be `feature_names`, unless those are None."""
        return cls.parse(read(path), path, feature_names)

    @classmethod
    def parse(cls, body: bytes, path: Path, feature_names: Sequence[str] | None = None) -> Self:
        """Check a model that is in memory; `path` names it in errors."""
        try:
            if refers_to_files(body):
                raise ModelError(f"model {path}: keeps tensors in other files; a model must be one file")
        except (ValueError, RecursionError) as error:
            raise ModelError(f"model {path}: is not an ONNX file: {error}") from None
        session = _session(body, path)
        try:
            info, initial_state = _describe(session, path, hashlib.sha256(body).hexdigest())
            _check_signature(session, info)
        except UnicodeDecodeError:
            raise ModelError(f"model {path}: holds names that are not UTF-8") from None
        if feature_names is not None and info.feature_names != tuple(feature_names):
            raise ModelError(
                f"model {path}: its features are not the catalogue's; "
                f"model: {', '.join(info.feature_names)}; catalogue: {', '.join(feature_names)}"
            )
        detector = cls(session, info, initial_state)
        detector._try()
        return detector

    def step(self, x: Float32, elapsed_seconds: Float32, state: Float32) -> StepResult:
        """Score one row of each of N nodes: x [N, F], seconds since its previous row [N], its state [N, S].

        Contributions are ≥ 0 and sum to at most the score. Where the graph has none, rows over 1.0 get them by
        leaving one feature at a time out: the falls of the score, scaled to sum to it.
        """
        score, next_state, contribution = self._run(x, elapsed_seconds, state)
        if contribution is None:
            contribution = np.full(x.shape, np.nan, np.float32)
            over = np.flatnonzero((score > 1) & np.isfinite(score))
            if len(over):
                contribution[over] = self._leave_one_out(x[over], elapsed_seconds[over], state[over], score[over])
        return StepResult(score, next_state, contribution)

    def _run(self, x: Float32, elapsed_seconds: Float32, state: Float32) -> tuple[Float32, Float32, Float32 | None]:
        inputs = {"x": x, "elapsed_seconds": elapsed_seconds, "state": state}
        score, next_state, *rest = self._session.run(self._outputs, inputs)
        return score, next_state, rest[0] if rest else None

    def _leave_one_out(self, x: Float32, elapsed_seconds: Float32, state: Float32, score: Float32) -> Float32:
        falls = np.zeros_like(x)
        for feature in range(x.shape[1]):
            without = x.copy()
            without[:, feature] = np.nan
            falls[:, feature] = score - self._run(without, elapsed_seconds, state)[0]
        np.maximum(falls, 0, out=falls)
        total = falls.sum(axis=1, keepdims=True)
        return np.where(total > 0, falls * (score[:, None] / np.maximum(total, 1e-30)), np.nan).astype(np.float32)

    def _try(self) -> None:
        """Step twice over the worst input; every shape must fit and every number be finite."""
        path, features, size = self.info.path, len(self.info.feature_names), self.info.state_size
        worst = np.finfo(np.float32).max
        for nodes in (1, 2):
            for value in (np.nan, 0.0, 1.0, worst, -worst):
                x = np.full((nodes, features), value, np.float32)
                state = np.tile(self.initial_state, (nodes, 1))
                for seconds in _TRIAL_SECONDS:
                    try:
                        score, state, contribution = self._run(x, np.full(nodes, seconds, np.float32), state)
                    except Exception as error:
                        raise ModelError(f"model {path}: the trial step fails: {_one_line(error)}") from None
                    shapes = {"score": (score, (nodes,)), "next_state": (state, (nodes, size))}
                    if contribution is not None:
                        shapes["contribution"] = (contribution, (nodes, features))
                    for name, (array, shape) in shapes.items():
                        if array.shape != shape:
                            raise ModelError(f"model {path}: {name} has shape {array.shape}, not {shape}")
                        if not np.isfinite(array).all():
                            raise ModelError(f"model {path}: {name} is not finite where every x is {value:g}")


def read(path: Path) -> bytes:
    """The file of a model, as far as it may be one. Raises `ModelError`."""
    try:
        if path.stat().st_size > MAX_MODEL_BYTES:
            raise ModelError(f"model {path}: larger than {MAX_MODEL_BYTES} bytes")
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"model {path}: cannot be read: {error.strerror}") from None


def _session(body: bytes, path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # faults come as exceptions; it would print them too
    try:
        return onnxruntime.InferenceSession(body, options, providers=["CPUExecutionProvider"], enable_fallback=0)
    except Exception as error:  # onnxruntime's have no common base
        raise ModelError(f"model {path}: is not an ONNX file that runs here: {_one_line(error)}") from None


def _describe(session: onnxruntime.InferenceSession, path: Path, sha256: str) -> tuple[ModelInfo, Float32]:
    found = session.get_modelmeta().custom_metadata_map

    def text(name: str) -> str:
        try:
            return str(found[f"nodescore.{name}"])
        except KeyError:
            raise ModelError(f"model {path}: no metadata nodescore.{name}; is it made by `nodescore train`?") from None

    def parsed(name: str, kind: type) -> Any:
        try:
            value = json.loads(text(name))
        except ValueError:
            value = None
        if not isinstance(value, kind):
            raise ModelError(f"model {path}: metadata nodescore.{name} is no JSON {kind.__name__}")
        return value

    if text("contract") != CONTRACT:
        raise ModelError(f"model {path}: contract {text('contract')}; this version of Nodescore knows {CONTRACT}")
    try:
        initial_state = np.array(parsed("initial_state", list), np.float32).reshape(-1)
    except (TypeError, ValueError):
        raise ModelError(f"model {path}: metadata nodescore.initial_state is no list of numbers") from None
    if len(initial_state) > MAX_STATE_SIZE or not np.isfinite(initial_state).all():
        raise ModelError(f"model {path}: the initial state must be at most {MAX_STATE_SIZE} finite numbers")
    names = parsed("features", list)
    if not names or len(set(map(str, names))) < len(names):
        raise ModelError(f"model {path}: metadata nodescore.features is empty or names one twice")
    info = ModelInfo(
        version=text("version"),
        detector=text("detector"),
        created=text("created"),
        feature_names=tuple(map(str, names)),
        state_size=len(initial_state),
        provenance=parsed("provenance", dict),
        path=path,
        sha256=sha256,
    )
    return info, initial_state


def _check_signature(session: onnxruntime.InferenceSession, info: ModelInfo) -> None:
    features, size = len(info.feature_names), info.state_size
    inputs = {"x": (features,), "elapsed_seconds": (), "state": (size,)}
    outputs = {"score": (), "next_state": (size,), "contribution": (features,)}
    for what, expected, there, optional in (
        ("input", inputs, session.get_inputs(), set()),
        ("output", outputs, session.get_outputs(), {"contribution"}),
    ):
        names = {value.name for value in there}
        wrong = sorted((set(expected) - optional - names) | (names - set(expected)))
        if wrong:
            raise ModelError(f"model {info.path}: {what}s are {sorted(names)}, not {sorted(expected)}")
        for value in there:
            shape: list[int | str] = ["N", *expected[value.name]]
            if value.type != "tensor(float)" or not _fits(value.shape, shape):
                raise ModelError(
                    f"model {info.path}: {what} {value.name} is {value.type} {value.shape}, "
                    f"not tensor(float) {shape} as the metadata says"
                )


def _fits(there: list[int | str | None], expected: list[int | str]) -> bool:
    """True where every dimension is the expected one or free, and the first is free."""
    return (
        len(there) == len(expected)
        and not isinstance(there[0], int)
        and all(not isinstance(n, int) or n == m for n, m in zip(there[1:], expected[1:], strict=True))
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
