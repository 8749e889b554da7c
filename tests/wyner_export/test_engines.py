"""Each graph of a bundle opens in every common engine and gives the same answers."""

import onnx
import openvino
import pytest
from onnx.reference import ReferenceEvaluator

from wyner_export.graphs import graphs_of


def run_by_openvino(path, inputs):
    core = openvino.Core()
    # float32, also where the processor has bfloat16.
    hint = {"INFERENCE_PRECISION_HINT": "f32"}
    results = core.compile_model(core.read_model(path), "CPU", hint)(dict(inputs))
    return lambda name: results[name]


def run_by_reference(path, inputs):
    evaluator = ReferenceEvaluator(str(path))
    results = dict(zip(evaluator.output_names, evaluator.run(None, dict(inputs)), strict=True))
    return lambda name: results[name]


@pytest.mark.parametrize(
    ("engine", "run"),
    [("OpenVINO", run_by_openvino), ("onnx's reference", run_by_reference)],
    ids=["openvino", "reference"],
)
def test_every_graph_gives_the_same_answers(bundle, tiny, tiny_answers, parity, engine, run):
    for graph in graphs_of(tiny):
        result = run(bundle / "onnx" / f"{graph.name}.onnx", tiny_answers[graph.name].inputs)
        parity.check(graph, engine, {info.name: result(info.name) for info in graph.outputs})


def test_no_operator_is_degenerate(bundle):
    """Those that some engine has refused: an Unsqueeze or Squeeze without axes, Einsum, OneHot."""
    for path in (bundle / "onnx").glob("*.onnx"):
        model = onnx.load(path)
        empty = {values.name for values in model.graph.initializer if list(values.dims) == [0]}
        for node in model.graph.node:
            assert node.op_type not in ("Einsum", "OneHot"), path.name
            if node.op_type in ("Squeeze", "Unsqueeze"):
                assert not empty & set(node.input), path.name
