"""Text in and out: strict UTF-8 with line numbers, gzip, xz and zstd by name, and writes that are whole or absent."""

from __future__ import annotations

import contextlib
import errno
import glob
import gzip
import hashlib
import io
import json
import lzma
import os
import re
import shutil
import stat
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from csr.errors import ConfigError, DataError, install

PathLike = str | os.PathLike[str]
_LINKS = 40  # that Linux follows
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def _open_zstd(path: PathLike, mode: str) -> IO[bytes]:
    try:
        import zstandard
    except ImportError:
        raise ConfigError(f"{path}: expected the package that reads it, found none: {install('zstd')}") from None
    return io.BufferedReader(_Zstd(open(path, mode), zstandard.ZstdDecompressor().decompressobj))


class _Zstd(io.RawIOBase):
    """Decompressed frames, one after the other; zstandard's own reader takes a file cut short for a whole one."""

    def __init__(self, file: IO[bytes], new_frame: Callable[[], Any]) -> None:
        self._file, self._new_frame = file, new_frame
        self._frame: Any = None  # one that has begun
        self._packed, self._text = b"", memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._text:
            self._packed = self._packed or self._file.read(1 << 17)
            if not self._packed:
                if self._frame:
                    raise EOFError("the last frame has no end")
                return 0
            self._frame = self._frame or self._new_frame()
            self._text = memoryview(self._frame.decompress(self._packed))
            self._packed = b""
            if self._frame.eof:
                self._packed, self._frame = self._frame.unused_data, None
        n = min(len(buffer), len(self._text))
        buffer[:n], self._text = self._text[:n], self._text[n:]
        return n

    def close(self) -> None:
        self._file.close()
        super().close()


_OPENERS = {".gz": gzip.open, ".xz": lzma.open, ".zst": _open_zstd}


def open_bytes(path: PathLike) -> IO[bytes]:
    """Open a file for reading bytes, decompressed by its suffix; ``-`` is standard input."""
    if str(path) == "-":
        return sys.stdin.buffer
    opener = _OPENERS.get(Path(path).suffix, open)
    try:
        return opener(path, "rb")  # type: ignore[operator]
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise DataError(f"{path}: expected a file, found a folder") from None


def read_lines(path: PathLike, marks: bool = False) -> Iterator[str]:
    """Yield the lines of a UTF-8 file without their line ends.

    Only ``\\n`` and ``\\r\\n`` end a line: Unicode separators inside a sentence do not, so that the two
    sides of a parallel corpus stay aligned. A byte-order mark at the beginning of the file, or of a line (where files
    were joined), is no part of the text.

    Args:
        marks: leave those at the beginning of lines: in a list of pieces, a mark may be one.

    Raises:
        DataError: the file is missing, cut short (compressed), not UTF-8, holds a NUL, or its lines all end in
            ``\\r`` alone, which would make one line of them.
    """
    with open_bytes(path) as stream:
        number = 0
        try:
            for number, data in enumerate(_lines(path, stream), 1):
                line = data.decode("utf-8").removesuffix("\n").removesuffix("\r")
                if "\0" in line:
                    raise DataError(f"{path}:{number}: expected UTF-8 text, found a NUL byte, as UTF-16 has them")
                yield line if marks and number > 1 else line.removeprefix("\ufeff")
        except UnicodeDecodeError as error:
            found = f"byte 0x{error.object[error.start]:02x} at column {error.start + 1}"
            raise DataError(f"{path}:{number}: expected UTF-8, found {found}") from None
        except _damaged() as error:
            raise DataError(f"{path}:{number + 1}: the compressed file is damaged or cut short ({error})") from None


def _lines(path: PathLike, stream: IO[bytes]) -> Iterator[bytes]:
    """Yield lines, unless the first one is all there is and several by the line ends of old Macs."""
    first = stream.readline()
    inner = first.removesuffix(b"\n").removesuffix(b"\r").count(b"\r")
    second = stream.readline() if inner else b""
    if inner and not second and (inner > 1 or not first.endswith(b"\n")):
        raise DataError(f"{path}: expected lines that end in \\n or \\r\\n, found \\r alone")
    yield from filter(None, (first, second))
    yield from stream


