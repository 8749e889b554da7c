"""What a REST client without ours sends and gets, against the stand-in of the server."""

import base64
import io
import json
import urllib.error
import urllib.request

import numpy as np
import pytest
from PIL import Image


def png(image):
    stream = io.BytesIO()
    Image.fromarray(np.round(255 * image[..., 0]).astype(np.uint8)).save(stream, "PNG")
    return {"b64": base64.b64encode(stream.getvalue()).decode()}


def pixels(value):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(value["b64"]))))


@pytest.fixture
def ask(rest):
    def post(signature, path="/labels/stable", **body):
        data = json.dumps({"signature_name": signature, **body}).encode()
        with urllib.request.urlopen(f"{rest}/v1/models/wyner{path}:predict", data) as answer:
            return json.load(answer)

    return post


def test_rows_and_columns_are_the_same(ask, tiny_images):
    x = tiny_images[0][:3].tolist()
    seeds = [4, 5, 6]
    rows = [{"x": image, "seed": seed} for image, seed in zip(x, seeds, strict=True)]
    by_row = ask("generate_y_seeded", instances=rows)
    by_column = ask("generate_y_seeded", inputs={"x": x, "seed": seeds})
    # A single output comes without its name.
    assert by_row.keys() == {"predictions"} and by_column.keys() == {"outputs"}
    images = np.array(by_row["predictions"])
    assert images.shape == (3, 8, 8, 1)
    np.testing.assert_array_equal(images, by_column["outputs"])
    alone = ask("generate_y_seeded", instances=rows[1:2])["predictions"]
    np.testing.assert_allclose(alone[0], images[1], atol=1e-6)


def test_several_outputs_come_by_name(ask):
    rows = ask("generate_pairs_seeded", instances=[{"seed": 1}, {"seed": 2}])["predictions"]
    assert [row.keys() for row in rows] == [{"x", "y"}] * 2
    columns = ask("generate_pairs_seeded", inputs={"seed": [1, 2]})["outputs"]
    assert np.array(columns["x"]).shape == (2, 8, 8, 1)
    np.testing.assert_array_equal(rows[1]["y"], columns["y"][1])
    # A single input may come without its name.
    plain = ask("generate_pairs_seeded", instances=[1, 2])["predictions"]
    assert plain == rows


def test_what_the_data_are_comes_as_text(ask, bundle):
    (text,) = ask("sides", instances=[{"row": 0}])["predictions"]
    assert json.loads(text) == json.loads((bundle / "manifest.json").read_text())["sides"]


def test_png_images_go_in_and_come_out(ask, tiny_images):
    image = np.round(255 * tiny_images[0][0]) / 255
    (answer,) = ask("generate_y_png", instances=[{"x_bytes": png(image), "seed": 9}])["predictions"]
    (expected,) = ask("generate_y_seeded", instances=[{"x": image.tolist(), "seed": 9}])[
        "predictions"
    ]
    np.testing.assert_allclose(pixels(answer), np.round(255 * np.array(expected)[..., 0]), atol=1)
    style, concept = (png(images[0]) for images in tiny_images)
    row = {"style_bytes": style, "concept_bytes": concept, "style_seed": 1, "concept_seed": 1}
    (made,) = ask("transfer_x_png", instances=[row])["predictions"]
    assert pixels(made).shape == (8, 8)


def test_every_signature_can_be_called_by_row(ask, servable, rest):
    """Inputs of zeros by the metadata's shapes, black PNGs for bytes."""
    with urllib.request.urlopen(f"{rest}/v1/models/wyner/metadata") as answer:
        metadata = json.load(answer)["metadata"]["signature_def"]["signature_def"]
    for name, signature in metadata.items():
        if name == "__saved_model_init_op":
            continue
        row = {}
        for key, info in signature["inputs"].items():
            shape = [int(size["size"]) for size in info["tensor_shape"]["dim"][1:]]
            if info["dtype"] == "DT_STRING":
                row[key] = png(np.zeros((8, 8, 1)))
            else:
                row[key] = np.zeros(shape, int if info["dtype"] == "DT_INT32" else float).tolist()
        assert len(ask(name, instances=[row, row])["predictions"]) == 2


@pytest.mark.parametrize(
    ("signature", "path", "body", "code", "message"),
    [
        ("generate_z", "", {"instances": [{"seed": 1}]}, 400, "not found in signature def"),
        ("transfer_x", "", {"inputs": {}}, 400, "not found in signature def"),
        ("generate_y_seeded", "", {"instances": [{"seed": 1}]}, 400, "keys must be equal"),
        ("generate_pairs_seeded", "", {"instances": [{"seed": 0.5}]}, 400, "not of expected type"),
        ("generate_pairs_seeded", "", {}, 400, "Missing 'inputs' or 'instances'"),
        ("generate_y_seeded", "", {"inputs": {"x": [[1.0]], "seed": [1, 2]}}, 400, "0th-dim"),
        ("generate_y_png", "", {"instances": [{"x_bytes": "?", "seed": 1}]}, 400, "PNG"),
        ("generate_pairs_seeded", "/labels/canary", {"instances": [1]}, 400, "label: canary"),
        ("generate_pairs_seeded", "/versions/9", {"instances": [1]}, 404, "version 9"),
    ],
)
def test_bad_requests_are_refused(ask, signature, path, body, code, message):
    with pytest.raises(urllib.error.HTTPError) as raised:
        ask(signature, path, **body)
    with raised.value as error:
        assert error.code == code
        assert message in json.load(error)["error"]
    assert len(ask("generate_pairs_seeded", instances=[1])["predictions"]) == 1
