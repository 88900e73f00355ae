"""What a launch hands to the driver, with a stand-in for cuda.core: no card is needed."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from cut import kernels_of
from graphs import Recorder

from npdiff.errors import BackendError
from npdiff.kernels import cuda
from npdiff.kernels.cuda import compile, run, toolchain


class Card:
    """Stands in for cuda.core and its device; remembers what was linked and launched."""

    def __init__(self):
        self.linked, self.launched = [], []
        self.LEGACY_DEFAULT_STREAM = "default"
        self.Device = lambda: SimpleNamespace(set_current=lambda: None, compute_capability=(9, 0), device_id=0)
        self.LaunchConfig = lambda grid, block: (grid, block)
        self.LinkerOptions = lambda arch: arch
        self.ObjectCode = SimpleNamespace(from_ptx=lambda text: text)
        self.Stream = SimpleNamespace(from_handle=lambda handle: handle)

    def Linker(self, text, options):
        self.linked.append((text.decode(), options))
        return SimpleNamespace(link=lambda kind: SimpleNamespace(get_kernel=lambda name: name))

    def launch(self, *args):
        self.launched.append(args)


class OnCard:
    """An array of which only the address is known."""

    def __init__(self, address, shape=(8,), kind="<f4"):
        self.__cuda_array_interface__ = {"data": (address, False), "shape": shape, "typestr": kind, "version": 3}


@pytest.fixture
def card(monkeypatch):
    """A card whose kernels are assembled as `ptx <name>`."""
    stand_in = Card()
    monkeypatch.setattr(compile, "core", lambda: stand_in)
    monkeypatch.setattr(run, "simulating", lambda: False)
    monkeypatch.setattr(compile, "_assemble", lambda source, kinds, far, cc: f".visible .entry k{len(kinds)}(")
    compile._linked.cache_clear()
    yield stand_in
    compile._linked.cache_clear()


def total(n):
    """x + x and its sum."""
    r = Recorder(np.ones(n, "f"))
    y = r("add", r.inputs[0], r.inputs[0])
    kernel, = kernels_of(r.graph(y, r("sum", y, axis=(0,), keepdims=False)))
    return kernel


def test_a_launch_has_its_grid_its_stream_and_the_addresses_in_order(card, monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(cuda=SimpleNamespace(
        get_current_stream=lambda: SimpleNamespace(ptr=77))))
    launch = cuda.compiled(total(100))
    assert launch([OnCard(512)], [OnCard(1024), OnCard(2048)]) is None
    assert card.launched == [(77, (1, 256), "k3", 512, 1024, 2048)]
    assert card.linked == [(".visible .entry k3(", "sm_90")]


def test_without_cupy_the_stream_is_the_default_one(card, monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    cuda.compiled(total(100))([OnCard(512)], [OnCard(1024), OnCard(2048)])
    assert card.launched[0][0] == "default"


def test_parts_go_through_scratch_memory_of_cupys_pool(card, monkeypatch):
    made = []

    def empty(size, dtype):
        made.append((size, dtype))
        return OnCard(4096)

    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(empty=empty, cuda=SimpleNamespace(
        get_current_stream=lambda: SimpleNamespace(ptr=0))))
    cuda.compiled(total(1 << 20))([OnCard(512)], [OnCard(1024), OnCard(2048)])
    parts, dtype = made[0]
    assert dtype == np.float32
    assert card.launched == [("default", (parts, 256), "k3", 512, 1024, 4096), ("default", (1, 256), "k2", 4096, 2048)]


def test_one_source_is_linked_once(card):
    cuda.compiled(total(100))
    cuda.compiled(total(100))
    assert len(card.linked) == 1


def test_an_array_that_begins_within_a_vector_takes_another_kernel(card, monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    r = Recorder(np.ones(1 << 18, "f"))
    kernel, = kernels_of(r.graph(r("add", r("multiply", r.inputs[0], r.inputs[0]), r.inputs[0])))
    launch = cuda.compiled(kernel)
    launch([OnCard(512)], [OnCard(1024)])
    assert len(card.linked) == 1
    launch([OnCard(516)], [OnCard(1024)])
    assert len(card.linked) == 2
    assert [grid for _, grid, *_ in card.launched] == [(256, 256), (1024, 256)]


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(toolchain.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(toolchain, "numba_cuda", toolchain.numba_cuda.__wrapped__)
    assert toolchain.missing() == "the package numba-cuda is not installed"
    with pytest.raises(BackendError) as caught:
        toolchain.part("types")
    assert str(caught.value).split("\n  ")[0] == (
        "kernels for CUDA need the package numba-cuda, which is not installed")
    assert str(caught.value).split("\n  ")[-1] == (
        "instead: python -m pip install 'npdiff[cuda12]' or 'npdiff[cuda13]', whichever the driver's CUDA is")
