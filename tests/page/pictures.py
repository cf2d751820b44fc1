"""Pictures that are kept, to be compared with."""

import os
import struct
import zlib
from pathlib import Path

import numpy as np

KEPT = Path(__file__).parent / "pictures"
SIGNATURE = b"\x89PNG\r\n\x1a\n"
# How far the mean of all colours may be, and how many may be other ones.
MEAN, OTHERS = 2.0, 0.01


def assert_kept(name: str, found: np.ndarray) -> None:
    """Whether colours are those of the kept picture, which PIXELMILL_UPDATE_GOLDEN=1 rewrites."""
    path = KEPT / f"{name}.png"
    if os.environ.get("PIXELMILL_UPDATE_GOLDEN"):
        path.write_bytes(png(found))
    kept = colours(path.read_bytes())
    assert kept.shape == found.shape, f"{name} is {found.shape} large, not {kept.shape}"
    far = np.abs(kept.astype(int) - found)
    assert far.mean() <= MEAN and (far.max(axis=-1) > 24).mean() <= OTHERS, f"{name} looks otherwise: {far.mean()}"


def png(picture: np.ndarray) -> bytes:
    """Rows of columns of red, green and blue as a PNG file."""
    height, width, _ = picture.shape
    lines = b"".join(b"\0" + line.tobytes() for line in np.ascontiguousarray(picture, np.uint8))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return SIGNATURE + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(lines, 9)) + chunk(b"IEND", b"")


def colours(file: bytes) -> np.ndarray:
    """A file that `png` has made."""
    width, height = struct.unpack(">II", file[16:24])
    begin = 8 + 25
    length = struct.unpack(">I", file[begin : begin + 4])[0]
    lines = np.frombuffer(zlib.decompress(file[begin + 8 : begin + 8 + length]), np.uint8)
    return lines.reshape(height, 3 * width + 1)[:, 1:].reshape(height, width, 3)
