"""Sums over trees as ONNX, by hand, where skl2onnx has no way or a slow one.

`boosted`: it writes booleans that onnx no longer takes. `averaged`: it writes both classes, which takes half as long
again. `isolating`: it writes an operator for every tree, a step taking a hundred times as long. In: a fitted estimator
over float32 columns without categories or missing values. Out: a model with one input [N, E] and one output [N, 1].
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper
from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
)

from models.graph import ML_OPSET, OPSET
from receiver.columns import Bool, Float64, Int64


@dataclass(frozen=True, slots=True)
class _Tree:
    """M nodes, the root first."""

    is_leaf: Bool  # [M]
    feature: Int64  # [M]
    threshold: Float64  # [M] at or below it goes left
    left: Int64  # [M]
    right: Int64  # [M]
    value: Float64  # [M] of leaves


def boosted(learner: HistGradientBoostingClassifier) -> onnx.ModelProto:
    """The log-odds of the first of two classes."""
    trees = (
        _Tree(
            nodes["is_leaf"].astype(bool),
            nodes["feature_idx"],
            nodes["num_threshold"],
            nodes["left"],
            nodes["right"],
            -nodes["value"],
        )
        for (predictor,) in learner._predictors
        for nodes in [predictor.nodes]
    )
    return _summed(trees, -float(np.ravel(learner._baseline_prediction)[0]), learner.n_features_in_)


def averaged(forest: RandomForestClassifier | ExtraTreesClassifier, weight: float) -> onnx.ModelProto:
    """The probability of the first of two classes, times a weight."""
    trees = []
    for estimator in forest.estimators_:
        inner = estimator.tree_
        rows = inner.value[:, 0]
        trees.append(
            _Tree(
                inner.children_left < 0,
                inner.feature,
                inner.threshold,
                inner.children_left,
                inner.children_right,
                weight / len(forest.estimators_) * rows[:, 0] / rows.sum(axis=1),
            )
        )
    return _summed(trees, 0.0, forest.n_features_in_)


def isolating(forest: IsolationForest) -> onnx.ModelProto:
    """The number of cuts that part a row from others, summed over the trees, as that of a row alone in its leaf."""
    trees = []
    for estimator, columns in zip(forest.estimators_, forest.estimators_features_, strict=True):
        inner = estimator.tree_
        is_leaf = inner.children_left < 0
        depth = np.zeros(inner.node_count)
        for node in np.flatnonzero(~is_leaf):  # parents stand before their children
            depth[[inner.children_left[node], inner.children_right[node]]] = depth[node] + 1
        feature = columns[np.where(is_leaf, 0, inner.feature)]
        cuts = depth + mean_cuts(inner.n_node_samples)
        trees.append(_Tree(is_leaf, feature, inner.threshold, inner.children_left, inner.children_right, cuts))
    return _summed(trees, 0.0, forest.n_features_in_)


def mean_cuts(rows: Int64) -> Float64:
    """c(n): how many random cuts part one of n rows from the others, in the mean (Liu, Ting, Zhou 2008, equation 1)."""
    more = np.maximum(rows, 3).astype(np.float64)
    many = 2 * (np.log(more - 1) + np.euler_gamma) - 2 * (more - 1) / more
    return np.where(rows <= 1, 0.0, np.where(rows == 2, 1.0, many))


def _summed(trees: Iterable[_Tree], base: float, width: int) -> onnx.ModelProto:
    every = list(trees)
    sizes = [len(tree.is_leaf) for tree in every]
    number = np.concatenate([np.arange(size) for size in sizes])
    owner = np.repeat(np.arange(len(every)), sizes)
    leaf = np.concatenate([tree.is_leaf for tree in every])

    def column(name: str) -> Float64:
        return np.where(leaf, 0, np.concatenate([getattr(tree, name) for tree in every]))

    node = helper.make_node(
        "TreeEnsembleRegressor",
        ["values"],
        ["sum"],
        domain="ai.onnx.ml",
        n_targets=1,
        base_values=[base],
        nodes_treeids=owner.tolist(),
        nodes_nodeids=number.tolist(),
        nodes_modes=np.where(leaf, "LEAF", "BRANCH_LEQ").tolist(),
        nodes_featureids=column("feature").astype(int).tolist(),
        nodes_values=_not_above(column("threshold")).tolist(),
        nodes_truenodeids=column("left").astype(int).tolist(),
        nodes_falsenodeids=column("right").astype(int).tolist(),
        target_treeids=owner[leaf].tolist(),
        target_nodeids=number[leaf].tolist(),
        target_ids=[0] * int(leaf.sum()),
        target_weights=np.concatenate([tree.value for tree in every])[leaf].tolist(),
    )
    graph = helper.make_graph(
        [node],
        "trees",
        [helper.make_tensor_value_info("values", TensorProto.FLOAT, [None, width])],
        [helper.make_tensor_value_info("sum", TensorProto.FLOAT, [None, 1])],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    return helper.make_model(graph, opset_imports=opsets)


def _not_above(threshold: Float64) -> Float64:
    """The largest float32 values that are not above: the same float32 values stay at or below them."""
    near = threshold.astype(np.float32)
    return np.where(near <= threshold, near, np.nextafter(near, np.float32(-np.inf))).astype(np.float64)
