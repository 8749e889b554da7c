"""Signatures: made and checked as minisign does, and a bundle is what was signed or refused."""

import shutil
import stat

import pytest
from file_steps import killed_at
from mutations import seal

pytest.importorskip("cryptography")

from wyner_serving import Bundle, BundleError, InputError
from wyner_serving.seal import CHECKSUM, MANIFEST, SIGNATURE, write_seal
from wyner_serving.signature import check_signature, new_key, read_secret_key, sign

# Made by minisign 0.11: `minisign -G -W`, `minisign -S` and `minisign -S -l`.
CONTENT = b'{"format": 3}\n'
PUBLIC = "RWSqNbnqOL6DpN0XGGd3wTwwT+j/gyS8zloPMQzR5WckONQlaDztI5V8"
SECRET = (
    "RWQAAEIyAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAqjW56ji+g6RUc1ZG"
    "JacqXbSo+0BiBlVR0EpDb3X6QNrhxYEbXil6Xt0XGGd3wTwwT+j/gyS8zloPMQzR5WckONQlaDztI5V8AAAAAAAA"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
)
SIGNATURES = {
    "hashed": (
        "untrusted comment: signature from minisign secret key\n"
        "RUSqNbnqOL6DpB3poRHYG0Ve6N5y0KYEzyPikR3KNtXRn9cnAJkgsj5wLwmE4mjQBeO8Lc"
        "cCLwTr0nKfWG64R8y4Xr+6scDV3QU=\n"
        "trusted comment: timestamp:1795942237\tfile:vec.json\thashed\n"
        "s85woxKc7q1/mBIw2ZBx765ySNA15WOIVKlThpWWxFiyQmyVm80VhdlBRITzkv7q7/i12J"
        "5YqaVdS2cfVNauCA==\n"
    ),
    "legacy": (
        "untrusted comment: signature from minisign secret key\n"
        "RWSqNbnqOL6DpNZguSjETAjJI19kXObixLlHVhAmLZEiHTVYcDDRBxw0S6+2tEXyFq1obh"
        "BtWn1t2LOVHdoU/weALH7WVXOKAAE=\n"
        "trusted comment: timestamp:1795942237\tfile:vec.json\n"
        "CYgYJKwSEFfiUTm/CVZ4lhXz4QwBZHB/kOSuBf5AVVuX0NVS255Ic1VJ/L7+Mt4awJP1vG"
        "5SzSOUEnF77PgbBA==\n"
    ),
}


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    return new_key(tmp_path_factory.mktemp("keys") / "KEY")


@pytest.fixture
def signed(bundle, tmp_path, keys):
    folder = tmp_path / "bundle"
    shutil.copytree(bundle, folder)
    content = (folder / MANIFEST).read_bytes()
    write_seal(folder, sign(content, read_secret_key(keys[0]), "file:manifest.json"))
    return folder


@pytest.mark.parametrize("kind", SIGNATURES)
def test_what_minisign_signed_is_known(kind):
    signature = SIGNATURES[kind].encode()
    check_signature(CONTENT, signature, PUBLIC)
    with pytest.raises(BundleError, match="as it was signed"):
        check_signature(CONTENT + b" ", signature, PUBLIC)
    with pytest.raises(BundleError, match="as it was signed"):
        check_signature(CONTENT, signature.replace(b"timestamp:1", b"timestamp:2"), PUBLIC)


def test_a_key_of_minisign_signs(tmp_path):
    (tmp_path / "KEY").write_text(f"untrusted comment: a key\n{SECRET}\n")
    signature = sign(CONTENT, read_secret_key(tmp_path / "KEY"), "file:a")
    check_signature(CONTENT, signature, PUBLIC)
    changed = SECRET[:100] + ("A" if SECRET[100] != "A" else "B") + SECRET[101:]
    (tmp_path / "KEY").write_text(f"untrusted comment: a key\n{changed}\n")
    with pytest.raises(InputError, match="KEY should be"):
        read_secret_key(tmp_path / "KEY")


def test_a_signed_bundle_opens_by_its_key_alone(signed, keys):
    secret, public = keys
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    line = public.read_text().splitlines()[1]
    for key in (public, str(public), line, None):
        Bundle.load(signed, public_key=key)
    with pytest.raises(BundleError, match=r"by key \w{16}\. Received: a signature by \w{16}"):
        Bundle.load(signed, public_key=PUBLIC)
    (signed / CHECKSUM).unlink()
    with pytest.raises(BundleError, match=r"should hold manifest.sha256"):
        Bundle.load(signed, public_key=line)


def test_a_forged_bundle_is_whole_and_not_signed(signed, keys):
    """Whoever changes a bundle can make its checksums right, but not its signature."""
    card = signed / "MODEL_CARD.md"
    card.write_text(card.read_text() + "mine")
    seal(signed)
    Bundle.load(signed)
    with pytest.raises(BundleError, match="as it was signed"):
        Bundle.load(signed, public_key=keys[1])
    (signed / SIGNATURE).unlink()
    with pytest.raises(BundleError, match=r"should be signed. Received: no manifest.json.minisig"):
        Bundle.load(signed, public_key=keys[1])


def test_a_signature_cannot_be_left_out_or_changed_unseen(signed):
    content = (signed / SIGNATURE).read_bytes()
    for changed in (content + b"\n", content.replace(b"untrusted", b"trusted"), b""):
        (signed / SIGNATURE).write_bytes(changed)
        with pytest.raises(BundleError, match=r"as manifest.sha256 has it"):
            Bundle.load(signed)
    (signed / SIGNATURE).unlink()
    with pytest.raises(BundleError, match=r"as manifest.sha256 has it"):
        Bundle.load(signed)


def test_a_kill_at_any_step_leaves_no_half_of_a_key(tmp_path):
    step, killed, pairs = 0, True, 0
    while killed:
        path = tmp_path / str(step) / "KEY"
        killed = killed_at(step, tmp_path, lambda path=path: new_key(path))
        if path.exists():
            signature = sign(CONTENT, read_secret_key(path), "a")
            check_signature(CONTENT, signature, f"{path}.pub")
            pairs += 1
        step += 1
    assert step > 5 and pairs > 1


@pytest.mark.parametrize("key", ["", "RWQ", "no-such", "\0", PUBLIC[:-1], PUBLIC[:-1] + "?", 3])
def test_what_is_no_key_is_refused(signed, key):
    with pytest.raises(InputError, match=r"`public_key` should be"):
        Bundle.load(signed, public_key=key)


def test_keys_are_not_overwritten_or_taken_for_one_another(keys):
    with pytest.raises(InputError, match="should have a new name"):
        new_key(keys[0])
    with pytest.raises(InputError, match="KEY should be a secret key"):
        read_secret_key(keys[1])
    with pytest.raises(InputError, match="`public_key` should be a public key"):
        check_signature(CONTENT, SIGNATURES["hashed"].encode(), keys[0])
