"""Bulk work on a cluster of two nodes: the bytes of one process, also where a node is killed.

`make test-ray` runs these in an environment that has Ray, with a bundle in WYNER_BUNDLE.
"""

import contextlib
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

ray = pytest.importorskip("ray")

from ray.cluster_utils import Cluster  # noqa: E402

from wyner_keras.cli import main  # noqa: E402
from wyner_serving import InputError  # noqa: E402
from wyner_serving.bulk import BulkTask, Job, Work, run  # noqa: E402
from wyner_serving.ray import PartWriter, map_rows  # noqa: E402
from wyner_serving.ray import run as run_on_cluster  # noqa: E402

# Ray leaves sockets and processes to the collector.
pytestmark = pytest.mark.filterwarnings("default")

NODE = {"num_cpus": 2, "object_store_memory": 80 * 2**20}
# Loopback has as many addresses as one likes; the first Ray takes for that of another interface.
HEAD, SECOND = "127.0.0.2", "127.0.0.3"


@pytest.fixture(scope="module")
def cluster():
    """Two nodes of two processors each, and this process in their cluster."""
    head = {**NODE, "node_ip_address": HEAD, "include_dashboard": False}
    found = Cluster(initialize_head=True, head_node_args=head)
    found.second = found.add_node(**NODE, node_ip_address=SECOND)
    ray.init(address=found.address, log_to_driver=False, _node_ip_address=HEAD)
    found.wait_for_nodes()
    yield found
    ray.shutdown()
    found.shutdown()


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).random((12000, 8, 8, 1), np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, x):
    folder = tmp_path_factory.mktemp("bulk")
    np.save(folder / "x.npy", x)
    return folder


@pytest.fixture(scope="module")
def job_of(folder):
    """Jobs that differ in the output alone."""

    def of(output, **values):
        given = {"task": "generate_y", "input": str(folder / "x.npy"), "rows_per_part": 300}
        bundle = os.environ["WYNER_BUNDLE"]
        return Job(**{"bundle": bundle, "output": str(folder / output)} | given | values)

    return of


@pytest.fixture(scope="module")
def one_process(job_of):
    """The digests of what one process writes."""
    job = job_of("one")
    run(job, lambda *_: None)
    return bytes_of(job.output)


def bytes_of(folder):
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in Path(folder).iterdir()
    }


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_any_number_of_workers_writes_the_bytes_of_one_process(
    cluster, job_of, one_process, workers
):
    told = []
    job = job_of(f"of {workers}")
    done = run_on_cluster(job, workers=workers, progress=lambda *each: told.append(each))
    assert done == (12000, 40, 40)
    assert told == [(300 * (each + 1), 12000) for each in range(40)]
    assert bytes_of(job.output) == one_process
    assert run_on_cluster(job, workers=workers) == (12000, 40, 0)


def test_a_data_set_of_ones_own_in_any_blocks_and_order(cluster, folder, x):
    """With a writer of Ray's, for which a processor is left."""
    import pyarrow.parquet as pq

    bundle = os.environ["WYNER_BUNDLE"]
    expected = BulkTask(bundle, "encode_x", seed=2)({"row": np.arange(500), "x": x[:500]})
    order = np.random.default_rng(3).permutation(500)
    for blocks, batch_size in ((1, 500), (7, 33)):
        rows = ray.data.from_items(
            [{"row": row, "x": x[row]} for row in order.tolist()], override_num_blocks=blocks
        )
        made = map_rows(rows, bundle, "encode_x", seed=2, batch_size=batch_size, workers=2)
        out = folder / f"own {blocks}"
        made.select_columns(["row", "z"]).write_parquet(str(out))
        found = pq.read_table(out).sort_by("row")
        assert found["row"].to_pylist() == list(range(500))
        z = np.array(found["z"].to_pylist(), np.float32)
        np.testing.assert_array_equal(z.reshape(expected["z"].shape), expected["z"])


def test_what_is_wrong_with_a_row_is_said_as_in_one_process(cluster, job_of, folder, x):
    bad = x.copy()
    bad[5000] = np.nan
    np.save(folder / "bad.npy", bad)
    job = job_of("bad", input=str(folder / "bad.npy"))
    with pytest.raises(InputError, match=r"rows 4800 to 5099 of the input: `x` should be finite"):
        run_on_cluster(job, workers=2, progress=lambda *_: None)
    assert "part-000016.parquet" not in os.listdir(job.output)
    with pytest.raises(InputError, match="seed"):
        map_rows(None, job.bundle, "generate_y", seed=-1)


def test_a_machine_with_other_files_is_refused(job_of, one_process):
    job = job_of("one")
    with contextlib.closing(Work(job)) as work:
        plan = work.plan()
    found = PartWriter(job, {**plan, "input": "other"})({"part": np.array([0])})
    assert found["kind"].tolist() == ["input"]
    assert "the same files" in found["error"][0]


def test_the_command_joins_a_cluster(cluster, job_of, one_process, capsys):
    job = job_of("by command")
    words = ["bulk", job.bundle, "--task", job.task, "--input", job.input, "--output", job.output]
    words += ["--rows-per-part", "300", "--ray", "auto", "--workers", "3", "--quiet"]
    assert main(words) == 0
    assert capsys.readouterr().out == f"12000 rows in 40 parts in {job.output}\n"
    assert bytes_of(job.output) == one_process


def test_a_killed_node_changes_no_byte_and_loses_no_row(cluster, job_of, one_process):
    """The last test: the cluster has one node from here on."""
    job, killed = job_of("killed"), []

    def kill(done, rows):
        if not killed:
            cluster.remove_node(cluster.second, allow_graceful=False)
            killed.append(done)

    assert run_on_cluster(job, workers=4, progress=kill) == (12000, 40, 40)
    assert killed[0] < 12000
    assert bytes_of(job.output) == one_process