def read_objects(path: PathLike) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the number of each line of JSON lines and its object; empty lines are passed over.

    Raises:
        DataError: a line holds something else.
    """
    for number, line in enumerate(read_lines(path), 1):
        if line.strip():
            yield number, parse_object(line, f"{path}:{number}")


def parse_object(text: str, place: str) -> dict[str, Any]:
    """The JSON object of a text.

    What text cannot hold, halves of characters (an emoji cut in two) and NUL, becomes the replacement character.

    Raises:
        DataError: the text is no object; says the place it came from.
    """
    try:
        found = json.loads(text)
    except ValueError as error:
        raise DataError(f"{place}: expected a JSON object, found {error}") from None
    except RecursionError:
        raise DataError(f"{place}: expected a JSON object, found values too deep in one another") from None
    if not isinstance(found, dict):
        raise DataError(f"{place}: expected a JSON object, found {text[:60]!r}")
    return _writable(found) if "\\u" in text else found


def _writable(value: Any) -> Any:
    if isinstance(value, str):
        return re.sub("[\0\ud800-\udfff]", "\ufffd", value)
    if isinstance(value, dict):
        return {_writable(key): _writable(item) for key, item in value.items()}
    return [_writable(item) for item in value] if isinstance(value, list) else value


def _damaged() -> tuple[type[Exception], ...]:
    """The errors that say that a compressed file is damaged."""
    zstandard = sys.modules.get("zstandard")
    found = (EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error)
    return found if zstandard is None else (*found, zstandard.ZstdError)


def read_parallel(src: PathLike, tgt: PathLike) -> Iterator[tuple[str, str]]:
    """Yield the line pairs of two files of equal length.

    Raises:
        DataError: one file has more lines than the other, or neither has any.
    """
    left, right = read_lines(src), read_lines(tgt)
    number = 0
    while True:
        a, b = next(left, None), next(right, None)
        if a is None and b is None:
            break
        if a is None or b is None:
            longer, shorter = (tgt, src) if a is None else (src, tgt)
            raise DataError(f"{shorter}:{number + 1}: expected a line to go with {longer}:{number + 1}, found the end")
        number += 1
        yield a, b
    if not number:
        raise DataError(f"{src}: expected at least one line, found an empty file")


def several(text: str, setting: str) -> list[str]:
    """The paths in a text with colons between them, as fairseq takes several.

    Raises:
        ConfigError: one of several is not there; most likely it is one path that has a colon.
    """
    paths = text.split(":")
    if len(paths) > 1 and (missing := [path for path in paths if not os.path.exists(path)]):
        raise ConfigError(f"{setting}: {text}: no {missing[0]}; a colon parts several paths, and none may have one")
    return paths


def check_colons(path: PathLike, setting: str) -> None:
    """Raise ConfigError for a path with a colon where fairseq is to read it."""
    if ":" in str(path):
        raise ConfigError(f"{setting}: expected a path without a colon, which parts several to fairseq, found {path}")


def file_name(name: str, setting: str) -> str:
    """A name that becomes a part of a file's, such as a language in ``text/train.de``, as it is.

    Raises:
        ConfigError: it is empty, too long, begins with a dot, or could lead into another folder.
    """
    if not re.fullmatch(r"[^/\\.\s\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]{,99}", name):
        raise ConfigError(f"{setting}: expected a name that can be part of a file's, found {name[:120]!r}")
    return name


def is_stream(path: PathLike) -> bool:
    """Tell whether a name is written through rather than replaced: ``-``, a pipe, a device, ``/dev/stdout``."""
    if str(path) == "-":
        return True
    link = Path(os.path.abspath(path))
    for _ in range(_LINKS):
        if os.path.realpath(link.parent).startswith("/proc/"):  # what /dev/stdout leads to, be it a file
            return True
        if not link.is_symlink():
            break
        link = link.parent / os.readlink(link)
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def _temporary(path: Path) -> Path:
    """A name beside a file or folder for what is to become it, after removing those that killed commands left."""
    start, end = f".{path.name}.{os.uname().nodename}.", f".part{path.suffix}"
    for left in path.parent.glob(f"{glob.escape(start)}*{glob.escape(end)}"):
        owner = left.name[len(start) : -len(end)]
        if owner.isdecimal() and not _runs(int(owner)):
            _remove(left)
    return path.with_name(f"{start}{os.getpid()}{end}")


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return process != os.getpid()  # ours can be that of a process before it, in a container


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Have errors of a full disk name what was to be written, whatever library they come from."""
    try:
        yield
    except Exception as error:
        found: BaseException | None = error
        while found is not None:
            code = getattr(found, "errno", None)
            if told := re.search(r"\(os error (\d+)\)", str(found)):  # of a library in Rust
                code = int(told[1])
            if code in _FULL:
                raise OSError(code, os.strerror(code), str(path)) from error
            found = found.__cause__ or found.__context__
        if isinstance(error, OSError) and error.errno is None:  # numpy's
            raise OSError(errno.EIO, str(error), str(path)) from error
        raise


