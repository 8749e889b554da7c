from pathlib import Path

import numpy as np

README = Path(__file__).parents[1] / "README.md"


def test_the_grpc_example_works_as_pasted(server, bundle):
    code = README.read_text().split("```python\n")[1].split("```")[0]
    names = {}
    exec(code.replace("localhost:8081", f"127.0.0.1:{server.grpc_port}"), names)
    drawn = {
        name: np.random.default_rng(0).random((2, *bundle.example_shape(side)), dtype=np.float32)
        for name, side in (("style", "x"), ("concept", "y"))
    }
    np.testing.assert_array_equal(names["x"], bundle.transfer_x(**drawn, seed=3))


def test_the_table_lists_the_models_that_are_served(server):
    table = README.read_text().split("## Models")[1].split("**V1**")[0]
    for name in server.http.get("/v1/models").json()["models"]:
        assert f"`{name}`" in table
