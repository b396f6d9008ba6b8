"""Every kernel against its plain form."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.twin import plain
from tests.twin.filter_oracle import matches
from twin.dedup import UNSEEN, Seen
from twin.judge import fold
from twin.kernels import id_like
from twin.keys import Keys, qualified
from twin.lexicon import Draft, Lexicon
from twin.outcomes import Outcome
from twin.texts import Texts, hashes, join, texts
from twin.words import Pattern

VECTORS = [  # of the SipHash paper's authors: key 00..0f, message 00 01 02 .. of each length
    "a3817f04ba25a8e66df67214c7550293",
    "da87c1d86b99af44347659119b22fc45",
    "8177228da4a45dc7fca38bdef60affe4",
    "9c70b60c5267a94e5f33b6b02985ed51",
    "f88164c12d9c8faf7d0f6e7c7bcd5579",
    "1368875980776f8854527a07690e9627",
    "14eeca338b208613485ea0308fd7a15e",
    "a1f1ebbed8dbc153c0b84aa61ff08239",
    "3b62a9ba6258f5610f83e264f31497b4",
    "264499060ad9baabc47f8b02bb6d71ed",
    "00110dc378146956c95447d3f3d0fbba",
    "0151c568386b6677a2b4dc6f81e5dc18",
    "d626b266905ef35882634df68532c125",
    "9869e247e9c08b10d029934fc4b952f7",
    "31fcefac66d7de9c7ec7485fe4494902",
    "5493e99933b0a8117e08ec0f97cfc3d9",
]
words64 = st.integers(0, 2**64 - 1)
pieces = st.sampled_from(["%", "%", "_", "a", "b", "ab", "aB", "-ab"])
some_texts = st.lists(st.text(max_size=20), max_size=9)


@pytest.mark.parametrize("length", range(len(VECTORS)))
def test_the_plain_hash_is_siphash_2_4_128(length):
    high, low = plain.siphash(bytes(range(length)))

    assert (high.to_bytes(8, "little") + low.to_bytes(8, "little")).hex() == VECTORS[length]


@given(st.text(max_size=3), st.lists(st.text(max_size=30), max_size=9), st.data())
def test_texts_are_taken_in_any_order_and_without_what_is_skipped(prefix, values, data):
    at = data.draw(st.lists(st.integers(0, max(0, len(values) - 1)), max_size=9 if values else 0))
    skip = len(prefix.encode())

    taken = texts([prefix + value for value in values]).take(np.array(at, np.int64), skip)

    assert taken.list() == [values[one] for one in at]
    assert taken.content.size == taken.offsets[-1]


@given(some_texts, words64)
def test_the_hash_of_a_text_is_the_plain_one_whatever_else_is_in_the_batch(values, salt):
    got = hashes(texts(values), np.full(len(values), salt, np.uint64))

    assert got.tolist() == [list(plain.siphash(v.encode(), salt)) for v in values]


@given(st.lists(st.tuples(words64, words64, words64), max_size=9))
def test_mixing_is_the_plain_mixing(given_rows):
    state = np.array([row[:2] for row in given_rows], np.uint64).reshape(-1, 2)
    n, nothing = len(given_rows), np.zeros((0, len(given_rows)), np.uint64)
    words = np.array([[row[2] for row in given_rows]], np.uint64)
    none = np.zeros(0, np.uint64)
    fold(state, words, np.zeros(n, np.int8), none, none, nothing, nothing.astype(np.bool_))

    assert state.tolist() == [list(plain.mix(row[:2], row[2])) for row in given_rows]


blocks = st.lists(st.dictionaries(st.integers(0, 60), st.integers(0, 3), max_size=9), max_size=9)


def numbered(ids, spread):
    """Hashes of numbers; `spread` 0 lets all of them collide in the table."""
    return np.array([(i * spread, i) for i in ids], np.uint64).reshape(-1, 2)


@given(blocks, st.sampled_from([0, 1, 2**40, 0x9E3779B97F4A7C15 % 2**57]))
def test_dedup_finds_what_a_dict_would(written, spread):
    seen, model, offset = Seen(), {}, 0
    for block in written:
        n = len(block)
        given_ = np.array([*block.values()], np.uint64)
        at, parked = np.arange(offset, offset + n), np.full(n, Outcome.PARKED)
        seen.add(numbered(block, spread), given_, at, parked, 0 * at)
        model |= {name: (value, offset + i) for i, (name, value) in enumerate(block.items())}
        offset += n
    again = Seen()
    again.load(seen.dump())
    assert again.size == len(model)

    for one in (seen, again):
        found = one.find(numbered(range(61), spread))
        known = np.flatnonzero(found.entry != UNSEEN).tolist()
        assert {i: (int(found.content[i]), int(found.offset[i])) for i in known} == model
        assert (np.diff(one.places()[0]) > 0).all()
        where = {offset: np.uint64(name * spread) for name, (_, offset) in model.items()}
        assert one.ties(np.array([*where], np.int64)).tolist() == [*where.values()]


def test_dedup_is_exact_over_many_growths():
    seen, n = Seen(), 40_000
    hash_ = hashes(texts([f"event {i}" for i in range(n)]))
    for at in range(0, n, 900):
        part = hash_[at : at + 900]
        where = np.arange(at, at + len(part))
        seen.add(part, part[:, 0], where, 0 * where, 0 * where)

    assert seen.find(hash_).offset.tolist() == list(range(n))
    assert set(seen.find(hash_ ^ np.uint64(1)).entry.tolist()) == {UNSEEN}


@given(st.lists(some_texts, max_size=6), st.data())
def test_keys_give_rows_in_the_order_twins_are_met(batches, data):
    keys, model = Keys(), {}
    for batch in batches:
        at = [i for i in range(len(batch)) if data.draw(st.booleans())]
        located = keys.locate(texts(batch), np.array(at, np.int64))
        rows = [model.setdefault(batch[i], len(model)) for i in at]
        assert located.row.tolist() == rows
        keys.add(located.new)

    assert keys.names().list() == list(model)
    assert keys.find(texts([*model, "a stranger" * 5])).tolist() == [*range(len(model)), -1]


def test_keys_hold_many_names_of_any_length():
    keys, names = Keys(), [f"{'x' * (i % 300)}{i}" for i in range(5_000)]
    for at in range(0, len(names), 700):
        keys.add(texts(names[at : at + 700]))

    assert keys.find(texts(names)).tolist() == list(range(len(names)))


@given(some_texts, st.text(min_size=1, max_size=5))
def test_a_name_is_its_tenant_and_its_id(ids, tenant):
    assert qualified(tenant, texts(ids)).list() == [f"{tenant}/{one}" for one in ids]


@given(some_texts, some_texts, st.data())
def test_texts_are_taken_and_joined_like_lists(left, right, data):
    both = join([texts(left), texts(right)])
    all_ = left + right
    at = data.draw(st.lists(st.sampled_from(range(len(all_))), max_size=5)) if all_ else []

    assert both.list() == all_
    assert both.take(np.array(at, np.int64)).list() == [all_[i] for i in at]
    assert [both.get(i) for i in range(len(all_))] == all_


def test_texts_may_start_anywhere_in_their_content():
    part = Texts(np.array([2, 4, 5]), np.frombuffer(b"xxabcxx", np.uint8))

    assert join([part, texts(["d"])]).list() == ["ab", "c", "d"]
    assert hashes(part).tolist() == hashes(texts(["ab", "c"])).tolist()
    assert qualified("t", part).list() == ["t/ab", "t/c"]


@given(st.lists(st.lists(st.sampled_from(["", "a", "b", "c", "d"]), max_size=4), max_size=5))
def test_a_lexicon_never_changes_a_code(batches):
    lexicon, model = Lexicon(), {}
    for batch in batches:
        draft = Draft(lexicon)
        codes = draft.codes(batch).tolist()
        lexicon.extend(draft.new)
        wanted = [model.setdefault(word, len(model)) if word else -1 for word in batch]
        assert codes == wanted

    codes = np.array([-1, *model.values()], np.int32)
    assert lexicon.words(codes) == ["", *model]
    assert lexicon.hashes(codes).tolist() == [0, *(plain.siphash(w.encode())[0] for w in model)]


@given(
    st.lists(st.text("abAB-\x7f", max_size=30), max_size=9),
    st.lists(st.sampled_from(["%", "%", "_", "a", "b", "ab", "aB", "-ab"]), max_size=7).map(
        "".join
    ),
    st.booleans(),
    st.data(),
)
def test_a_pattern_fits_where_texts_lie_as_it_does_letter_by_letter(words, pattern, fold, data):
    held = texts([f"t/{word}" for word in words])
    at = data.draw(st.lists(st.integers(0, max(0, len(words) - 1)), max_size=9 if words else 0))
    raw, kinds = Pattern(pattern, "", fold=fold).bytes()
    every, some = np.empty(len(words), np.bool_), np.empty(len(at), np.bool_)

    id_like(held.offsets, held.content, np.empty(0, np.int64), 2, raw, kinds, fold, every)
    id_like(held.offsets, held.content, np.array(at, np.int64), 2, raw, kinds, fold, some)

    assert every.tolist() == [matches(pattern, word, fold) for word in words]
    assert some.tolist() == [every[one] for one in at]
