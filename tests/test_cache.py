"""Machine code on disk: used by the next process, and never a reason to fail or to be wrong."""

from __future__ import annotations

import builtins
import errno
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from npdiff import cache

KEY, OTHER = "a" * 64, "b" * 64
DATA = b"some code" * 100

_COMPILE = """
import numpy as np, npdiff
x = np.linspace(0.0, 1.0, 50)
f = npdiff.jit(lambda x: np.sum(x * x + 3.25 * x))
g = npdiff.jit(lambda x: x * 1.75 - x / 3.5)
for _ in range(3):
    assert abs(f(x) - np.sum(x * x + 3.25 * x)) < 1e-9
    assert np.allclose(g(x), x * 1.75 - x / 3.5)
assert "kernel" in f.explain(x)
info = npdiff.cache.info()
print(info.hits, info.misses, info.files)
"""


def compiled(folder, **settings):
    """Hits, misses and files of a process that compiles two functions with a cache there."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", _COMPILE], capture_output=True, text=True, check=False,
                          env={**os.environ, "NPDIFF_CACHE_DIR": str(folder), **settings})
    assert done.returncode == 0, done.stderr
    return tuple(map(int, done.stdout.split()))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A cache folder of the test's own."""
    place = tmp_path / "cache"
    monkeypatch.setenv("NPDIFF_CACHE_DIR", str(place))
    return place


def test_the_next_process_compiles_nothing(tmp_path):
    hits, misses, files = compiled(tmp_path)
    assert (hits, misses) == (0, files)
    assert files >= 3
    assert compiled(tmp_path) == (files, 0, files)


DAMAGE = {
    "cut short": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "only a checksum": lambda content: content[:32],
    "a bit flipped": lambda content: content[:100] + bytes([content[100] ^ 1]) + content[101:],
    "the last byte changed": lambda content: content[:-1] + bytes([content[-1] ^ 255]),
    "something longer": lambda content: content + b"!",
    "another file": lambda content: b"\x7fELF" * 1000,
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_files_are_written_again(tmp_path, name):
    _, _, files = compiled(tmp_path)
    for path in tmp_path.iterdir():
        path.write_bytes(DAMAGE[name](path.read_bytes()))
    assert compiled(tmp_path) == (0, files, files)
    assert compiled(tmp_path) == (files, 0, files)


def test_a_file_under_another_name_is_not_used(folder):
    cache.save(KEY, DATA)
    (file,) = folder.iterdir()
    file.rename(folder / file.name.replace(KEY, OTHER))
    assert cache.load(OTHER) is None
    assert cache.load(KEY) is None


def test_a_read_only_folder(tmp_path):
    place = tmp_path / "cache"
    place.mkdir()
    place.chmod(0o500)
    try:
        writable = os.access(place, os.W_OK)  # root may write anywhere
        _, misses, files = compiled(place)
        assert misses >= 3
        assert files == (misses if writable else 0)
    finally:
        place.chmod(0o700)


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("in the way")
    assert compiled(tmp_path / "file" / "cache")[2] == 0
    assert compiled(tmp_path / "file")[2] == 0


def test_a_folder_that_others_can_write_into(folder):
    cache.save(KEY, DATA)
    folder.chmod(0o777)
    assert cache.load(KEY) is None
    assert cache.info().why == "others can write into the folder"
    folder.chmod(0o700)
    assert cache.load(KEY) == DATA


@pytest.mark.parametrize("step", ["makedirs", "mkstemp", "write", "replace"])
def test_a_full_disk(folder, monkeypatch, step):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    class Full:
        def __init__(self, handle, mode):
            self.file = open(handle, mode)  # noqa: SIM115 (closed by __exit__)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.file.close()

        write = full

    if step != "makedirs":
        folder.mkdir(mode=0o700)
    with monkeypatch.context() as patch:
        patch.setattr(*{"makedirs": (os, "makedirs", full), "mkstemp": (cache.tempfile, "mkstemp", full),
                        "write": (os, "fdopen", Full), "replace": (os, "replace", full)}[step])
        cache.save(KEY, DATA)
        assert cache.load(KEY) is None
    assert not folder.exists() or not list(folder.iterdir())
    cache.save(KEY, DATA)
    assert cache.load(KEY) == DATA


def test_a_file_that_cannot_be_read(folder, monkeypatch):
    cache.save(KEY, DATA)

    def refused(*args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(builtins, "open", refused)
    assert cache.load(KEY) is None


def test_what_was_used_least_recently_goes_first(folder, monkeypatch):
    keys = [f"{k:064x}" for k in range(8)]
    for age, key in enumerate(keys):
        cache.save(key, bytes(100_000))
        os.utime(folder / f"{key}.npdiff", (1000.0 + age, 1000.0 + age))
    assert cache.load(keys[0]) is not None  # now it is the youngest
    monkeypatch.setenv("NPDIFF_CACHE_MB", "0.35")
    cache.trim()
    left = [key for key in keys if cache.load(key) is not None]
    assert left == [keys[0], keys[6], keys[7]]
    assert cache.info().bytes <= cache.info().limit == 350_000


def test_saves_keep_within_the_bound(folder, monkeypatch):
    monkeypatch.setenv("NPDIFF_CACHE_MB", "1")
    for k in range(100):
        cache.save(f"{k:064x}", bytes(50_000))
    assert cache.info().bytes <= 1_000_000 + cache._SAVES_BETWEEN_TRIMS * 50_100


def test_halves_of_dead_processes_go(folder):
    cache.save(KEY, DATA)
    old, young = folder / "dead.half", folder / "alive.half"
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 1e5,) * 2)
    cache.trim()
    assert not old.exists()
    assert young.exists()
    assert cache.info().files == 1
    assert cache.load(KEY) == DATA


