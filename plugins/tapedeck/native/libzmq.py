"""ZeroMQ's own interface (zmq.h), for what touches every message: the library that pyzmq brings.

Only what `buses.zeromq` needs is here. A socket's handle is pyzmq's `Socket.underlying`.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray
from zmq.backend.cython import _zmq

from tapedeck import native

_library = ctypes.CDLL(_zmq.__file__)  # whose symbols are found through it


def _address(name: str) -> int:
    where = ctypes.cast(getattr(_library, f"zmq_{name}"), ctypes.c_void_p).value
    assert where is not None  # noqa: S101 - getattr would have failed
    return where


RECEIVE = tuple(_address(name) for name in ("msg_recv", "msg_data", "msg_size", "errno"))
"""What `native.receive` calls."""


class Message:
    """A zmq_msg_t, which holds nothing."""

    def __init__(self) -> None:
        self._memory: NDArray[Any] = np.zeros(8, np.int64)  # zmq.h: 64 bytes
        self.address = native.at(self._memory)
        _library.zmq_msg_init(ctypes.c_void_p(self.address))

    def close(self) -> None:
        """Let go of what it holds."""
        _library.zmq_msg_close(ctypes.c_void_p(self.address))
