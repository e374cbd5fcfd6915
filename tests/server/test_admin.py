import asyncio
import re
from pathlib import Path

import httpx
import pytest
import websockets
from prometheus_client.parser import text_string_to_metric_families

from oddswire.errors import OperatorError
from oddswire.server.app import serve
from oddswire.server.process import HostPort, listen, parse_host_port
from oddswire.testing.gateway import UNLIMITED, running_gateway
from tests.server.gateways import an_order


def numbers(text: str) -> dict[str, float]:
    return {
        sample.name + "".join(f"|{value}" for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_what_happens_is_counted_and_nobody_is_named(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, httpx.AsyncClient(base_url=gateway.admin_url) as admin:
        token = (await gateway.sign_in("ann-the-user")).access_token
        async with gateway.http(token) as http, websockets.connect(gateway.ws_url(token=token)) as socket:
            await socket.recv()
            order_id = (await http.post("/trading/orders", json=an_order(clientOrderId="mine"))).json()["orderId"]
            await http.post("/trading/orders", json=an_order(clientOrderId="mine"))
            await http.post("/trading/orders", json=an_order(price=0))
            await http.get(f"/trading/orders/{order_id}")
            await http.get("/nothing/of/the/kind")
            text = (await admin.get("/metrics")).text
        found = numbers(text)
        assert found["oddswire_orders_total|taken"] == 1
        assert found["oddswire_orders_total|replayed"] == 1
        assert found["oddswire_orders_total|denied"] == 1
        assert found["oddswire_events_total"] == 3
        assert found["oddswire_connections"] == 1
        assert found["oddswire_connections_catching_up"] == 0
        assert found["oddswire_store_units_total"] >= found["oddswire_store_batches_total"] > 0
        assert found["oddswire_venue_status|live|paper"] == 1
        assert found["oddswire_venue_status|stale|paper"] == found["oddswire_venue_status|degraded|paper"] == 0
        assert found["oddswire_store_failures_total"] == 0
        assert found["process_max_fds"] > found["process_open_fds"] > 0
        by_route = [name for name in found if name.startswith("oddswire_http_requests_total")]
        assert "oddswire_http_requests_total|GET|/trading/orders/{order_id}|200" in by_route
        assert "oddswire_http_requests_total|GET|unmatched|404" in by_route
        for secret in (order_id, token, "ann-the-user", "/nothing", gateway.app_id):
            assert secret not in text


async def test_readiness_has_details_for_the_operator(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, httpx.AsyncClient(base_url=gateway.admin_url) as admin:
        details = (await admin.get("/readyz")).json()
        assert (details["status"], details["connections"]) == ("ready", 0)
        assert re.fullmatch(r"\d+\.\d+\.\d+.*", details["version"])
        assert (await admin.get("/else")).status_code == 404
        assert (await admin.post("/metrics")).status_code == 405


@pytest.mark.parametrize("busy", ["api", "admin"])
async def test_a_busy_port_is_said_to_be_busy(tmp_path: Path, busy: str) -> None:
    with listen(HostPort("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OperatorError) as told:
            await serve(
                UNLIMITED,
                host="127.0.0.1",
                port=port if busy == "api" else 0,
                admin=f"127.0.0.1:{port if busy == 'admin' else 0}",
                database=tmp_path / "oddswire.db",
                dev=False,
                stop=asyncio.Event(),
            )
    assert told.value.code == "address_unusable"
    assert str(port) in told.value.detail
    assert not (tmp_path / "oddswire.db").exists()


@pytest.mark.parametrize(
    ("text", "parts"),
    [("127.0.0.1:9464", ("127.0.0.1", 9464)), ("[::1]:0", ("::1", 0)), ("localhost:65535", ("localhost", 65535))],
)
def test_addresses_are_read(text: str, parts: tuple[str, int]) -> None:
    assert parse_host_port(text) == parts


@pytest.mark.parametrize("text", ["", ":1", "host", "host:", "host:x", "host:65536", "host:-1", "host:١"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(OperatorError) as told:
        parse_host_port(text)
    assert told.value.code == "address_unusable"
