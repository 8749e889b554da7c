"""Each graph of a bundle opens in every common engine and gives the same answers."""

import onnx
import openvino
import pytest
import tiny_bundle
from onnx.reference import ReferenceEvaluator

from wyner_export.onnx_files import run_onnx


def run_by_openvino(path, inputs):
    core = openvino.Core()
    # float32, also where the processor has bfloat16.
    hint = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(core.read_model(path), "CPU", hint)
    results = compiled(dict(inputs))
    return {name: results[name] for output in compiled.outputs for name in output.names}


def run_by_reference(path, inputs):
    evaluator = ReferenceEvaluator(str(path))
    return dict(zip(evaluator.output_names, evaluator.run(None, dict(inputs)), strict=True))


ENGINES = {
    "onnxruntime": run_onnx,
    "OpenVINO": run_by_openvino,
    "onnx's reference": run_by_reference,
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", tiny_bundle.SHARED)
def test_every_graph_gives_the_same_answers(judged_of, name, engine):
    judged = judged_of(name)
    counts = {"images": 14, "whole": 14, "columns": 13, "mixed": 14, "product": 13}
    assert len(judged.graphs) == counts[name]
    for graph in judged.graphs:
        results = ENGINES[engine](judged.onnx(graph), judged.answers[graph].inputs)
        judged.check(graph, engine, results)


@pytest.mark.parametrize("name", tiny_bundle.SHARED)
def test_no_operator_is_degenerate(bundle_of, name):
    """Those that some engine has refused: an Unsqueeze or Squeeze without axes, Einsum, OneHot."""
    for path in (bundle_of(name) / "onnx").glob("*.onnx"):
        model = onnx.load(path)
        assert {node.domain for node in model.graph.node} <= {""}
        assert [opset.version for opset in model.opset_import if not opset.domain] == [18]
        empty = {values.name for values in model.graph.initializer if list(values.dims) == [0]}
        for node in model.graph.node:
            assert node.op_type not in ("Einsum", "OneHot"), path.name
            if node.op_type in ("Squeeze", "Unsqueeze"):
                assert not empty & set(node.input), path.name
