"""What a random number depends on, and on nothing else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenarios.draws import entities, philox, uniforms

NAMES = ["east/a", "east/b", "west/a"]
# Known answers that the authors of Philox publish with Random123: counter, key, output.
KNOWN = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000",
     "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff",
     "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0",
     "d16cfe09 94fdcceb 5001e420 24126ea1"),
]  # fmt: skip


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN)
def test_the_generator_gives_the_known_answers_of_its_authors(counter, key, answer):
    words = tuple(np.array([int(word, 16)], np.uint64) for word in counter.split())
    first, second = (int(word, 16) for word in key.split())

    given_words = [int(word[0]) for word in philox(words, (first, second))]

    assert given_words == [int(word, 16) for word in answer.split()]


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**63 - 1),
    step=st.integers(0, 200),
    cut=st.integers(1, 19),
    order=st.permutations(range(len(NAMES))),
)
def test_a_number_depends_on_its_address_alone(seed, step, cut, order):
    futures = np.arange(20, dtype=np.int64)
    whole = uniforms(seed, futures, entities(NAMES), step)

    shuffled = entities([NAMES[at] for at in order])
    pieces = [uniforms(seed, part, shuffled, step) for part in (futures[:cut], futures[cut:])]

    assert np.array_equal(np.concatenate(pieces), whole[:, order])


def test_every_part_of_an_address_changes_the_number():
    here = dict(seed=7, futures=np.array([3]), who=entities(["east/a"]), step=1)
    others = [{"seed": 8}, {"seed": 7 + 2**40}, {"futures": np.array([4])}, {"step": 2}]
    others.append({"who": entities(["east/b"])})

    numbers = [float(uniforms(**(here | other))[0, 0]) for other in [{}, *others]]

    assert len(set(numbers)) == len(numbers)


def test_numbers_are_uniform_and_not_correlated():
    who = entities([f"east/{i}" for i in range(200)])
    numbers = uniforms(7, np.arange(500, dtype=np.int64), who, 0)
    after = uniforms(7, np.arange(500, dtype=np.int64), who, 1)

    counts = np.histogram(numbers, np.linspace(0, 1, 101))[0]

    assert numbers.min() >= 0.0
    assert numbers.max() < 1.0
    assert ((counts - 1000) ** 2 / 1000).sum() < 160.0  # chi-square, 99 degrees: P < 1e-4
    assert abs(np.corrcoef(numbers[:-1].ravel(), numbers[1:].ravel())[0, 1]) < 0.015
    assert abs(np.corrcoef(numbers[:, :-1].ravel(), numbers[:, 1:].ravel())[0, 1]) < 0.015
    assert abs(np.corrcoef(numbers.ravel(), after.ravel())[0, 1]) < 0.015
