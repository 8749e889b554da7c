import json
import os
import shutil
import stat
import subprocess
import sys

import pytest
import tensorflow as tf
from mutations import seal
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import prediction_log_pb2

from wyner_serving import BundleError, InputError
from wyner_serving.tf_serving import stage
from wyner_serving.tf_serving.__main__ import main
from wyner_serving.tf_serving.wire import without_requests, without_signatures
from wyner_serving.wire import fields

GRIDS = {"score_pairs", "transfer_x", "transfer_y"}
WARM_UP = "assets.extra/tf_serving_warmup_requests"


def logs(path):
    # TensorFlow checks every record's checksum.
    records = tf.data.TFRecordDataset(str(path))
    return [prediction_log_pb2.PredictionLog.FromString(record.numpy()) for record in records]


def test_what_cannot_batch_goes_and_all_else_stays(bundle, staged):
    source = bundle / "saved_model" / "wyner" / "1"
    assert staged.parts[-2:] == ("wyner", "1")
    files = {path.relative_to(source) for path in source.rglob("*") if path.is_file()}
    assert files == {path.relative_to(staged) for path in staged.rglob("*") if path.is_file()}
    for name in files:
        same = (source / name).read_bytes() == (staged / name).read_bytes()
        assert same == (str(name) not in ("saved_model.pb", WARM_UP)), name

    expected = saved_model_pb2.SavedModel.FromString((source / "saved_model.pb").read_bytes())
    for name in GRIDS:
        del expected.meta_graphs[0].signature_def[name]
    found = saved_model_pb2.SavedModel.FromString((staged / "saved_model.pb").read_bytes())
    assert found == expected

    requests = [log for log in logs(source / WARM_UP) if name_of(log) not in GRIDS]
    assert logs(staged / WARM_UP) == requests


def name_of(log):
    return log.predict_log.request.model_spec.signature_name


def test_without_a_name_nothing_changes(bundle):
    source = bundle / "saved_model" / "wyner" / "1"
    for name, change in (("saved_model.pb", without_signatures), (WARM_UP, without_requests)):
        content = (source / name).read_bytes()
        assert change(content, set()) == content


def test_fields_of_every_wire_type_come_whole():
    # Number 1 as a varint of two bytes, 2 as eight bytes, 3 as text, 300 as four bytes.
    parts = [b"\x08\xac\x02", b"\x11" + bytes(8), b"\x1a\x02ab", b"\xe5\x12" + bytes(4)]
    assert list(fields(b"".join(parts))) == [
        (1, parts[0], b""),
        (2, parts[1], b""),
        (3, parts[2], b"ab"),
        (300, parts[3], b""),
    ]


@pytest.mark.parametrize("cut", [b"\x1a\x05ab", b"\x08\xac", b"\x11\x00", b"\x0b"])
def test_a_broken_message_is_refused(cut):
    with pytest.raises(ValueError, match="should end where it says"):
        list(fields(cut))


def test_a_cut_warm_up_file_is_refused(bundle):
    content = (bundle / "saved_model" / "wyner" / "1" / WARM_UP).read_bytes()
    for size in (5, len(content) - 1):
        with pytest.raises(ValueError, match="should be whole"):
            without_requests(content[:size], GRIDS)


def test_versions_count_on_and_are_never_replaced(bundle, tmp_path):
    models = tmp_path / "models"
    assert stage(bundle, models, version=7).name == "7"
    (models / "wyner" / "notes").mkdir()
    assert stage(bundle, models).name == "8"
    with pytest.raises(InputError, match=r"version=7, .* exists"):
        stage(bundle, models, version=7)
    with pytest.raises(InputError, match="positive integer"):
        stage(bundle, models, version=0)
    assert {path.name for path in (models / "wyner").iterdir()} == {"7", "8", "notes"}


def test_what_a_killed_command_left_goes(bundle, tmp_path):
    code = (
        "import os, signal, sys; from wyner_serving.tf_serving import stage\n"
        "import wyner_serving.whole as whole\n"
        "whole.Path.rename = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "stage(*sys.argv[1:])"
    )
    done = subprocess.run([sys.executable, "-c", code, bundle, tmp_path])
    assert done.returncode == -9
    (left,) = (tmp_path / "wyner").iterdir()
    assert not left.name.isdecimal()
    assert stage(bundle, tmp_path).name == "1"
    assert [path.name for path in (tmp_path / "wyner").iterdir()] == ["1"]


def test_another_user_may_read_it(bundle, tmp_path):
    mask = os.umask(0o077)
    try:
        target = stage(bundle, tmp_path)
    finally:
        os.umask(mask)
    for path in (target, *target.rglob("*")):
        wanted = 0o755 if path.is_dir() else 0o644
        assert stat.S_IMODE(path.stat().st_mode) == wanted


def test_a_damaged_bundle_leaves_nothing_behind(bundle, tmp_path):
    damaged = tmp_path / "bundle"
    shutil.copytree(bundle, damaged)
    file = damaged / "saved_model" / "wyner" / "1" / "saved_model.pb"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))
    with pytest.raises(BundleError, match=r"saved_model.pb should have SHA-256"):
        stage(damaged, tmp_path / "models")
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda values: values.pop("saved_model"), r"no \['saved_model'\]"),
        (
            lambda values: values["saved_model"].update(path="elsewhere"),
            "elsewhere'/saved_model.pb",
        ),
    ],
)
def test_a_bundle_without_saved_model_is_refused(bundle, tmp_path, change, message):
    damaged = tmp_path / "bundle"
    shutil.copytree(bundle, damaged)
    values = json.loads((damaged / "manifest.json").read_text())
    change(values)
    (damaged / "manifest.json").write_text(json.dumps(values))
    seal(damaged, files=False)
    with pytest.raises(BundleError, match=message):
        stage(damaged, tmp_path / "models")


def test_the_command(bundle, tmp_path, monkeypatch, capsys):
    models = tmp_path / "models"
    monkeypatch.setattr(sys, "argv", ["tf_serving", str(bundle), "--models", str(models)])
    assert main() == 0
    assert capsys.readouterr().out == f"{models / 'wyner' / '1'}\n"
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--version", "1"])
    assert main() == 1
    assert "exists" in capsys.readouterr().err


def test_it_imports_no_tensorflow():
    code = (
        "import sys, wyner_serving.tf_serving.__main__ as command; assert command.main;"
        "found = {'tensorflow', 'grpc', 'keras', 'wyner_keras'} & set(sys.modules);"
        "assert not found, found"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
