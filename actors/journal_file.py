"""A journal in files: per epoch a folder of segments, zeroes written ahead, read up to its seal.

    epoch-3  seal-2  witness  e3/seg-00000000000000005733.twj

A seal is made once, by a successor, behind the last whole frame; what a fenced writer appends
after that is not part of the journal. A torn tail is cut and counted; a bad frame with a good one
behind it, or a journal that ends before what was acknowledged, is corruption and never skipped.
"""

from __future__ import annotations

import contextlib
import logging
import struct
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from actors import marker, reserve, segments
from actors.archive import Archive
from actors.disk import NO_SPACE, Disk, File
from actors.places import Place, Places
from actors.segments import AHEAD, Seal, first_of
from twin import frames
from twin.errors import Compacted, DiskFull, Fenced, JournalCorrupt, JournalFailed
from twin.frames import Frame

log = logging.getLogger(__name__)
SMALLEST, LARGEST = 1 << 20, 64 << 20  # bytes of a segment; each is twice the one before
WITNESS = struct.Struct("<qI")
EVER = 2**62  # after every moment
Spawn = Callable[[Callable[[], None]], None]  # runs a job some time, elsewhere


class FileJournal:
    """Opens nothing until it is claimed. One thread at a time; `at` and `scan` from others too."""

    def __init__(
        self,
        disk: Disk,
        folder: Path,
        epoch: int,
        owner: str = "",
        *,
        archive: Archive | None = None,
        spawn: Spawn | None = None,
    ) -> None:
        self.epoch = epoch
        self.torn_bytes = 0  # cut from tails when this epoch began
        self.next = 0  # offset of the next event, once claimed
        self.bytes = 0  # appended in this epoch
        self.took_s: deque[float] = deque(maxlen=1000)  # the latest appends, sync included
        self.floor = 0  # what lies before it was removed from the disk, and is in the archive
        self.overtaken = False  # the archive has a newer marker: this disk need not be the newest
        self._disk = disk
        self._folder = folder
        self._owner = owner
        self._archive = archive
        self._spawn = spawn
        self._successor = marker.following(folder, epoch)
        self._file: File | None = None
        self._at = 0
        self._size = 0
        self._largest = SMALLEST
        self._failed = False
        self._ahead: tuple[int, File] | None = None  # size; zeroed, synced, without its name
        self._preparing = self._no_room = False
        self._older: list[segments.Part] = []  # of sealed epochs
        self._own: list[str] = []
        self._places: dict[Path, Places] = {}
        self._newest = Places(disk, folder, 0)  # of the segment that is written

    def claim(self) -> None:
        """Take the journal over. Raises Fenced, JournalCorrupt, JournalNewer, DiskFull."""
        self._disk.make_folder(self._folder)
        reserve.spend(self._disk, self._folder)
        try:
            self._take_over()
        except OSError as e:
            if e.errno in NO_SPACE:
                raise DiskFull("no room for a marker or a seal; free disk space", 5.0) from e
            raise
        finally:
            reserve.hold(self._disk, self._folder)
        self._prepare_soon()

    def _take_over(self) -> None:
        if self._archive is not None:  # first there: whoever reads it may not see this disk
            self._archive.announce(self.epoch, self._owner)
        marker.claim(self._disk, self._folder, self.epoch, self._owner)
        sealed = {seal.epoch: seal for seal in self._seals()}
        ends = []
        for epoch in range(1, self.epoch):
            ends.append(sealed.get(epoch) or self._end(epoch, self.next))
            self.next = max(self.next, ends[-1].next)
        self._check_witness()  # before any seal is made: what is restored must not be cut off
        for seal in ends:
            if seal.epoch not in sealed:
                self._clear(seal.epoch)
                self._disk.create(self._folder / f"seal-{seal.epoch}", segments.pack(seal))
        made = self._seals()
        self.next = max((seal.next for seal in made), default=0)  # whoever made them
        self.floor = segments.floor(self._disk, self._folder)
        self._older = segments.parts(self._disk, self._folder, self.epoch)
        self._disk.make_folder(self._folder / f"e{self.epoch}")
        if self._archive is not None:
            self._archive.claim(self.epoch, [seal.next for seal in made])

    def scan(self, offset: int = 0, by: int = EVER) -> Iterator[Frame]:
        found = segments.parts(self._disk, self._folder, self.epoch)
        behind = [first_of(part.name) for part in found[1:]] + [1 << 62]
        yield from self._archived(offset)
        since = at = max(offset, self.floor)
        for part, after in zip(found, behind, strict=False):
            places = self._of(part)
            if after <= since or (places.earliest is not None and places.earliest > by):
                continue
            try:
                raw = self._disk.read(self._folder / f"e{part.epoch}" / part.name)
            except FileNotFoundError:  # retention removed it since it was listed
                if first_of(part.name) >= self.floor:
                    raise
                yield from self._archived(at)
                since = at = self.floor
                continue
            content = memoryview(raw)[: part.end if part.end >= 0 else len(raw)]
            earliest = EVER
            for one in frames.scan(content):
                earliest = min(earliest, _earliest(one.frame))
                if one.frame.first + one.frame.size > since:
                    yield one.frame
                    at = one.frame.first + one.frame.size
            if places.earliest is None and part.epoch < self.epoch:
                places.earliest = earliest

    def at(self, offset: int) -> Frame | None:
        if not 0 <= offset < self.next:
            return None
        try:
            if offset >= self.floor:
                return self._on_disk(offset)
        except FileNotFoundError:  # retention removed it just now
            if offset >= self.floor:
                raise
        if self._archive is None:
            raise Compacted(f"offset {offset} is in an archive, and none is configured", 5.0)
        return self._archive.at(offset)

    def cut(self, known_at: int) -> int:
        """Return the offset behind all that was ingested by a time. Raises Compacted."""
        parts = self._parts()
        behind = [first_of(name) for _, name, _ in parts[1:]] + [1 << 62]
        found = [one for one, end in zip(parts, behind, strict=False) if end > self.floor]
        low, high = 0, len(found)  # the first segment that begins later
        while low < high:
            middle = (low + high) // 2
            first = self._of(found[middle]).first()
            if first is None or first.ingest_time <= known_at:
                low = middle + 1
            else:
                high = middle
        if low:
            inside = self._of(found[low - 1]).cut(known_at)
            if inside is not None:
                return inside
            return first_of(found[low][1]) if low < len(found) else self.next
        return self._cut_archived(known_at) if self.floor else 0

    def _cut_archived(self, known_at: int) -> int:
        low, high = 0, self.floor
        while low < high:
            frame = self.at((low + high) // 2)
            assert frame is not None
            if frame.ingest_time <= known_at:
                low = frame.first + frame.size
            else:
                high = frame.first
        return low

    def _on_disk(self, offset: int) -> Frame | None:
        for part in reversed(self._parts()):
            if first_of(part[1]) > offset:
                continue
            place = self._of(part).at(offset)
            if place is None:
                continue
            path = self._folder / f"e{part[0]}" / part[1]
            raw = self._disk.view(path, place.start, place.end - place.start)
            found = frames.read(raw, 0)
            return found.frame if found else None
        return None

    def _of(self, part: tuple[int, str, int]) -> Places:
        """Return where the frames of a segment lie."""
        epoch, name, end = part
        path = self._folder / f"e{epoch}" / name
        if path not in self._places:
            self._places[path] = Places(self._disk, path, end if end >= 0 else 1 << 62)
        return self._places[path]

    def _archived(self, at: int) -> Iterator[Frame]:
        """Yield the frames from offset `at` on that are no longer on the disk."""
        if at >= self.floor:
            return
        if self._archive is None:
            raise Compacted(f"offset {at} is in an archive, and none is configured", 5.0)
        yield from self._archive.frames(at, self.floor)

    def _parts(self) -> list[tuple[int, str, int]]:
        """Return (epoch, segment, where it ends) of every segment that counts, oldest first."""
        own = [(self.epoch, name, 1 << 62) for name in self._own]
        if own:
            own[-1] = (self.epoch, self._own[-1], self._at)
        return [(e, n, end if end >= 0 else 1 << 62) for e, n, end in self._older] + own

    def append(self, frame: Frame) -> None:
        if self._failed:
            raise JournalFailed("an append failed before; end this process, recovery reads again")
        raw = frames.encode(frame)
        if self._file is None or self._at + len(raw) > self._size:
            if not frame.size:
                return  # no segment is made only to bear witness: its name is the next frame's
            self._roll(frame.first, len(raw))
        assert self._file is not None
        start = time.perf_counter()
        try:
            self._file.write(self._at, raw)
            self._file.sync()
        except OSError as e:
            self._failed = True  # never retried on this file: a failed sync may have lost pages
            raise JournalFailed(f"offset {frame.first} did not reach the disk: {e}") from e
        self.took_s.append(time.perf_counter() - start)
        if frame.size:
            behind = frame.first + frame.size, frame.ingest_time, self._at, self._at + len(raw)
            self._newest.add(Place(frame.first, *behind), _earliest(frame))
        self._at += len(raw)
        self.bytes += len(raw)
        self.next = frame.first + frame.size
        if 2 * self._at >= self._size:
            self._prepare_soon()

    def fenced(self) -> bool:
        return self.overtaken or self._disk.exists(self._successor)

    def witness(self, offset: int) -> None:
        """Note that everything before `offset` was acknowledged; not synced, so it may lag."""
        packed = struct.pack("<q", offset)
        try:
            self._disk.note(
                self._folder / "witness", packed + struct.pack("<I", zlib.crc32(packed))
            )
        except OSError:
            log.warning("the witness of offset %d was not written", offset, exc_info=True)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _roll(self, first: int, needed: int) -> None:
        if self.fenced():
            raise Fenced(f"epoch {self.epoch} is over", marker.RETRY_AFTER_S)
        self.close()
        home = self._folder / f"e{self.epoch}"
        path = home / segments.name_of(first)
        ahead, size = self._ahead, max(self._largest, needed)
        try:
            if ahead is not None and ahead[0] >= needed:
                self._ahead = None
                self._disk.rename(home / AHEAD, path)
                size, self._file = ahead
            else:
                self._file = self._disk.allocate(path, size)
        except DiskFull:
            raise
        except OSError as e:
            raise JournalFailed(f"no new segment could be made: {e}") from e
        self._newest = self._places[path] = Places(self._disk, path, 0)
        self._own = [*self._own, path.name]
        self._no_room = False
        self._at, self._size = 0, size
        self._largest = min(2 * size, LARGEST)

    def _prepare_soon(self) -> None:
        """Have the next segment zeroed and synced elsewhere, before it is needed."""
        if self._spawn is None or self._preparing or self._ahead is not None or self._no_room:
            return
        self._preparing = True
        self._spawn(self._prepare)

    def _prepare(self) -> None:
        size = self._largest
        try:
            file = self._disk.allocate(self._folder / f"e{self.epoch}" / AHEAD, size)
            self._ahead = size, file
        except (DiskFull, OSError):
            self._no_room = True  # until the next segment: each try would zero what room is left
            log.warning("no segment was prepared; the next one is made when needed", exc_info=True)
        finally:
            self._preparing = False

    def _clear(self, epoch: int) -> None:
        """Remove what a writer prepared and never began, before its epoch is sealed."""
        with contextlib.suppress(FileNotFoundError):
            self._disk.remove(self._folder / f"e{epoch}" / AHEAD)

    def _end(self, epoch: int, first: int) -> Seal:
        """Return where an unsealed epoch ends. `first`: the offset that it began with."""
        names = segments.names(self._disk, self._folder, epoch)
        if not names:
            return Seal(epoch, "", 0, first, 0)
        for name in names[:-1]:
            self._whole(epoch, name)
        path = self._folder / f"e{epoch}" / names[-1]
        content = memoryview(self._disk.read(path))
        last = segments.last(content)
        end = last.end if last else 0
        if last:  # its writer may never have synced it; those before it were, or it would not be
            self._disk.rewrite(path, last.start, bytes(content[last.start : end]))
        if (good := frames.later(content, end)) >= 0:
            raise JournalCorrupt(
                f"{path.name}: the frame at byte {end} is damaged, one at {good} is whole; "
                "`twin journal restore` brings it from the archive, if there is one"
            )
        torn = len(bytes(content[end:]).rstrip(b"\0"))
        following = last.frame.first + last.frame.size if last else first_of(names[-1])
        self.torn_bytes += torn
        return Seal(epoch, names[-1], end, following, torn)

    def _whole(self, epoch: int, name: str) -> None:
        """Check that a segment before the last one ends in zeroes behind its last frame."""
        content = memoryview(self._disk.read(self._folder / f"e{epoch}" / name))
        last = segments.last(content)
        end = last.end if last else 0
        if any(bytes(content[end:])):
            raise JournalCorrupt(
                f"{name}: the frame at byte {end} is damaged; `twin journal restore` brings it "
                "from the archive, if there is one"
            )

    def _seals(self) -> list[Seal]:
        """Return the seals of older epochs, in order."""
        return segments.seals(self._disk, self._folder, self.epoch)

    def _check_witness(self) -> None:
        """Raise JournalCorrupt if the journal ends before what is known to be acknowledged."""
        path = self._folder / "witness"
        if not self._disk.exists(path):
            return
        raw = self._disk.read(path)[: WITNESS.size]
        if len(raw) < WITNESS.size:
            return
        offset, check = WITNESS.unpack(raw)
        if check == zlib.crc32(raw[:8]) and offset > self.next:
            raise JournalCorrupt(
                f"the journal ends at {self.next}, but {offset} was acknowledged; "
                "`twin journal restore` brings what is archived"
            )


def _earliest(frame: Frame) -> int:
    """Return the least event time in a frame, parked events included."""
    return int(frame.columns["time"].min()) if frame.size else EVER
