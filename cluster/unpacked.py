"""Unpacked: a file's bytes as whole rows, up to where the file is damaged.

A row is handed over when its line break was read, never in part; damage is told once everything
before it was taken, so that whoever reads ahead loses nothing to it.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

PACKED = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2", ".lz4": "lz4"}
PIECE = 1 << 16
# What is unpacked in a read that fails is lost, so a packed file is read in little steps.
STEP = 512
LONGEST = 1 << 20  # bytes of a row
Damage = (OSError, pa.ArrowException, UnicodeError, EOFError)


class Unpacked(io.RawIOBase):
    """A file to read from. `ends`: how many of some bytes are whole rows, the first being one's
    beginning. `encoding`: made UTF-8 here, and left as it is where empty.

    It ends where it cannot be read on: ask `check` then.
    """

    def __init__(self, path: Path, ends: Callable[[bytes], int], encoding: str = "") -> None:
        self._counted = _Counted(path)
        stream: Any = pa.PythonFile(self._counted, mode="r")
        packed = PACKED.get(path.suffix.lower())
        self._stream = pa.CompressedInputStream(stream, packed) if packed else stream
        self._step = STEP if packed else PIECE
        self._ends = ends
        other = encoding and codecs.lookup(encoding).name != "utf-8"
        self._decoder = codecs.getincrementaldecoder(encoding)() if other else None
        self._whole = memoryview(b"")  # rows not yet taken
        self._rest = b""  # of a row whose end was not read
        self._is_over = False
        self._damage: Exception | None = None

    @property
    def position(self) -> int:
        """Bytes of the file read so far, packed as they are."""
        return self._counted.position

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:
        view = memoryview(into)
        while not self._whole and not self._is_over:
            self._more()
        n = min(len(view), len(self._whole))
        view[:n], self._whole = self._whole[:n], self._whole[n:]
        return n

    def check(self) -> None:
        """Raise what ended the file too soon, if anything did."""
        if self._damage is not None:
            raise self._damage

    def close(self) -> None:
        self._stream.close()
        self._counted.close()
        super().close()

    def _more(self) -> None:
        """Read a piece more; have what is whole of it ready."""
        pieces, room = [self._rest], PIECE
        try:
            while room > 0 and not self._is_over:
                piece = self._stream.read(self._step)
                self._is_over = not piece
                room -= len(piece)
                pieces.append(self._utf8(piece))
        except UnicodeDecodeError as e:
            pieces.append(self._utf8(piece[: e.start - len(e.object)]))
            self._damage, self._is_over = e, True
        except Damage as e:
            self._damage, self._is_over = e, True
        held = b"".join(pieces)
        end = len(held) if self._is_over and self._damage is None else self._ends(held)
        self._whole, self._rest = memoryview(held)[:end], held[end:]
        if len(self._rest) > LONGEST:
            self._damage, self._is_over = OSError(f"a row is longer than {LONGEST} bytes"), True

    def _utf8(self, piece: bytes) -> bytes:
        if self._decoder is None:
            return piece
        return self._decoder.decode(piece, final=not piece).encode()


def lines(held: bytes) -> int:
    """Return the length of the whole lines at the beginning of some bytes."""
    return held.rfind(b"\n") + 1


def records(delimiter: str) -> Callable[[bytes], int]:
    """Return what finds whole rows of a CSV: line breaks in quotes end none.

    A quote opens only where a cell begins, and is one of the cell's own where it is doubled.
    """
    sign = re.escape(delimiter.encode())
    plain = rb"[^" + sign + rb"\n\r]*+"
    # Nothing is tried twice: what is not closed would close.
    cell = rb'(?:"[^"]*+(?:""[^"]*+)*+"' + plain + rb'|(?!")' + plain + rb")"
    rows = re.compile(rb"(?:\xef\xbb\xbf)?+(?:(?:" + cell + sign + rb")*+" + cell + rb"[\n\r])*+")

    def ends(held: bytes) -> int:
        if b'"' not in held:
            return max(held.rfind(b"\n"), held.rfind(b"\r")) + 1
        found = rows.match(held)
        return found.end() if found else 0

    return ends


class _Counted(io.RawIOBase):
    """A file that knows how much of it was read: what unpacks it does not say."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self.position = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        found = self._file.read(size)
        self.position += len(found)
        return found

    def close(self) -> None:
        self._file.close()
        super().close()
