import gzip

import pytest

from cluster import cli, load, mapping
from cluster.expressions import micros
from cluster.world.load import START_US, history, load_history, sites
from serving.client import Event
from tests.cluster.recorder import Recorder
from twin.contracts import CONTRACTS
from twin.errors import BadRequest, Retryable


@pytest.fixture(scope="module")
def scms():
    return history()


def event(number):
    return Event("stock.counted", "test", "A", number, {"quantity": number}, f"e{number}", "west")


def open_at(scms, date):
    known = load.until(scms.events, micros(date))
    ordered = {e.subject for e in known if e.type == "shipment.ordered"}
    delivered = {e.subject: e.time for e in known if e.type == "shipment.delivered"}
    return ordered - delivered.keys()


def test_554_orders_are_open_when_the_replay_begins_and_none_of_them_is_delivered(scms):
    still = open_at(scms, "2013-09-01")
    times = {
        m.event.subject: m.event.time for m in scms.events if m.event.type.endswith("delivered")
    }

    assert len(still) == 554
    assert all(times[subject] > micros("2013-09-01") for subject in still)


def test_three_months_later_339_are_open_and_53_of_them_are_delivered_but_not_recorded(scms):
    still = open_at(scms, "2013-12-01")
    times = {
        m.event.subject: m.event.time for m in scms.events if m.event.type.endswith("delivered")
    }

    assert len(still) == 339
    assert sum(times[subject] <= micros("2013-12-01") for subject in still) == 53


def test_every_real_row_is_mapped_and_keeps_its_contract(scms):
    contracts = {contract.type: contract for contract in CONTRACTS}

    assert scms.rows == 7963
    assert scms.parked == []
    for mapped in scms.events:
        fields = {
            promise.name: promise.required for promise in contracts[mapped.event.type].payload
        }
        assert mapped.event.data.keys() <= fields.keys()
        assert {name for name, must in fields.items() if must} <= mapped.event.data.keys()


def test_a_fact_that_a_row_does_not_have_is_absent(scms):
    first = next(m.event for m in scms.events if m.event.id == "5233:ordered")
    absent = [m.event for m in scms.events if "mode" not in m.event.data]

    assert "ordered_at" not in first.data
    assert first.time == micros("2006-05-02")
    assert first.data["value_cents"] == 73470
    assert sum(e.type == "shipment.ordered" for e in absent) == 360


def test_the_67_vendors_are_suppliers_once_each_and_the_warehouse_is_an_aggregator(scms):
    suppliers = [m.event for m in scms.events if m.event.type == "supplier.registered"]

    assert len({e.subject for e in suppliers}) == len(suppliers) == 67
    assert [e.subject for e in suppliers if e.data["aggregator"]] == ["scms-from-rdc"]


def test_ids_are_unique_and_fit_for_a_key(scms):
    events = [m.event for m in (*scms.events, *sites().events)]

    assert len({(e.source, e.id) for e in events}) == len(events)
    assert all(e.id.isascii() and not set(e.id + e.subject) & set(" /") for e in events)


def test_every_site_that_an_order_names_is_registered_in_the_same_region(scms):
    places = {m.event.subject: m.event.region for m in sites().events}
    ordered = [m.event for m in scms.events if m.event.type == "shipment.ordered"]

    assert len({e.data["site"] for e in ordered}) == 40
    assert all(places[e.data["site"]] == e.region for e in ordered)


def test_loading_twice_gives_only_duplicates():
    twin = Recorder()

    first, second = load_history(twin, START_US), load_history(twin, START_US)

    assert first.outcomes == {"APPLIED": 23_169}
    assert second.outcomes == {"DUPLICATE": 23_169}


def test_a_broken_connection_is_retried_and_no_event_is_lost_or_counted_twice():
    twin, waits, steps = Recorder(breaks=[0, 2, 5]), [], []

    sent = load.send(
        twin,
        [event(n) for n in range(1000)],
        lambda done, total: steps.append((done, total)),
        batch=100,
        wait=waits.append,
    )

    assert sent.outcomes == {"APPLIED": 1000}
    assert waits == [0.5, 0.5, 0.5]
    assert steps[-1] == (1000, 1000)


def test_retrying_has_a_bound():
    with pytest.raises(Retryable):
        load.send(Recorder(breaks=[0]), [event(1)], patience_s=0.1, wait=lambda _: None)


@pytest.mark.parametrize(
    "content", [None, b"", b"\n\n", gzip.compress(b"id,at\n" * 100)[:20], b"no gzip"]
)
def test_an_unreadable_file_is_refused_and_nothing_of_it_is_sent(tmp_path, content):
    path = tmp_path / ("rows.csv.gz" if content else "rows.csv")
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(BadRequest) as caught:
        load.read(path, mapping.find("scms"))

    assert caught.value.code == "FILE_UNREADABLE"


def test_a_dry_run_says_what_would_be_sent_and_what_is_parked(tmp_path, capsys):
    path = tmp_path / "rows.csv"
    path.write_text(
        "id,name,country,function,lat,lon\nNGLOS,Lagos,NG,x,6.4,3.4\nX,Y,NG,x,north,3\n"
    )

    status = cli.run(["ingest", str(path), "--mapping", "places", "--dry-run"])

    told = capsys.readouterr().out
    assert status == 3
    assert "2 rows, 1 events" in told
    assert "VALUE_UNREADABLE" in told
    assert "north" in told


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["none.csv", "--mapping", "scms"], "FILE_UNREADABLE"),
        (["none.csv", "--mapping", "smcs"], "MAPPING_UNKNOWN"),
    ],
)
def test_bad_input_is_one_line_with_a_code_and_exit_status_1(words, code, capsys, tmp_path):
    status = cli.run(["ingest", *words, "--folder", str(tmp_path)])

    told = capsys.readouterr().err
    assert status == 1
    assert told.startswith(f"{code}: ")
    assert told.count("\n") == 1
