"""Machine code on disk: what one process compiled, the next one loads.

Files lie in the platform's cache folder (``NPDIFF_CACHE_DIR`` moves it, ``NPDIFF_CACHE=0`` switches it off,
``NPDIFF_CACHE_MB`` bounds it). A file begins with a checksum of its name and content, so one that is
cut short or damaged counts as missing and is written again; whatever the disk refuses, the code is
compiled as if there were no cache. Files are written beside their place and moved there in one step, so
processes never see half a file of each other.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import tempfile
import time
from typing import NamedTuple

_SUFFIX = ".npdiff"
_HALF = ".half"
_DIGEST = 32
_DEFAULT_MB = 256.0
# Looking through the folder takes longer than a save; in between it may grow a little past its bound.
_SAVES_BETWEEN_TRIMS = 32
# Half-written files older than this belong to a process that died.
_STALE_SECONDS = 3600.0

_hits = _misses = _saves = 0


class CacheInfo(NamedTuple):
    """The state of the cache of machine code: where, whether in use, and how much there is."""

    folder: str
    enabled: bool
    why: str
    files: int
    bytes: int
    limit: int
    hits: int
    misses: int


def folder() -> str:
    """The cache folder; "" where the platform does not say."""
    chosen = os.environ.get("NPDIFF_CACHE_DIR")
    if chosen:
        return chosen
    home = os.path.expanduser("~")
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA", "")
    elif sys.platform == "darwin":
        base = os.path.join(home, "Library", "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.join(home, ".cache")
    return os.path.join(base, "npdiff") if os.path.isabs(base) else ""


def limit() -> int:
    """How many bytes the cache may hold."""
    try:
        return int(float(os.environ.get("NPDIFF_CACHE_MB", _DEFAULT_MB)) * 1e6)
    except ValueError:
        return int(_DEFAULT_MB * 1e6)


def _why_not(place: str) -> str:
    """Why the cache is not used; "" if it is. Code is only run from a folder that nobody else can write into."""
    if os.environ.get("NPDIFF_CACHE", "1").lower() in ("0", "off", "false", "no"):
        return "NPDIFF_CACHE switches it off"
    if not place:
        return "the platform names no cache folder"
    try:
        found = os.stat(place)
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"the folder cannot be read: {error.strerror}"
    if hasattr(os, "geteuid") and (found.st_uid not in (os.geteuid(), 0) or found.st_mode & 0o002):
        return "others can write into the folder"
    return ""


def _path(place: str, key: str) -> str:
    return os.path.join(place, key + _SUFFIX)


def _seal(key: str, data: bytes) -> bytes:
    return hashlib.sha256(key.encode() + b"\0" + data).digest()


def load(key: str) -> bytes | None:
    """What was saved under a key (a hexadecimal digest); None if nothing usable is there."""
    global _hits, _misses
    place = folder()
    if _why_not(place):
        return None
    path = _path(place, key)
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError:
        _misses += 1
        return None
    if content[:_DIGEST] != _seal(key, content[_DIGEST:]):
        with contextlib.suppress(OSError):
            os.unlink(path)
        _misses += 1
        return None
    with contextlib.suppress(OSError):
        os.utime(path)  # the least recently used goes first
    _hits += 1
    return content[_DIGEST:]


def save(key: str, data: bytes) -> None:
    """Keep data under a key; a disk that refuses is left alone."""
    global _saves
    place = folder()
    if _why_not(place):
        return
    half = None
    try:
        os.makedirs(place, mode=0o700, exist_ok=True)
        handle, half = tempfile.mkstemp(_HALF, key[:16], place)
        with os.fdopen(handle, "wb") as file:
            file.write(_seal(key, data) + data)
        os.replace(half, _path(place, key))
    except OSError:
        if half is not None:
            with contextlib.suppress(OSError):
                os.unlink(half)
        return
    if _saves % _SAVES_BETWEEN_TRIMS == 0:
        trim()
    _saves += 1


def _listed(place: str) -> list[tuple[float, int, str]]:
    """Time of last use, size and path of every file of ours."""
    found = []
    with contextlib.suppress(OSError), os.scandir(place) as entries:
        for entry in entries:
            if entry.name.endswith((_SUFFIX, _HALF)):
                with contextlib.suppress(OSError):
                    at = entry.stat()
                    found.append((at.st_mtime, at.st_size, entry.path))
    return sorted(found)


def trim() -> None:
    """Remove what was used least recently until the cache is within its bound, and what dead processes left."""
    listed = _listed(folder())
    excess = sum(size for _, size, _ in listed) - limit()
    old = time.time() - _STALE_SECONDS
    for used, size, path in listed:
        if excess > 0 or (path.endswith(_HALF) and used < old):
            with contextlib.suppress(OSError):
                os.unlink(path)
                excess -= size


def info() -> CacheInfo:
    """Say where the cache of machine code is and what it holds.

    Returns
    -------
    A `CacheInfo`: ``folder``, ``enabled`` and ``why`` not, ``files`` and ``bytes`` in it, their ``limit`` in bytes,
    and how many kernels this process found there (``hits``) or had to compile (``misses``).

    Examples
    --------
    >>> import npdiff
    >>> npdiff.cache.info().limit > 0
    True
    """
    place = folder()
    why = _why_not(place)
    listed = [] if why else [found for found in _listed(place) if found[2].endswith(_SUFFIX)]
    return CacheInfo(place, not why, why, len(listed), sum(size for _, size, _ in listed), limit(), _hits, _misses)


def clear() -> int:
    """Remove all machine code from the cache.

    Returns
    -------
    The number of files removed. Code that this process has loaded keeps working.

    Examples
    --------
    >>> import npdiff
    >>> npdiff.cache.clear() >= 0
    True
    """
    removed = 0
    for _, _, path in _listed(folder()):
        with contextlib.suppress(OSError):
            os.unlink(path)
            removed += 1
    return removed


__all__ = ["CacheInfo", "clear", "folder", "info", "limit", "load", "save", "trim"]
