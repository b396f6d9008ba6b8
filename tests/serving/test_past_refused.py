"""What is refused of the past: to whom it does not belong, and what cannot be asked."""

import pytest

from serving.wire import twin_pb2 as pb
from tests.serving.past_world import HOUR, get, history, lived, refusal
from tests.serving.several import NOW
from twin.errors import TwinError


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with lived(tmp_path_factory.mktemp("past")) as world:
        yield world


@pytest.mark.parametrize(
    ("when", "code"),
    [
        ({"at": NOW + 1000 * HOUR}, "AS_OF_FUTURE"),
        ({"known_at": NOW + 1000 * HOUR}, "AS_OF_FUTURE"),
        ({"known_at": NOW - HOUR}, "AS_OF_TOO_EARLY"),
        ({"at": NOW - 1000 * HOUR}, "ENTITY_NOT_FOUND"),
    ],
)
def test_a_moment_that_cannot_be_asked_about_is_refused_by_its_word(world, when, code):
    with pytest.raises(TwinError) as refused:
        get(world, **when)

    assert refused.value.code == code
    if code != "ENTITY_NOT_FOUND":
        with pytest.raises(TwinError) as refused:
            world.ask("Search", pb.SearchRequest(kind="shipment", when=pb.When(**when)))
        assert refused.value.code == code


@pytest.mark.parametrize(
    ("rpc", "request_"),
    [
        ("Get", pb.GetRequest(kind="shipment", when=pb.When(at=NOW))),
        ("History", pb.HistoryRequest(kind="shipment")),
        ("Explain", pb.ExplainRequest(kind="shipment", field="lat")),
        ("FirstTrue", pb.FirstTrueRequest(kind="shipment", where="lat = 1")),
        ("Diff", pb.DiffRequest(kind="shipment", before=pb.When(at=NOW))),
    ],
)
def test_a_twin_of_another_tenant_is_one_that_does_not_exist(world, rpc, request_):
    with world.stranger() as stranger:
        said = []
        for id in ("S1", "S9"):
            request_.id = id
            code, text = refusal(lambda asked: stranger.ask(rpc, asked), request_)
            said.append((code, text.replace(id, "ID")))

    assert said[0] == said[1]
    assert said[0][0] == "ENTITY_NOT_FOUND"


def test_an_event_of_another_tenant_cannot_be_previewed(world):
    receipt = history(world).entries[0].receipt
    with world.stranger() as stranger:
        for request in (
            pb.PreviewRequest(receipt=receipt),
            pb.PreviewRequest(source="erp", id="v1"),
        ):
            assert refusal(lambda asked: stranger.ask("Preview", asked), request)[0] == (
                "ENTITY_NOT_FOUND"
            )


def test_no_search_of_the_past_shows_another_tenants_twins(world):
    with world.stranger() as stranger:
        for when in (pb.When(at=NOW), pb.When(known_at=world.known), pb.When(at=NOW - 60 * HOUR)):
            reply = stranger.ask("Search", pb.SearchRequest(kind="shipment", when=when))
            assert (reply.total, len(reply.twins)) == (0, 0)
        diff = pb.DiffRequest(kind="shipment", where="lat IS KNOWN", before=pb.When(at=NOW))
        assert stranger.ask("Diff", diff).total == 0


def test_a_shard_that_is_asked_itself_says_what_it_does_not_hold(world):
    surface = world.twin.surface("shipment/east/0")
    with world.direct(surface.address) as shard:
        wrong = pb.HistoryRequest(kind="shipment", id="S1", region="west")
        assert refusal(lambda asked: shard.ask("History", asked), wrong)[0] == "NOT_OWNER"
        bad = pb.HistoryRequest(kind="shipment", id="../etc")
        assert refusal(lambda asked: shard.ask("History", asked), bad)[0] == "BAD_ID"
        none = pb.HistoryRequest(kind="site", id="S1")
        assert refusal(lambda asked: shard.ask("History", asked), none)[0] == "INVALID_ARGUMENT"


@pytest.mark.parametrize(
    ("rpc", "request_", "code"),
    [
        ("Diff", pb.DiffRequest(kind="shipment", before=pb.When(at=NOW)), "INVALID_ARGUMENT"),
        ("Diff", pb.DiffRequest(kind="shipment", id="S1"), "INVALID_ARGUMENT"),
        ("FirstTrue", pb.FirstTrueRequest(kind="shipment", id="S1"), "INVALID_ARGUMENT"),
        ("FirstTrue", pb.FirstTrueRequest(kind="shipment", id="S1", where="latt = 1"), None),
        ("Explain", pb.ExplainRequest(kind="shipment", id="S1", field="id"), "INVALID_ARGUMENT"),
        ("Explain", pb.ExplainRequest(kind="shipment", id="S1", field="nonsense"), None),
        ("History", pb.HistoryRequest(kind="ship", id="S1"), "INVALID_ARGUMENT"),
        ("History", pb.HistoryRequest(kind="shipment", id="S1", fields=["on_time"]), None),
    ],
)
def test_what_cannot_be_asked_about_the_past_is_refused_by_its_word(world, rpc, request_, code):
    said = refusal(lambda asked: world.ask(rpc, asked), request_)

    assert said[0] == (code or said[0])
    assert said[0] in {"INVALID_ARGUMENT", "FIELD_UNKNOWN"}
