"""Damages files and bundles at random, in every way that damage comes: seeded, and told by name."""

import hashlib
import json
import os

MANIFEST, CHECKSUM = "manifest.json", "manifest.sha256"
DEEP = 10_000


# Bytes, whatever they mean.


def _flip(rng, content):
    found = bytearray(content or b"\0")
    found[rng.randrange(len(found))] ^= 1 << rng.randrange(8)
    return bytes(found)


def _overwrite(rng, content):
    start = rng.randrange(len(content) + 1)
    return content[:start] + rng.randbytes(rng.randint(1, 64)) + content[start + 32 :]


def _cut_out(rng, content):
    start = rng.randrange(len(content) + 1)
    return content[:start] + content[start + rng.randint(1, 256) :]


BYTES = {
    "flip": _flip,
    "overwrite": _overwrite,
    "cut out": _cut_out,
    "truncate": lambda rng, content: content[: rng.randrange(max(1, len(content)))],
    "append": lambda rng, content: content + rng.randbytes(rng.randint(1, 64)),
    "append a line": lambda rng, content: content + b"\n",
    "empty": lambda rng, content: b"",
    "double": lambda rng, content: content + content,
    "zeros": lambda rng, content: bytes(len(content)),
    "noise": lambda rng, content: rng.randbytes(rng.randint(1, 4096)),
}


# JSON, as text.


def _inserted(text):
    """A further value at the top of an object."""
    return lambda rng, content: content.replace(b"{", b'{"more": ' + text + b", ", 1)


def _twice(rng, content):
    """A key of the whole said once more, with another value."""
    keys = [key for key in json.loads(content)]
    value = rng.choice([b"1", b"null", b"{}", b"[]"])
    return content.rstrip()[:-1] + b', "' + rng.choice(keys).encode() + b'": ' + value + b"}"


TEXTS = {
    "nested lists": _inserted(b"[" * DEEP + b"]" * DEEP),
    "nested objects": _inserted(b'{"a": ' * DEEP + b"1" + b"}" * DEEP),
    "a million open lists": lambda rng, content: b"[" * 10**6,
    "a hundred deep": _inserted(b"[" * 100 + b"]" * 100),
    "wide": _inserted(b"[" + b"[]," * (2 * 10**6) + b"[]]"),
    "NaN": _inserted(b"NaN"),
    "Infinity": _inserted(b"-Infinity"),
    "1e999": _inserted(b"1e999"),
    "an integer of 10,000 digits": _inserted(b"9" * 10**4),
    "key twice": _twice,
    "BOM": lambda rng, content: b"\xef\xbb\xbf" + content,
    "UTF-16": lambda rng, content: content.decode().encode("utf-16"),
    "no UTF-8": _inserted(b'"\xff\xfe"'),
    "half a surrogate": _inserted(b'"\\ud800"'),
    "garbage behind": lambda rng, content: content + b"}",
    "comma behind": lambda rng, content: content.rstrip()[:-1] + b",}",
    "null": lambda rng, content: b"null",
    "list": lambda rng, content: b"[" + content + b"]",
    "number": lambda rng, content: b"2",
    "text": lambda rng, content: b'"manifest"',
    "empty object": lambda rng, content: b"{}",
}


# JSON, as values.

ODD = [
    *(None, True, False, -1, 0, 10**18, 10**400, 1.5, -0.0, 1e300, "", "x", "z", "manifest.json"),
    *([], {}, [[]], [-1], [0], [10**18], [1] * 100, {"a": 1}, "\0", "\ud800", "a" * 10**5),
    *("../x", "/etc/passwd", "..\\x", "C:\\x", "onnx/../x", "./x", "a//b", "/dev/zero", "\u202e"),
]
_NO_MEANING = {"meaning", "name", "created", "versions", "metrics", "nats", "parity", "pairing"}
_NO_MEANING |= {"signatures", "range", "identity", "opset", "texts"}
# Latents of the user's own have others, and are ranked by their graph.
_NO_MEANING |= {"family", "form"}


