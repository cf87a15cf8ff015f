"""A trained network as an ONNX graph whose weights are stored in few bits.

`int8` and `float16`: each weight matrix is stored as signed 8-bit numbers with one scale for each output channel (each row, for
embeddings), or as 16-bit floating point. `Cast` and `Mul` on stored numbers only, so the runtime folds them once when it loads the
graph, and computes with 32 bits; the rows of an embedding are expanded as they are looked up. Nothing is quantised while it runs.

`rounded`: the weights of the layers are stored with 7 bits, the input of each layer is rounded to 8 as it comes, and matrices are multiplied in
whole numbers: two to three times as fast. The scale of an input is that of all it holds, so messages must run one by one
(`EngineCard.alone`), and the network is trained with the same rounding (`model.Rounded`).
"""

from __future__ import annotations

import io
import logging
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from crisis_filter.local.train.grams import Grams
from crisis_filter.local.train.model import Classifier

Storage = Literal["int8", "float16", "float32", "rounded"]
_OPSET = 17
_STEPS = 127


def quantised(weight: NDArray[np.float32], axis: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Signed 8-bit numbers and the scales that turn them back.

    Args:
        weight: a matrix.
        axis: the axis along which each slice has a scale of its own.

    Returns:
        Numbers of the same shape, from -127 to 127, and scales that multiply with them; a slice of zeros has scale 1.
    """
    highest = np.abs(weight).max(axis=1 - axis, keepdims=True)
    scale = np.where(highest > 0, highest / _STEPS, 1.0).astype(np.float32)
    return np.rint(weight / scale).astype(np.int8), scale


def round_weights(model: Classifier, storage: Storage) -> None:
    """Put the weights as they will be stored back into the torch network, to measure what storing costs."""
    if storage == "rounded":
        model.round(on=True)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim != 2 or storage == "float32" or (storage == "rounded" and not _looked_up(name)):
                continue
            weight = parameter.numpy()
            if storage == "float16":
                stored = weight.astype(np.float16).astype(np.float32)
            else:
                numbers, scale = quantised(weight, axis=0)
                stored = numbers.astype(np.float32) * scale
            parameter.copy_(torch.from_numpy(stored))


def _looked_up(name: str) -> bool:
    return name.startswith(("words.", "positions."))


def _in_whole_numbers(traced: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with its layers' products quantised as they run; seven bits a weight, so that no processor's sums overflow."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with TemporaryDirectory() as folder:
        exact, rounded = Path(folder) / "exact.onnx", Path(folder) / "rounded.onnx"
        onnx.save(traced, exact)
        # It warns on the root logger that the graph was not optimised beforehand, which the runtime does when it loads it.
        logging.disable(logging.WARNING)
        try:
            quantize_dynamic(
                exact,
                rounded,
                op_types_to_quantize=["MatMul"],
                per_channel=True,
                reduce_range=True,
                weight_type=QuantType.QInt8,
            )
        finally:
            logging.disable(logging.NOTSET)
        return onnx.load(rounded)


def _traced(model: Classifier) -> onnx.ModelProto:
    example = (torch.tensor([[1, 2, 3]] * 2), torch.ones(2, 3, dtype=torch.int64))
    buffer = io.BytesIO()
    dynamic = {"tokens": {0: "batch", 1: "length"}, "mask": {0: "batch", 1: "length"}, "logits": {0: "batch"}}
    torch.onnx.export(
        model,
        example,
        buffer,
        input_names=["tokens", "mask"],
        output_names=["logits"],
        dynamic_axes=dynamic,
        opset_version=_OPSET,
        dynamo=False,
    )
    return onnx.load_from_string(buffer.getvalue())


def _embedding(graph: onnx.GraphProto, name: str, stored: list[onnx.TensorProto]) -> list[onnx.NodeProto]:
    """Look up rows of the stored numbers, then expand those rows; returns the nodes in place of the one that looked up."""
    (lookup,) = (node for node in graph.node if name in node.input)
    if lookup.op_type != "Gather":
        raise ValueError("an embedding is looked up by Gather")
    out, index = lookup.output[0], lookup.input[1]
    nodes = [
        helper.make_node("Gather", [stored[0].name, index], [f"{out}.rows"]),
        helper.make_node("Cast", [f"{out}.rows"], [f"{out}.wide" if len(stored) > 1 else out], to=TensorProto.FLOAT),
    ]
    if len(stored) > 1:
        nodes += [
            helper.make_node("Gather", [stored[1].name, index], [f"{out}.scale"]),
            helper.make_node("Mul", [f"{out}.wide", f"{out}.scale"], [out]),
        ]
    at = list(graph.node).index(lookup)
    graph.node.remove(lookup)
    for offset, node in enumerate(nodes):
        graph.node.insert(at + offset, node)
    return nodes


def _add_grams(graph: onnx.GraphProto, grams: Grams) -> None:
    """Add the linear model's logits to the network's: two more inputs, `buckets` and `counts`, for the one window that runs."""
    (last,) = (node for node in graph.node if "logits" in node.output)
    last.output[list(last.output).index("logits")] = "logits.network"
    numbers, scale = quantised(grams.weights, axis=1)
    graph.initializer.extend(
        [
            numpy_helper.from_array(grams.idf.astype(np.float16), "grams.idf"),
            numpy_helper.from_array(numbers, "grams.weights"),
            numpy_helper.from_array(scale.reshape(1, -1), "grams.scale"),
            numpy_helper.from_array(np.array([0], np.int64), "grams.axis"),
            numpy_helper.from_array(np.array([1e-9], np.float32), "grams.least"),
        ]
    )
    graph.input.extend(
        [
            helper.make_tensor_value_info("buckets", TensorProto.INT64, ["grams"]),
            helper.make_tensor_value_info("counts", TensorProto.FLOAT, ["grams"]),
        ]
    )
    graph.node.extend(
        [
            helper.make_node("Gather", ["grams.idf", "buckets"], ["grams.rare"]),
            helper.make_node("Cast", ["grams.rare"], ["grams.rarity"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["counts", "grams.rarity"], ["grams.raw"]),
            helper.make_node("Mul", ["grams.raw", "grams.raw"], ["grams.squares"]),
            helper.make_node("ReduceSum", ["grams.squares", "grams.axis"], ["grams.sum"], keepdims=1),
            helper.make_node("Sqrt", ["grams.sum"], ["grams.length"]),
            helper.make_node("Max", ["grams.length", "grams.least"], ["grams.safe"]),
            helper.make_node("Div", ["grams.raw", "grams.safe"], ["grams.unit"]),
            helper.make_node("Unsqueeze", ["grams.unit", "grams.axis"], ["grams.row"]),
            helper.make_node("Gather", ["grams.weights", "buckets"], ["grams.stored"]),
            helper.make_node("Cast", ["grams.stored"], ["grams.wide"], to=TensorProto.FLOAT),
            helper.make_node("MatMul", ["grams.row", "grams.wide"], ["grams.product"]),
            helper.make_node("Mul", ["grams.product", "grams.scale"], ["grams.logits"]),
            helper.make_node("Add", ["logits.network", "grams.logits"], ["logits"]),
        ]
    )


def to_onnx(model: Classifier, storage: Storage, grams: Grams | None = None) -> bytes:
    """The network as a serialised ONNX graph with inputs `tokens` and `mask` and output `logits`.

    Args:
        model: in evaluation mode.
        storage: how matrices are stored; vectors stay in 32 bits.
        grams: a linear model whose logits are added; the graph then takes `buckets` and `counts` as well, of one window at a time.
    """
    graph_model = _in_whole_numbers(_traced(model)) if storage == "rounded" else _traced(model)
    graph = graph_model.graph
    for initializer in list(graph.initializer):
        weight = numpy_helper.to_array(initializer)
        if weight.ndim != 2 or weight.dtype != np.float32 or storage == "float32" or weight.size < 2 * weight.shape[-1]:
            continue
        name = initializer.name
        users = {node.op_type for node in graph.node if name in node.input}
        looked_up = users == {"Gather"}
        if storage == "rounded" and not looked_up:
            continue
        if storage == "float16":
            stored = [numpy_helper.from_array(weight.astype(np.float16), f"{name}.f16")]
        else:
            # The exporter transposes a Linear for MatMul, so its output channels are columns; Gemm keeps rows.
            numbers, scale = quantised(weight, axis=1 if users == {"MatMul"} else 0)
            stored = [numpy_helper.from_array(numbers, f"{name}.i8"), numpy_helper.from_array(scale, f"{name}.scale")]
        graph.initializer.remove(initializer)
        graph.initializer.extend(stored)
        if looked_up:
            _embedding(graph, name, stored)
            continue
        graph.node.insert(
            0,
            helper.make_node(
                "Cast", [stored[0].name], [f"{name}.wide" if len(stored) > 1 else name], to=TensorProto.FLOAT
            ),
        )
        if len(stored) > 1:
            graph.node.insert(1, helper.make_node("Mul", [f"{name}.wide", stored[1].name], [name]))
    if grams is not None:
        _add_grams(graph, grams)
    graph.doc_string = ""
    for node in graph.node:
        node.doc_string = ""
    graph_model.producer_version = ""
    onnx.checker.check_model(graph_model)
    return bytes(graph_model.SerializeToString(deterministic=True))