@contextlib.contextmanager
def write_whole(path: PathLike) -> Iterator[Path]:
    """Yield a temporary name beside ``path`` and rename it to ``path`` if the block succeeds.

    A link stays one, and the file it leads to is written. Of a pipe or a device its own name is yielded. What killed
    commands left of the file goes.

    Raises:
        ConfigError: there is a folder of that name.
        OSError: the disk is full, or the file cannot be written for another reason.
    """
    if is_stream(path):
        with _named(Path(path)):
            yield Path(path)
        return
    if os.path.isdir(path):
        raise ConfigError(f"{path}: expected the name of a file, found a folder")
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise ConfigError(f"{path}: expected the name of a file, found a link that leads to itself")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = _temporary(target)
    try:
        with _named(Path(path)):
            yield part
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def write_folder(out: PathLike, last: str) -> Iterator[Path]:
    """Yield an empty folder in ``out``; if the block succeeds, its content goes to ``out``, the file ``last`` last.

    So a folder without that file is not finished.
    """
    out = Path(out)
    new = not out.exists()
    out.mkdir(parents=True, exist_ok=True)
    # Of this process alone: a child of a killed one may still be writing.
    part = _temporary(out / last)
    try:
        with _named(out):
            part.mkdir()
            yield part
        (out / last).unlink(missing_ok=True)
        for path in sorted(part.iterdir(), key=lambda path: path.name == last):
            _put(path, out / path.name)
    finally:
        _remove(part)
        if new and not any(out.iterdir()):
            out.rmdir()


def _put(source: Path, target: Path) -> None:
    """Move a file or folder to where another one may be; a link there stays one."""
    target = Path(os.path.realpath(target))
    if target.is_dir():
        shutil.rmtree(target)
    try:
        os.replace(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:  # the link leads to another disk
            raise
        shutil.move(source, target)


@contextlib.contextmanager
def new_folder(out: PathLike) -> Iterator[Path]:
    """Yield an empty folder beside ``out``, which becomes ``out`` if the block succeeds.

    Raises:
        ConfigError: ``out`` is a file, or a folder with files in it.
    """
    out = Path(os.path.realpath(out))
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out}: expected a new folder, found one with files in it")
    out.parent.mkdir(parents=True, exist_ok=True)
    around = _temporary(out)
    try:
        with _named(out):
            part = around / out.name
            part.mkdir(parents=True)
            yield part
        os.rename(part, out)
    finally:
        _remove(around)


@contextlib.contextmanager
def write_text(path: PathLike) -> Iterator[IO[str]]:
    """Open a UTF-8 file for writing, gzipped if its name ends in ``.gz``; it appears whole or not at all.

    ``-`` is standard output; pipes and devices are written to as they are.
    """
    if str(path) == "-":
        with _named(Path("standard output")):
            yield sys.stdout
            sys.stdout.flush()
        return
    # A file that standard output leads to keeps what it has.
    mode = "a" if is_stream(path) else "w"
    with write_whole(path) as part:
        if Path(path).suffix == ".gz":
            # mtime=0: the same content gives the same bytes.
            with (
                open(part, f"{mode}b") as raw,
                gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed,
                io.TextIOWrapper(packed, encoding="utf-8", newline="\n") as stream,
            ):
                yield stream
        else:
            with open(part, mode, encoding="utf-8", newline="\n") as stream:
                yield stream


def write_json(path: PathLike, value: Any) -> None:
    """Write a value as indented JSON, whole or not at all.

    Raises:
        DataError: it holds NaN or infinity, which JSON has not.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False)
    except ValueError as error:
        raise DataError(f"{path}: expected numbers to write, found NaN or infinity ({error})") from None
    with write_text(path) as stream:
        stream.write(f"{text}\n")


def read_json(path: PathLike) -> Any:
    """Read a JSON file.

    Raises:
        DataError: the file is missing, damaged or no JSON.
    """
    with open_bytes(path) as stream:
        try:
            return json.loads(stream.read())
        except ValueError as error:
            raise DataError(f"{path}: expected JSON, found {error}") from None
        except RecursionError:
            raise DataError(f"{path}: expected JSON, found values too deep in one another") from None
        except _damaged() as error:
            raise DataError(f"{path}: the compressed file is damaged or cut short ({error})") from None


def read_object(path: PathLike) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Raises:
        DataError: the file is missing, damaged or holds something else.
    """
    found = read_json(path)
    if not isinstance(found, dict):
        raise DataError(f"{path}: expected an object, such as {{}}, found {type(found).__name__}")
    return found


def sha256(path: PathLike) -> str:
    """The SHA-256 of a file's bytes as they lie on disk."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
