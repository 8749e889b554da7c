"""A stand-in for huggingface_hub: repositories in a folder, and a cache in the hub's own layout.

Of its functions it has what presets use, with the names of huggingface_hub 2.4's arguments.
"""

import fnmatch
import hashlib
import pathlib
import shutil
import types


class RepositoryNotFoundError(Exception):
    """There is no such repository."""


class LocalTokenNotFoundError(Exception):
    """Nobody is logged in."""


def stand_in(root):
    """The module, whose repositories lie in root/there and whose cache in root/cache."""
    there, cache = pathlib.Path(root, "there"), pathlib.Path(root, "cache")

    def snapshot_download(repo_id, *, revision=None, allow_patterns=None):
        source = there / repo_id / (revision or "main")
        if not source.is_dir():
            raise RepositoryNotFoundError(f"404 Client Error: {repo_id}")
        files = {
            path.relative_to(source).as_posix(): path
            for path in sorted(source.rglob("*"))
            if path.is_file()
        }
        contents = {name: path.read_bytes() for name, path in files.items()}
        told = [f"{name}{hashlib.sha1(of).hexdigest()}" for name, of in contents.items()]
        commit = hashlib.sha1("".join(told).encode()).hexdigest()
        repository = cache / f"models--{repo_id.replace('/', '--')}"
        for name, content in contents.items():
            if not any(fnmatch.fnmatch(name, pattern) for pattern in allow_patterns):
                continue
            blob = repository / "blobs" / hashlib.sha256(content).hexdigest()
            link = repository / "snapshots" / commit / name
            for path in (blob, link):
                path.parent.mkdir(parents=True, exist_ok=True)
            blob.write_bytes(content)
            if not link.is_symlink():
                link.symlink_to(blob)
        refs = repository / "refs" / (revision or "main")
        refs.parent.mkdir(parents=True, exist_ok=True)
        refs.write_text(commit)
        return str(repository / "snapshots" / commit)

    class HfApi:
        """Makes repositories and fills them."""

        token = "token"

        def whoami(self):
            """Who is logged in."""
            if self.token is None:
                raise LocalTokenNotFoundError("hf auth login")
            return {"name": "me"}

        def create_repo(self, repo_id, *, exist_ok=False):
            """The address of a repository that is there from then on."""
            (there / repo_id / "main").mkdir(parents=True, exist_ok=exist_ok)
            return f"hub/{repo_id}"

        def upload_folder(
            self, *, repo_id, folder_path, commit_message, revision=None, delete_patterns=None
        ):
            """Put files into a repository, and take those away that are to go."""
            assert commit_message
            target = there / repo_id / (revision or "main")
            for path in [*target.rglob("*")]:
                name = path.relative_to(target).as_posix()
                if path.is_file() and fnmatch.fnmatch(name, delete_patterns):
                    path.unlink()
            shutil.copytree(folder_path, target, dirs_exist_ok=True)

    return types.SimpleNamespace(snapshot_download=snapshot_download, HfApi=HfApi, there=there)
