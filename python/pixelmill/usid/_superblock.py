"""The flag by which a file says that somebody writes to it.

Files of HDF5's newer formats (`libver="v110"` and later) have it from when they are opened for writing until they are
closed, and HDF5 opens none that has it, so that a killed writer leaves a file that wants `h5clear`. That nobody else
writes to an open file is what HDF5's lock is for, which ends with the process. So the flag can be taken away at once.
"""

import os
import struct

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_WITH_FLAG = 3
_VERSION, _OFFSET_BYTES, _FLAGS = 8, 9, 11
_WORD = 0xFFFFFFFF


def clear_flag(number: int, start: int) -> None:
    """Takes the flag away in an open file, whose superblock begins at `start`."""
    head = os.pread(number, 12, start)
    if len(head) < 12 or not head.startswith(_SIGNATURE) or head[_VERSION] != _WITH_FLAG or not head[_FLAGS]:
        return
    # Four addresses, and the checksum.
    length = 12 + 4 * head[_OFFSET_BYTES]
    block = bytearray(os.pread(number, length + 4, start))
    if struct.unpack("<I", block[length:])[0] != _checksum(bytes(block[:length])):
        return
    block[_FLAGS] = 0
    block[length:] = struct.pack("<I", _checksum(bytes(block[:length])))
    os.pwrite(number, block, start)


def _checksum(data: bytes) -> int:
    """Jenkins' lookup3, as HDF5 has it."""
    a = b = c = (0xDEADBEEF + len(data)) & _WORD
    while len(data) > 12:
        a, b, c = _mixed(*_added(a, b, c, data[:12]))
        data = data[12:]
    return _final(*_added(a, b, c, data.ljust(12, b"\0")))


def _added(a: int, b: int, c: int, words: bytes) -> tuple[int, int, int]:
    first, second, third = struct.unpack("<3I", words)
    return (a + first) & _WORD, (b + second) & _WORD, (c + third) & _WORD


def _turned(value: int, by: int) -> int:
    return (value << by | value >> (32 - by)) & _WORD


def _mixed(a: int, b: int, c: int) -> tuple[int, int, int]:
    for by_c, by_a, by_b in ((4, 6, 8), (16, 19, 4)):
        a = (a - c) & _WORD ^ _turned(c, by_c)
        c = (c + b) & _WORD
        b = (b - a) & _WORD ^ _turned(a, by_a)
        a = (a + c) & _WORD
        c = (c - b) & _WORD ^ _turned(b, by_b)
        b = (b + a) & _WORD
    return a, b, c


def _final(a: int, b: int, c: int) -> int:
    for by_b, by_c, by_a in ((14, 11, 25), (16, 4, 14)):
        c = ((c ^ b) - _turned(b, by_b)) & _WORD
        a = ((a ^ c) - _turned(c, by_c)) & _WORD
        b = ((b ^ a) - _turned(a, by_a)) & _WORD
    return ((c ^ b) - _turned(b, 24)) & _WORD
