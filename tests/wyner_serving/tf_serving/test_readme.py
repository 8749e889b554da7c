"""The README's lines, pasted into a shell."""

import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.skipif(
    not (shutil.which("bash") and shutil.which("curl")), reason="needs bash and curl"
)


@pytest.fixture(scope="module")
def blocks(deployment):
    text = (deployment / "README.md").read_text()
    export, *asked = re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)
    assert export == "export SERVER=http://localhost:8501\n"
    return asked


@pytest.fixture(scope="module")
def pasted(blocks, rest, bundle, tmp_path_factory):
    """What the blocks print, and the folder they ran in."""
    folder = tmp_path_factory.mktemp("pasted")
    (folder / "bundle").symlink_to(bundle)
    environment = {"SERVER": rest, "PATH": "/usr/local/bin:/usr/bin:/bin", "no_proxy": "*"}
    printed = [
        subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            check=True,
            capture_output=True,
            cwd=folder,
            env=environment,
            text=True,
            timeout=120,
        ).stdout
        for block in blocks
    ]
    return printed, folder


def test_status_and_metadata(pasted):
    about = pasted[0][0]
    assert '"state": "AVAILABLE"' in about
    assert '"generate_y_png"' in about and '"transfer_x"' not in about


def test_pairs(pasted):
    assert pasted[0][1].count('"x"') == pasted[0][1].count('"y"') == 2


def test_images(pasted, servable, bundle):
    _, folder = pasted
    made = {path.name: np.asarray(Image.open(path)) for path in folder.glob("*.png")}
    assert made.keys() == {"next.png", "transferred.png"}
    x, y = (np.asarray(Image.open(bundle / "samples" / name)) for name in ("x/00.png", "y/01.png"))
    x, y = (image[None, ..., None] / np.float32(255) for image in (x, y))
    seed = np.ones(1, np.int32)
    expected = {
        "next.png": servable.run("generate_y_seeded", {"x": x, "seed": seed})["y"],
        "transferred.png": servable.run(
            "transfer_x_seeded",
            {"style": x, "concept": y, "style_seed": seed, "concept_seed": seed},
        )["x"],
    }
    for name, image in expected.items():
        np.testing.assert_allclose(made[name], 255 * image[0, ..., 0], atol=0.51)
