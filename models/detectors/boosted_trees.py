"""scikit-learn's histogram gradient boosting as ONNX, by hand: skl2onnx writes booleans that onnx no longer takes.

In: a fitted binary `HistGradientBoostingClassifier` over float32 columns without categories or missing values.
Out: a model with one input [N, E] and the output `probabilities` [N, 2], as skl2onnx names it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.ensemble import HistGradientBoostingClassifier

from models.graph import ML_OPSET, OPSET


def export(learner: HistGradientBoostingClassifier) -> onnx.ModelProto:
    """The sum of the trees' leaves, as log-odds, through a logistic function."""
    columns: dict[str, list[Any]] = {name: [] for name in ("tree", "node", "mode", "feature", "value", "yes", "no")}
    leaves: dict[str, list[Any]] = {name: [] for name in ("tree", "node", "weight")}
    for tree, (predictor,) in enumerate(learner._predictors):
        for number, node in enumerate(predictor.nodes):
            leaf = bool(node["is_leaf"])
            row = (
                tree,
                number,
                "LEAF" if leaf else "BRANCH_LEQ",
                0 if leaf else int(node["feature_idx"]),
                0.0 if leaf else _not_above(float(node["num_threshold"])),
                0 if leaf else int(node["left"]),
                0 if leaf else int(node["right"]),
            )
            for column, value in zip(columns.values(), row, strict=True):
                column.append(value)
            if leaf:
                for column, value in zip(leaves.values(), (tree, number, float(node["value"])), strict=True):
                    column.append(value)
    trees = helper.make_node(
        "TreeEnsembleRegressor",
        ["evidence"],
        ["odds"],
        domain="ai.onnx.ml",
        n_targets=1,
        base_values=[float(np.ravel(learner._baseline_prediction)[0])],
        nodes_treeids=columns["tree"],
        nodes_nodeids=columns["node"],
        nodes_modes=columns["mode"],
        nodes_featureids=columns["feature"],
        nodes_values=columns["value"],
        nodes_truenodeids=columns["yes"],
        nodes_falsenodeids=columns["no"],
        target_treeids=leaves["tree"],
        target_nodeids=leaves["node"],
        target_ids=[0] * len(leaves["node"]),
        target_weights=leaves["weight"],
    )
    one = numpy_helper.from_array(np.ones(1, np.float32), "one")
    graph = helper.make_graph(
        [
            trees,
            helper.make_node("Sigmoid", ["odds"], ["attack"]),
            helper.make_node("Sub", ["one", "attack"], ["normal"]),
            helper.make_node("Concat", ["normal", "attack"], ["probabilities"], axis=1),
        ],
        "boosted_trees",
        [helper.make_tensor_value_info("evidence", TensorProto.FLOAT, [None, learner.n_features_in_])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 2])],
        [one],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    return helper.make_model(graph, opset_imports=opsets)


def _not_above(threshold: float) -> float:
    """The largest float32 that is not above: the same float32 values stay at or below it."""
    near = np.float32(threshold)
    return float(near if near <= threshold else np.nextafter(near, np.float32(-np.inf)))
