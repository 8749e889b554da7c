"""Faults planted in one ONNX file, each in its place."""

import numpy as np
import onnx
from onnx import helper, numpy_helper


def _weights(model):
    """Initializers that are weights: float32 with more than one element, the largest first."""
    found = [
        values
        for values in model.graph.initializer
        if values.data_type == onnx.TensorProto.FLOAT and np.prod(values.dims) > 1
    ]
    return sorted(found, key=lambda values: -np.prod(values.dims))


def _change(values, change):
    array = numpy_helper.to_array(values).copy()
    values.CopyFrom(numpy_helper.from_array(change(array).astype(array.dtype), values.name))


def weight_off(model):
    """One weight of one layer is off by 1e-3."""

    def change(array):
        array.flat[array.size // 2] += 1e-3
        return array

    _change(_weights(model)[0], change)


def bias_lost(model):
    """The largest bias that something is added to is 0."""
    added = {name for node in model.graph.node if node.op_type == "Add" for name in node.input}
    biases = [
        values for values in _weights(model) if len(values.dims) == 1 and values.name in added
    ]
    _change(max(biases, key=lambda values: np.prod(values.dims)), np.zeros_like)


def stale(model):
    """Every weight is that of some steps before."""
    rng = np.random.default_rng(0)
    for values in _weights(model):
        _change(values, lambda array: array + 1e-4 * rng.standard_normal(array.shape))


def _reroute(model, name, *nodes):
    """Nodes that make `NAME_planted` of an input take its place."""
    for node in model.graph.node:
        node.input[:] = [f"{name}_planted" if used == name else used for used in node.input]
    for node in reversed(nodes):
        model.graph.node.insert(0, node)


def noise_ignored(model):
    """The first noise is read but has no effect."""
    name = next(given.name for given in model.graph.input if given.name.startswith("noise"))
    zero, half = (numpy_helper.from_array(np.float32(v), f"planted_{v}") for v in (0.0, 0.5))
    model.graph.initializer.extend([zero, half])
    _reroute(
        model,
        name,
        helper.make_node("Mul", [name, zero.name], [f"{name}_nothing"]),
        helper.make_node("Add", [f"{name}_nothing", half.name], [f"{name}_planted"]),
    )


def input_transposed(model):
    """The first image is read with rows for columns."""
    name = next(given.name for given in model.graph.input if not given.name.startswith("noise"))
    _reroute(
        model, name, helper.make_node("Transpose", [name], [f"{name}_planted"], perm=[0, 2, 1, 3])
    )


def missing_ignored(model):
    """A value that is missing is read as one that is known."""
    for node in model.graph.node:
        if node.op_type == "IsNaN":
            missing = node.output[0]
            node.output[0] = f"{missing}_planted"
            flip = numpy_helper.from_array(np.zeros((), bool), "planted_never")
            model.graph.initializer.append(flip)
            used = [each for each in model.graph.node if missing in each.input]
            # Zeros still take the place of NaN; the encoder is no longer told.
            told = next(each for each in used if each.op_type != "Where")
            told.input[:] = [f"{missing}_told" if name == missing else name for name in told.input]
            at = list(model.graph.node).index(node) + 1
            model.graph.node.insert(
                at, helper.make_node("And", [f"{missing}_planted", flip.name], [f"{missing}_told"])
            )
            model.graph.node.insert(
                at, helper.make_node("Identity", [f"{missing}_planted"], [missing])
            )
            return


def column_off(model):
    """The first column of what comes out is too large by a ten-thousandth."""
    (output,) = model.graph.output
    size = output.type.tensor_type.shape.dim[-1].dim_value
    factors = np.ones(size, np.float32)
    factors[0] += 1e-4
    factor = numpy_helper.from_array(factors, "planted_factor")
    model.graph.initializer.append(factor)
    for node in model.graph.node:
        node.output[:] = [
            f"{name}_planted" if name == output.name else name for name in node.output
        ]
    model.graph.node.append(
        helper.make_node("Mul", [f"{output.name}_planted", factor.name], [output.name])
    )


def sides_swapped(model):
    """x is what y should be, and the other way round."""
    swap = {"x": "y", "y": "x"}
    for node in model.graph.node:
        node.output[:] = [f"{name}_swapped" if name in swap else name for name in node.output]
        node.input[:] = [f"{name}_swapped" if name in swap else name for name in node.input]
    model.graph.node.extend(
        helper.make_node("Identity", [f"{name}_swapped"], [other]) for name, other in swap.items()
    )
