"""Files are written whole or not at all, spare what is there, and leave nothing behind."""

from __future__ import annotations

import gzip
import os
import resource
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from csr.errors import ConfigError
from csr.files import (
    check_colons,
    file_name,
    is_stream,
    new_folder,
    several,
    write_folder,
    write_json,
    write_text,
    write_whole,
)

_FULL = "File too large|10000 requested and [0-9]+ written"


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """Let no file grow beyond some bytes, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def write(path: Path, text: str = "new\n") -> None:
    with write_text(path) as stream:
        stream.write(text)


def test_a_link_stays_one_and_its_target_is_written(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there/file").write_text("old\n")
    (tmp_path / "link").symlink_to("there/file")
    (tmp_path / "dangling").symlink_to("there/other")
    write(tmp_path / "link")
    write(tmp_path / "dangling", "other\n")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "dangling").is_symlink()
    assert {path.name: path.read_text() for path in (tmp_path / "there").iterdir()} == {
        "file": "new\n",
        "other": "other\n",
    }
    with pytest.raises(TypeError), write_text(tmp_path / "link") as stream:
        print("half", None + 1, file=stream)  # type: ignore[operator]
    assert (tmp_path / "link").read_text() == "new\n"
    with pytest.raises(ConfigError, match="there: expected the name of a file, found a folder"):
        write(tmp_path / "there")
    assert names(tmp_path) == {"there", "link", "dangling"}


@pytest.mark.parametrize("name", ["pipe", "pipe.gz"])
def test_a_pipe_is_written_to(tmp_path: Path, name: str) -> None:
    pipe, found = tmp_path / name, []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: found.append(pipe.read_bytes()))
    reader.start()
    write(pipe, "text\n")
    reader.join()
    assert (gzip.decompress(found[0]) if name.endswith("gz") else found[0]) == b"text\n"
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert names(tmp_path) == {name}


def test_a_device_stays_one(tmp_path: Path) -> None:
    null, text = tmp_path / "null", tmp_path / "text"
    try:
        os.mknod(null, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        null.write_text("")
    except PermissionError:
        pytest.skip("devices cannot be made here")
    (tmp_path / "link").symlink_to(null)
    write(null)
    write(tmp_path / "link")
    write_json(null, {"a": 1})
    assert stat.S_ISCHR(null.stat().st_mode)
    assert is_stream(null)
    assert is_stream(tmp_path / "link")
    assert not is_stream(text)
    assert names(tmp_path) == {"null", "link"}


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "-", "link"])
def test_a_file_behind_standard_output_keeps_what_it_has(tmp_path: Path, name: str) -> None:
    (tmp_path / "log").write_text("before\n")
    (tmp_path / "link").symlink_to("/dev/stdout")
    code = f"from csr.files import write_text\nwith write_text({name!r}) as stream:\n    stream.write('text\\n')\n"
    with open(tmp_path / "log", "a") as log:
        subprocess.run([sys.executable, "-c", f"{code}print('after')"], stdout=log, check=True, cwd=tmp_path)
    assert (tmp_path / "log").read_text() == "before\ntext\nafter\n"


def test_what_killed_commands_left_goes_and_what_others_write_stays(tmp_path: Path) -> None:
    script = (
        "import sys, time\nfrom csr.files import new_folder, write_folder, write_text\n"
        "with write_text('x.tsv') as stream, new_folder('model'), write_folder('data', 'last.json') as part:\n"
        "    (part / 'half').mkdir()\n    print('ready', flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=tmp_path) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        own = names(tmp_path) | {f"data/{name}" for name in names(tmp_path / "data")}
        assert len(own) == 4

        def run() -> set[str]:
            write(tmp_path / "x.tsv")
            with write_folder(tmp_path / "data", "last.json") as part:
                (part / "last.json").write_text("{}")
            with new_folder(tmp_path / "model") as part:
                (part / "weights").write_text("w")
            (tmp_path / "model/weights").unlink()
            return names(tmp_path) | {f"data/{name}" for name in names(tmp_path / "data")}

        finished = {"x.tsv", "data", "data/last.json", "model"}
        elsewhere = tmp_path / ".x.tsv.another-machine.7.part.tsv"
        elsewhere.write_text("")
        assert run() == finished | own | {elsewhere.name}
        writer.send_signal(signal.SIGKILL)
    assert run() == finished | {elsewhere.name}


def test_a_full_disk_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    def saved(part: Path) -> None:
        np.save(part, np.zeros(10_000))

    def torch_saved(part: Path) -> None:
        import torch

        with open(part, "wb") as stream:
            torch.save({"a": torch.zeros(100_000)}, stream)

    def rust(part: Path) -> None:
        from safetensors.numpy import save_file

        save_file({"a": np.zeros(10_000)}, part)

    path = tmp_path / "file.npy"
    path.write_text("before")
    for writer in (saved, torch_saved, rust, lambda part: part.write_bytes(bytes(10_000))):
        with pytest.raises(OSError, match=_FULL) as found, full_disk(5_000), write_whole(path) as part:
            writer(part)
        assert found.value.filename == str(path), found.value
    with pytest.raises(OSError, match=_FULL) as found, full_disk(5_000), write_text(path) as stream:
        stream.write("x" * 10_000)
    assert found.value.filename == str(path)
    for folder in (new_folder(tmp_path / "new"), write_folder(tmp_path, "last")):
        with pytest.raises(OSError, match=_FULL) as found, full_disk(5_000), folder as part:
            (part / "a").write_bytes(bytes(10_000))
        assert found.value.filename in map(str, (tmp_path, tmp_path / "new"))
    assert names(tmp_path) == {"file.npy"}
    assert path.read_text() == "before"


def test_folders_behind_links_are_filled(tmp_path: Path) -> None:
    for name in ("disk", "disk/bin", "empty"):
        (tmp_path / name).mkdir()
    (tmp_path / "disk/bin/old").write_text("")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/bin").symlink_to("../disk/bin")
    with write_folder(tmp_path / "out", "last") as part:
        (part / "bin").mkdir()
        (part / "bin/new").write_text("")
        (part / "last").write_text("")
    assert (tmp_path / "out/bin").is_symlink()
    assert names(tmp_path / "disk/bin") == {"new"}
    (tmp_path / "link").symlink_to("empty")
    with new_folder(tmp_path / "link") as part:
        (part / "a").write_text("")
    assert (tmp_path / "link").is_symlink()
    assert names(tmp_path / "empty") == {"a"}


@given(st.text() | st.text("./ab\\\0\n", max_size=6))
def test_a_name_stays_in_its_folder(name: str) -> None:
    folder = Path("/some/folder")
    try:
        path = folder / f"{file_name(name, 'language code')}.txt"
    except ConfigError:
        return
    assert Path(os.path.normpath(path)).parent == folder
    assert len(path.name) <= 104
    assert str(path).isprintable() or not name.isascii()


def test_names_that_are_refused() -> None:
    for name in ("", ".", "..", "../x", "a/b", "/x", ".hidden", "a\nb", "a\0", "x" * 101, " x", "a\\b"):
        with pytest.raises(ConfigError, match="language code: expected a name that can be part of a file's"):
            file_name(name, "language code")
    for name in ("de", "de_DE", "zh-Hant", "xnli.test", "ქართული", "dev 1"):
        assert file_name(name, "") == name


def test_a_colon_parts_paths_and_is_in_none(tmp_path: Path) -> None:
    """fairseq would read ``v:2/d`` as the folders v and 2/d."""
    for name in ("a", "b", "v:2"):
        (tmp_path / name).mkdir()
    assert several(f"{tmp_path}/a:{tmp_path}/b", "DATA") == [f"{tmp_path}/a", f"{tmp_path}/b"]
    assert several("none", "DATA") == ["none"]
    with pytest.raises(ConfigError, match=rf"DATA: {tmp_path}/v:2: no {tmp_path}/v; a colon parts several paths"):
        several(f"{tmp_path}/v:2", "DATA")
    with pytest.raises(ConfigError, match=r"--out: expected a path without a colon, .*, found v:2"):
        check_colons("v:2", "--out")


def test_a_link_to_itself_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(ConfigError, match="a link that leads to itself"), write_text(tmp_path / "loop"):
        pass
    assert (tmp_path / "loop").is_symlink()