def test_concurrent_processes(tmp_path):
    with ThreadPoolExecutor(4) as pool:
        seen = list(pool.map(lambda _: compiled(tmp_path), range(4)))
    files = max(s[2] for s in seen)
    assert all(hits + misses == files for hits, misses, _ in seen)
    assert compiled(tmp_path) == (files, 0, files)
    assert not [p for p in tmp_path.iterdir() if p.suffix == ".half"]


def test_concurrent_threads(folder):
    def work(k):
        data = DATA + bytes([k % 5])
        cache.save(f"{k % 5:064x}", data)
        return cache.load(f"{k % 5:064x}") in (data, None)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(200)))


def test_info_and_clear(folder):
    assert cache.info()[:5] == (str(folder), True, "", 0, 0)
    cache.save(KEY, DATA)
    cache.save(OTHER, DATA)
    (folder / "of somebody else").write_text("stays")
    info = cache.info()
    assert (info.files, info.bytes) == (2, 2 * (len(DATA) + 32))
    assert cache.clear() == 2
    assert cache.load(KEY) is None
    assert [p.name for p in folder.iterdir()] == ["of somebody else"]
    assert cache.clear() == 0


def test_switched_off(tmp_path):
    assert compiled(tmp_path, NPDIFF_CACHE="0") == (0, 0, 0)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("settings", "expected"), [
    ({"XDG_CACHE_HOME": "/elsewhere"}, "/elsewhere/npdiff"),
    ({"XDG_CACHE_HOME": "", "HOME": "/home/somebody"}, "/home/somebody/.cache/npdiff"),
    ({"XDG_CACHE_HOME": "relative"}, ""),
    ({"NPDIFF_CACHE_DIR": "/mine"}, "/mine"),
])
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the names are Linux's")
def test_where_it_is(monkeypatch, settings, expected):
    monkeypatch.delenv("NPDIFF_CACHE_DIR")
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert cache.folder() == expected
    if not expected:
        assert cache.info().why == "the platform names no cache folder"
        cache.save(KEY, DATA)


def test_the_tests_do_not_use_the_users_folder():
    assert "npdiff-tests-" in cache.folder()


def test_a_limit_that_is_no_number(monkeypatch):
    monkeypatch.setenv("NPDIFF_CACHE_MB", "much")
    assert cache.limit() == 256_000_000
