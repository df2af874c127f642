"""The recurrent model that scores nodes, and what it remembers of each: the only importer of onnxruntime.

In: a model file of the contract below, and `Rows`. Out: `Scores`, 1.0 being the alarm threshold. Raises
`ModelError` with one line for a file that breaks the contract. No threads, no clock: the caller says when.

The contract: one ONNX file without external data (`settings.MAX_MODEL_BYTES` at most). N nodes, F features,
S floats of state a node; N is free, F and S are fixed.

    inputs   x               float32[N, F]  NaN is missing
             elapsed_seconds float32[N]     since the node's previous scored row; 0 for its first
             state           float32[N, S]  the metadata's initial state for a node's first row
    outputs  score           float32[N]     ≥ 0; over 1.0 is alarming
             next_state      float32[N, S]
             contribution    float32[N, F]  optional: ≥ 0, what each feature adds to the score

    metadata nodescore.contract       "1"
             nodescore.version        names this model among all others
             nodescore.detector       what kind it is
             nodescore.created        RFC 3339
             nodescore.features       JSON list of F names, in the order of x
             nodescore.initial_state  JSON list of S numbers
             nodescore.provenance     JSON object, the same as the card beside the file

A row's scores depend on nothing but its own input and state: not on the other rows of its batch.

Cost: one batched step a flush; `Detector` keeps onnxruntime to one core.
"""

from receiver.detector.model import Detector, ModelInfo, StepResult
from receiver.detector.states import NodeStates, Snapshot
from receiver.detector.watch import Watch

__all__ = ["Detector", "ModelInfo", "NodeStates", "Snapshot", "StepResult", "Watch"]
