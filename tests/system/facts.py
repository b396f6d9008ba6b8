"""Facts that tests offer themselves: positions of shipments whose ids begin with `t-`."""

from serving.client import Event
from tests.system.scms import START, day_us

HOUR = 3600 * 1_000_000
NOON = day_us(START) - 12 * HOUR  # before the replay begins


def position(id, at, lat, lon=1.0, name="", region="east", **more):
    data = {"lat": lat, "lon": lon}
    return Event("shipment.position", "test/grpc", id, at, data, name, region, **more)
