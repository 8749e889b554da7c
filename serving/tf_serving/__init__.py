"""TensorFlow Serving: staging of bundles and a client, neither of which imports TensorFlow.

Example:
    With a server that `README.md` in this folder starts::

        client = Client("http://localhost:8501")
        y = client.generate_y(x, seed=0)
"""

from wyner_serving.tf_serving.client import Client
from wyner_serving.tf_serving.stage import stage

__all__ = ["Client", "stage"]
