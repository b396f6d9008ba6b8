"""Plain references: the slow, obvious form of every kernel and of the truth digest.

Whatever is fast in twin/ must equal what stands here, which is written to be read.
"""

import struct
from functools import cache
from hashlib import blake2b

ALL = 2**64 - 1
KEY = bytes(range(16))


def turn(word, bits):
    return ((word << bits) | (word >> (64 - bits))) & ALL


def siphash(text, salt=0):
    """SipHash-2-4-128 (Aumasson, Bernstein): two 64-bit words; `salt` is xored into the key."""
    k0, k1 = struct.unpack("<QQ", KEY)
    k0 ^= salt
    v = [
        k0 ^ 0x736F6D6570736575,
        k1 ^ 0x646F72616E646F6D ^ 0xEE,
        k0 ^ 0x6C7967656E657261,
        k1 ^ 0x7465646279746573,
    ]

    def rounds(times):
        for _ in range(times):
            v[0], v[2] = (v[0] + v[1]) & ALL, (v[2] + v[3]) & ALL
            v[1], v[3] = turn(v[1], 13) ^ v[0], turn(v[3], 16) ^ v[2]
            v[0] = turn(v[0], 32)
            v[2], v[0] = (v[2] + v[1]) & ALL, (v[0] + v[3]) & ALL
            v[1], v[3] = turn(v[1], 17) ^ v[2], turn(v[3], 21) ^ v[0]
            v[2] = turn(v[2], 32)

    end = len(text) - len(text) % 8
    last = text[end:].ljust(7, b"\0") + bytes([len(text) & 0xFF])
    for (word,) in struct.iter_unpack("<Q", text[:end] + last):
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 0xEE
    rounds(4)
    high = v[0] ^ v[1] ^ v[2] ^ v[3]
    v[1] ^= 0xDD
    rounds(4)
    return high, v[0] ^ v[1] ^ v[2] ^ v[3]


def mix(state, word):
    """One word folded into a pair: MurmurHash3's 128-bit mixer, halves taken in turn."""
    a, b = state
    w = turn(word * 0x87C37B91114253D5 & ALL, 31) * 0x4CF5AD432745937F & ALL
    a = (turn(a ^ w, 27) + b) * 5 + 0x52DCE729 & ALL
    w = turn(a, 33) * 0x4CF5AD432745937F & ALL
    b = (turn(b ^ w, 31) + a) * 5 + 0x38495AB5 & ALL
    return a, b


@cache
def event_hash(tenant, source, id_):
    """What dedup knows an event by."""
    salt = siphash(source.encode())[0] ^ siphash(tenant.encode())[1]
    return siphash(id_.encode(), salt)


FORMS = {"time": "<q", "integer": "<q", "number": "<d", "flag": "<b", "milestone": "<b"}
BLANK = {"time": -(2**63), "integer": -(2**63), "number": float("nan"), "flag": -1, "milestone": -1}
QUIET = {"<d": struct.pack("<Q", 0x7FF8 << 48), "<f": struct.pack("<I", 0x7FC0 << 16)}


def number(form, value):
    """The bytes of a number: one NaN, and no -0."""
    return QUIET[form] if value != value else struct.pack(form, value + 0)  # noqa: PLR0124


def truth_digest(kinds, truth):
    """Digest what is true. `truth`: kind -> name -> {column: value, absent where unknown}."""
    total = blake2b(digest_size=16)
    for kind in sorted(kinds, key=lambda kind: kind.name):
        twins = truth.get(kind.name, {})
        names = sorted(twins)
        total.update("\n".join(names).encode())

        def column(name, form, blank, names=names, twins=twins):
            total.update(b"".join(number(form, twins[n].get(name, blank)) for n in names))

        def texts(name, names=names, twins=twins):
            words = (twins[n].get(name) for n in names)
            total.update(
                b"".join(struct.pack("<Q", siphash(w.encode())[0] if w else 0) for w in words)
            )

        for group in kind.groups:
            if not any(f"{group.name}.as_of" in twin for twin in twins.values()):
                continue  # nobody knows of it
            for field in group.fields:
                if not any(field.name in twin for twin in twins.values()):
                    continue
                total.update(f"\n{field.name}\n".encode())
                if field.dtype == "text":
                    texts(field.name)
                else:
                    column(field.name, FORMS[field.dtype], BLANK[field.dtype])
            column(f"{group.name}.as_of", "<q", -(2**63))
            column(f"{group.name}.tie", "<Q", 0)
            column(f"{group.name}.confidence", "<f", float("nan"))
            texts(f"{group.name}.source")
            total.update(f"\n{group.name}\n".encode())
    return total.hexdigest()


def repeats(events, known):
    """Say (outcome, reason, twin) of each event: what repeats one before it, or one known.

    `events`: (id, content, outcome, reason); `known`: id -> (content, outcome, reason).
    """
    stands, told = {}, []
    for i, (id_, content, outcome, reason) in enumerate(events):
        twin = -1
        if outcome != "REJECTED":
            if id_ not in stands and id_ not in known:
                stands[id_] = i
            else:
                original = stands.setdefault(id_, -1)
                first = known[id_] if original < 0 else (events[original][1], *told[original][:2])
                if content == first[0]:
                    outcome, reason, twin = "DUPLICATE", first[2], original
                elif first[1] == "PARKED":
                    stands[id_] = i
                else:
                    outcome, reason = "REJECTED", "IDEMPOTENCY_CONFLICT"
        told.append((outcome, reason, twin))
    return told


def compete(held, events, rank):
    """Say of each event (place, time, source, tie) whether it wins `held`, place -> the rest."""
    won = []
    for place, *mine in events:
        key = (mine[0], rank[mine[1]], mine[2])
        now = held.get(place)
        wins = now is None or key > (now[0], rank[now[1]], now[2])
        if wins:
            held[place] = mine
        won.append(wins)
    return won


def chained(newest, rows, first):
    """Return for each event the one before it of its row; `newest`: row -> offset."""
    before = []
    for i, row in enumerate(rows):
        before.append(newest.get(row, -1))
        newest[row] = first + i
    return before
