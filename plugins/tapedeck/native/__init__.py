"""The compiled loops of the C files beside this one, as Python calls them.

`make setup` compiles them (`hatch_build.py`). Every array is NumPy's, C-contiguous and of the type that
the C file names; a call holds no lock of Python's.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

LIBRARY = Path(__file__).with_name("_tape.so")

_A, _N = ctypes.c_void_p, ctypes.c_int64
_LINES: tuple[Any, list[Any]] = (_N, [_A, _N, _N, _N, _N, _N, _A, _N, _N, _A, _A, _A, _A, _A, _A, _A, _A])
"""Of every reader of tape lines; `tapedeck.tape.canonical` tells what it takes."""
_SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "td_copy": (None, [_A, _A, _N, _A, _A]),
    "td_unpack": (_N, [_A, _A, _N, _A, _A, _A, _A, _A, _A, _A, _N, _A, _A]),
    "td_about": (None, [_A, _A, _N, _N, _A, _A, _N, _A]),
    "td_measure": (_N, [_A, _N, _A, _A]),
    "td_gather": (None, [_A, _N, _A, _A, _A, _A, _A, _A, _A, _A, _A, _A]),
    "td_error": (None, [_A, _A]),
    "td_release": (None, [_A, _N, _A]),
    "td_produce": (_N, [_A, _N, _N, _A, _A, _A, _A, _A, _A, _A, _A, _A, _A, _A, _A, _A]),
    "td_acknowledge": (None, [_A, _N, _A, _A, _A]),
    "td_names": (None, [_N, _A, _A, _A, _A, _A, _A, _A]),
    "td_hashes": (None, [_A, _N, _N, _A, _A, _A]),
    "td_receive": (_N, [_A, _A, _A, _A, _A, _A, _N, _A, _A, _N, _N]),
    "td_binance_futures_lines": _LINES,
    "td_binance_spot_lines": _LINES,
}


def _load() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(str(LIBRARY))
    except OSError as e:
        raise ImportError(f"tapedeck's compiled loops are missing ({e}): run `make setup`") from e
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


_library = _load()
copy = _library.td_copy
unpack = _library.td_unpack
about = _library.td_about
measure = _library.td_measure
gather = _library.td_gather
error = _library.td_error
release = _library.td_release
produce = _library.td_produce
acknowledge = _library.td_acknowledge
names = _library.td_names
hashes = _library.td_hashes
receive = _library.td_receive
binance_futures_lines = _library.td_binance_futures_lines
binance_spot_lines = _library.td_binance_spot_lines


def at(array: NDArray[Any]) -> int:
    """Where an array's data lies, as the functions take it. The caller keeps the array alive."""
    return int(array.ctypes.data)
