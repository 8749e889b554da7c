"""Bulk work over data sets: generation, transfer, encoding and ranking, without TensorFlow.

Example:
    The same files from one process as from `wyner_serving.ray` with any number of them::

        run(Job(bundle="bundle", task="generate_y", input="photographs", output="drawings"))
"""

from wyner_serving.bulk.job import Done, Job, Work
from wyner_serving.bulk.running import run
from wyner_serving.bulk.task import TASKS, BulkTask

__all__ = ["TASKS", "BulkTask", "Done", "Job", "Work", "run"]
