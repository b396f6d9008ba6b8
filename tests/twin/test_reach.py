"""Reach: what depends on late goods, hop by hop, against plain Python over single shipments."""

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp

from twin import where
from twin.filters import compile_filter
from twin.reach import CONDITION, Way, among, conditions, hops, total


class Shipment(NamedTuple):
    origin: str
    product: str
    site: str
    quantity: int
    value: int
    promised: int


sites = st.sampled_from(["", "A", "B", "C", "D", "E"])
products = st.sampled_from(["", "p", "q"])
shipments = st.lists(
    st.builds(
        Shipment, sites, products, sites, st.integers(0, 9), st.integers(0, 9), st.integers(0, 3)
    ),
    max_size=30,
)
places = st.sets(st.tuples(sites.filter(bool), products.filter(bool)), max_size=3)


def added_up(some):
    """Return shipments as ways: one for each origin, product and site."""
    of = {}
    for one in some:
        of.setdefault((one.origin, one.product, one.site), []).append(one)
    return [
        Way(
            *key,
            len(held),
            sum(one.quantity for one in held),
            float(sum(one.value for one in held)),
            min((one.promised for one in held if one.promised), default=0),
        )
        for key, held in of.items()
    ]


def brute(start, some):
    """Return for each hop (shipments, sites, places), each of them once, one at a time."""
    left, reached = set(range(len(some))), set(start)
    known, front, found = {site for site, _ in start}, set(start), []
    while True:
        taken = {n for n in left if (some[n].origin, some[n].product) in front}
        if not taken:
            return found
        left -= taken
        went = {(some[n].site, some[n].product) for n in taken}
        new = {site for site, _ in went if site} - known
        front = {place for place in went if all(place)} - reached
        reached |= front
        known |= new
        found.append((taken, new, front))


@given(places, shipments)
def test_each_shipment_site_and_place_is_reached_once_by_the_fewest_hops(start, some):
    found, cut = hops(start, {site for site, _ in start}, added_up(some), 1000)
    expected = brute(start, some)

    assert not cut
    assert len(found) == len(expected)
    for hop, (taken, new, front) in zip(found, expected, strict=True):
        ways = added_up([some[n] for n in taken])
        assert sorted(hop.ways) == sorted(ways)
        assert total(hop.ways) == total(ways)
        assert set(hop.left) == {(some[n].origin, some[n].product) for n in taken}
        assert (hop.sites, hop.places) == (sorted(new), sorted(front))


@given(places, shipments, st.integers(0, 4))
def test_no_more_places_are_walked_than_may_be_and_it_is_said(start, some, most):
    whole, _ = hops(start, (), added_up(some), 1000)
    found, cut = hops(start, (), added_up(some), most)
    reached = set(start).union(*(hop.places for hop in whole))

    assert cut == (len(reached) > most)
    assert sum(len(hop.places) for hop in found) + min(len(start), most) <= most


@given(st.sets(st.tuples(st.sampled_from(["A", "it's", 'B "x"', "C"]), products.filter(bool))))
def test_filters_of_places_say_each_place_once(wanted):
    names = {site for site, _ in wanted}
    met = [
        (site, product)
        for text in conditions("site", "product", wanted)
        for site in names
        for product in ("p", "q")
        if holds(text, site, product)
    ]
    assert sorted(met) == sorted(wanted)


def holds(text, site, product):
    """Say whether a filter of places holds of one, as SQL does."""
    compile_filter("stock", text)
    at = {"site": site, "product": product}

    def true(tree):
        if isinstance(tree, exp.Or | exp.And):
            return (any if isinstance(tree, exp.Or) else all)(map(true, tree.flatten()))
        if isinstance(tree, exp.Paren):
            return true(tree.this)
        assert isinstance(tree, exp.In)
        return at[tree.this.name] in {one.this for one in tree.expressions}

    return true(where.parse(text))


def test_a_thousand_places_are_several_filters_of_which_each_may_be_asked():
    wanted = {(f"site-{n:04d}-{'x' * 40}", f"p{n % 7}") for n in range(1000)}
    texts = conditions("site", "product", wanted)
    ids = among("id", [site for site, _ in sorted(wanted)])

    assert len(texts) > 5
    for text in texts:
        compile_filter("stock", text)
        assert len(text) < 2 * CONDITION
    for text in ids:
        compile_filter("site", text)
    assert sum(text.count("'site-") for text in texts) == 1000
    assert sum(text.count("'site-") for text in ids) == 1000
    assert conditions("site", "product", ()) == among("id", ()) == []
