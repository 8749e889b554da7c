"""Damaged inputs at every door; `make mutations` sends 20,000."""

import hostile_inputs
import pytest
import tiny_bundle


@pytest.fixture(scope="module")
def given(bundle, tiny, tmp_path_factory):
    """A bundle and a run folder, which doors are made of."""
    run = tiny_bundle.write_tiny_run(tiny, tmp_path_factory.mktemp("runs") / "run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hostile_inputs, "BUNDLE", bundle)
        patch.setattr(hostile_inputs, "RUN", run)
        yield


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", hostile_inputs.DOORS)
def test_damaged_inputs_are_refused_by_name_or_taken(given, name, capfd):
    count = 2 if name in ("model files", "checkpoints") else 20
    found = list(hostile_inputs.run(name, count, seed=0))
    wrong = [each for each in found if each[1] not in ("refused", "accepted")]
    assert not wrong and len(found) == count