def places(values, within=()):
    """Every key and index of nested values, as (container, key)."""
    items = values.items() if isinstance(values, dict) else enumerate(values)
    for key, value in items:
        # Texts for people, and figures: what they say is between the writer and the reader.
        if key in within:
            continue
        yield values, key
        if isinstance(value, dict | list):
            yield from places(value, within)


def edit_values(rng, values, within=()):
    """One odd value, lost key, other key or repeated element, somewhere in values; its name."""
    container, key = rng.choice(list(places(values, within)))
    way = rng.choice(["odd", "odd", "odd", "lost", "renamed", "repeated"])
    if key == "pmi":  # a latent may leave it out
        way = "odd"
    if way == "odd":
        odd = [value for value in ODD if value != container[key] or type(value) is bool]
        container[key] = rng.choice(odd)
    elif way == "lost":
        del container[key]
    elif isinstance(container, list):
        container.insert(key, container[key])
    else:
        container[f"{key}_" if way == "renamed" else f"{key}/x"] = container.pop(key)
    return f"{way} {key}: {container.get(key) if isinstance(container, dict) else container!r:.60}"


# Files and folders.


def files_of(folder):
    """The regular files of a folder, in order."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _gone(folder, path):
    path.unlink()


def _folder(folder, path):
    path.unlink()
    path.mkdir()


def _fifo(folder, path):
    path.unlink()
    os.mkfifo(path)


def _link_out(folder, path):
    other = folder.parent / "elsewhere"
    other.write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(other)


def _link_in(folder, path):
    path.rename(path.with_name("moved"))
    path.symlink_to("moved")


def _link_to_zeros(folder, path):
    path.unlink()
    path.symlink_to("/dev/zero")


def _link_to_itself(folder, path):
    path.unlink()
    path.symlink_to(path.name)


def _linked_folder(folder, path):
    parent = path.parent if path.parent != folder else folder / "onnx"
    parent.rename(folder.parent / "elsewhere-folder")
    parent.symlink_to(folder.parent / "elsewhere-folder")


def _sparse(folder, path):
    os.truncate(path, 2**40)


def _extra(folder, path):
    (path.parent / f"extra{path.suffix}").write_bytes(path.read_bytes())


def _extra_fifo(folder, path):
    os.mkfifo(path.parent / f"00extra{path.suffix}")


def _extra_folders(folder, path):
    (folder / "/".join(["a"] * 400)).mkdir(parents=True)


TREES = {
    "file gone": _gone,
    "file a folder": _folder,
    "file a FIFO": _fifo,
    "file a link out": _link_out,
    "file a link in": _link_in,
    "file a link to /dev/zero": _link_to_zeros,
    "file a link to itself": _link_to_itself,
    "folder a link out": _linked_folder,
    "file of 1 TiB": _sparse,
    "file extra": _extra,
    "FIFO extra": _extra_fifo,
    "folders extra": _extra_folders,
}


def seal(folder, files=True):
    """Make checksums right again, as one who forges a bundle does."""
    path = folder / MANIFEST
    if files:
        values = json.loads(path.read_text())
        for name in values["files"]:
            content = (folder / name).read_bytes()
            digest = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
            values["files"][name] = digest
        path.write_text(json.dumps(values))
    if (folder / CHECKSUM).exists():
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        (folder / CHECKSUM).write_text(f"{digest}  {MANIFEST}\n")


# ONNX, with its checksums made right.


def _onnx(change):
    def changed(rng, folder):
        import onnx

        path = rng.choice(sorted((folder / "onnx").glob("*.onnx")))
        model = onnx.load(path)
        change(rng, model.graph)
        path.write_bytes(model.SerializeToString())

    return changed


def _rename_input(rng, graph):
    old = rng.choice(graph.input).name
    for node in graph.node:
        node.input[:] = ["other" if name == old else name for name in node.input]
    next(value for value in graph.input if value.name == old).name = "other"


def _rename_output(rng, graph):
    old = rng.choice(graph.output).name
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = ["other" if name == old else name for name in names]
    next(value for value in graph.output if value.name == old).name = "other"


def _resize(rng, graph):
    value = rng.choice([*graph.input, *graph.output])
    dimension = rng.choice(value.type.tensor_type.shape.dim[1:] or value.type.tensor_type.shape.dim)
    dimension.dim_value = rng.choice([-1, 0, 10**18, 2**31, 5])


def _retype(rng, graph):
    rng.choice([*graph.input, *graph.output]).type.tensor_type.elem_type = rng.choice([7, 11, 8, 9])


def _external(rng, graph):
    tensors = list(graph.initializer)
    for node in graph.node:
        tensors += [each.t for each in node.attribute if each.HasField("t")]
    tensor = rng.choice(tensors)
    tensor.ClearField("raw_data")
    tensor.ClearField("float_data")
    tensor.data_location = 1
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", rng.choice(["/etc/passwd", "../../x", "manifest.json"])


def _weights_elsewhere(rng, folder):
    import onnx

    models = {
        path: onnx.load(path, load_external_data=False)
        for path in sorted((folder / "onnx").glob("*.onnx"))
    }
    path, entries = rng.choice(
        [
            (path, held.external_data)
            for path, model in models.items()
            for held in model.graph.initializer
            if held.external_data
        ]
    )
    rng.choice(entries).value = rng.choice(["0", "-1", "64", str(2**63), "/etc/passwd", "../x", ""])
    path.write_bytes(models[path].SerializeToString())


ONNX = {
    "ONNX: input renamed": _onnx(_rename_input),
    "ONNX: output renamed": _onnx(_rename_output),
    "ONNX: size of an input or output": _onnx(_resize),
    "ONNX: type of an input or output": _onnx(_retype),
    "ONNX: data outside": _onnx(_external),
    "ONNX: weights elsewhere": _weights_elsewhere,
}


def _forge_file(rng, folder):
    """Any file changed and sealed again: it may be another bundle that is right in itself."""
    path = rng.choice([path for path in files_of(folder) if path.name not in (MANIFEST, CHECKSUM)])
    path.write_bytes(rng.choice(list(BYTES.values()))(rng, path.read_bytes()))


def mutate_bundle(rng, folder):
    """Damage a bundle in one way.

    Returns:
        The family of the damage, and its name. What is "forged" has all its checksums made right,
        and may be a lawful other bundle; all else should be refused.
    """
    family = rng.choice(["bytes", "bytes", "tree", "text", "values", "sealed text", "sealed values",
                         "sealed values", "sealed ONNX", "forged"])  # fmt: skip
    path = rng.choice(files_of(folder))
    manifest = folder / MANIFEST
    if family == "bytes":
        name = rng.choice(sorted(BYTES))
        before = path.read_bytes()
        while path.read_bytes() == before:
            path.write_bytes(BYTES[name](rng, before))
            name = name if path.read_bytes() != before else "flip"
        return family, name
    if family == "tree":
        name = rng.choice(sorted(TREES))
        TREES[name](folder, path)
        return family, name
    if family == "sealed ONNX":
        name = rng.choice(sorted(ONNX))
        ONNX[name](rng, folder)
        seal(folder)
        return family, name
    if family == "forged":
        _forge_file(rng, folder)
        seal(folder)
        return family, "file"
    if family.endswith("text"):
        name = rng.choice(sorted(TEXTS))
        manifest.write_bytes(TEXTS[name](rng, manifest.read_bytes()))
    else:
        values = json.loads(manifest.read_text())
        name = edit_values(rng, values, _NO_MEANING if family.startswith("sealed") else ())
        manifest.write_text(json.dumps(values))
    if family.startswith("sealed"):
        seal(folder, files=False)
    return family, name
