"""What is in `deploy/` is what the gateway needs, and proxies set up by it log no token."""

import asyncio
import datetime
import fnmatch
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import distribution
from pathlib import Path

import httpx
import msgspec
import pytest
import websockets
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from oddswire.config import Settings
from oddswire.server.addresses import parse_networks
from oddswire.server.app import REQUESTS_END_SECONDS
from oddswire.streams.roster import FAREWELL_SECONDS
from oddswire.testing.gateway import UNLIMITED, RunningGateway, running_gateway
from oddswire.wire.liveness import BEAT_MS, BEAT_SPREAD

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
NAME = "api.shop.example"
SECRET = "hunter2-hunter2-hunter2"


def text(name: str) -> str:
    """Return a file of `deploy/` without its comments."""
    return re.sub(r"^\s*#.*\n", "", (DEPLOY / name).read_text(), flags=re.M)


# ---- systemd


def unit(key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", text("oddswire.service"), re.M)


def test_the_unit_gives_the_gateway_the_time_and_the_files_it_needs() -> None:
    closing = Settings().drain_seconds + FAREWELL_SECONDS + 2 * REQUESTS_END_SECONDS
    assert int(unit("TimeoutStopSec")[0]) >= 2 * closing
    assert int(unit("LimitNOFILE")[0]) >= 65_536
    assert unit("KillSignal") == ["SIGTERM"]
    assert unit("Restart") == ["always"]
    assert unit("RestartPreventExitStatus") == ["2"]


def test_the_unit_s_database_is_in_its_state_directory_and_must_be_there() -> None:
    (database,) = re.findall(r"^Environment=ODDSWIRE_DATABASE=(.*)$", text("oddswire.service"), re.M)
    assert database.startswith(f"/var/lib/{unit('StateDirectory')[0]}/")
    assert unit("AssertPathExists") == [database]
    assert unit("UMask") == ["0077"]


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not here")
    there = tmp_path / "oddswire.service"
    there.write_text(text("oddswire.service").replace("/opt/oddswire/.venv/bin/oddswire", "/bin/true"))
    checked = subprocess.run(["systemd-analyze", "verify", there], capture_output=True, text=True, timeout=30)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


# ---- the image


def ignored(path: str) -> bool:
    out = False
    for line in text("../.dockerignore").split():
        pattern = line.removeprefix("!").removeprefix("**/")
        if fnmatch.fnmatch(path, pattern) or (line.startswith("**/") and fnmatch.fnmatch(Path(path).name, pattern)):
            out = not line.startswith("!")
    return out


def test_the_image_is_built_from_what_is_there_and_let_through() -> None:
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", text("Dockerfile"), re.M)
    names = [name for line in copied for name in line.split()]
    assert {"pyproject.toml", "deploy/requirements.lock", "src"} <= set(names)
    assert [name for name in names if not (ROOT / name).exists() or ignored(name)] == []
    assert ignored("docs")
    assert ignored("oddswire.db")
    assert ignored(".git")


def locked(name: str) -> dict[str, str]:
    # who wants a package may differ between the two, which one it is may not
    pins = re.sub(r"^ +#.*\n", "", (ROOT / name).read_text(), flags=re.M)
    blocks = re.split(r"^(?=\S)", pins, flags=re.M)
    return {canonicalize_name(block.partition("==")[0]): block for block in blocks if block}


def test_the_image_s_lock_is_the_part_of_ours_that_runs() -> None:
    needed: set[str] = set()
    waiting = ["oddswire"]
    while waiting:
        requirements = [Requirement(line) for line in distribution(waiting.pop()).requires or ()]
        names = {canonicalize_name(found.name) for found in requirements if not found.marker or found.marker.evaluate()}
        waiting += names - needed
        needed |= names
    ours, image = locked("requirements.lock"), locked("deploy/requirements.lock")
    assert set(image) >= needed
    assert not {"pytest", "mypy", "ruff"} & set(image)
    assert {name: block for name, block in image.items() if ours.get(name) != block} == {}
    assert [name for name, block in image.items() if "--hash=sha256:" not in block] == []


def test_the_image_is_nobody_in_particular_and_knows_no_secret() -> None:
    said = text("Dockerfile")
    assert re.findall(r"^USER (.*)$", said, re.M) == ["oddswire"]
    assert "/healthz" in said
    assert "STOPSIGNAL SIGTERM" in said
    assert re.findall(r"(?i)token|password|index-url|^ARG", said, re.M) == []


# ---- nginx, as text


def test_nginx_logs_no_query_and_no_header() -> None:
    said = text("nginx.conf")
    formats = re.findall(r"log_format\s+(\w+)\s+([^;]*);", said)
    assert [name for name, _ in formats] == ["oddswire"]
    variables = set(re.findall(r"\$(\w+)", formats[0][1]))
    assert "uri" in variables
    asks = ("request", "request_uri", "args", "query_string", "is_args", "request_body")
    told = [name for name in variables if name in asks or name.startswith(("arg_", "http_", "cookie_", "sent_http_"))]
    assert told == []
    servers = said.count("server {")
    assert re.findall(r"access_log\s+\S+\s*(\w*);", said) == ["oddswire"] * servers
    assert re.findall(r"error_log\s+\S+\s*(\w*);", said) == ["emerg"]


def test_nginx_waits_longer_than_heartbeats_and_orders_take() -> None:
    said = text("nginx.conf")
    longest = BEAT_MS * (1 + BEAT_SPREAD) / 1000
    for path in ("/ws", "/trading/events/stream"):
        (block,) = re.findall(rf"location = {path} {{(.*?)}}", said, re.S)
        waits = [int(seconds) for seconds in re.findall(r"proxy_(?:read|send)_timeout (\d+)s;", block)]
        assert len(waits) == 2
        assert min(waits) > 2 * longest
    assert "proxy_buffering off;" in said.split("/trading/events/stream")[1]
    assert "proxy_read_timeout 75s;" in said.split("location")[0]


def test_proxies_take_nobody_s_word_for_an_address() -> None:
    assert "proxy_set_header X-Forwarded-For $remote_addr;" in text("nginx.conf")
    assert "proxy_add_x_forwarded_for" not in text("nginx.conf")
    assert "header_up X-Forwarded-For {remote_host}" in text("Caddyfile")
    assert "trusted_proxies" not in text("Caddyfile")
    (trusted,) = re.findall(r"^Environment=ODDSWIRE_TRUSTED_PROXIES=(.*)$", text("oddswire.service"), re.M)
    assert [str(network) for network in parse_networks(trusted)] == ["127.0.0.1/32", "::1/128"]
    for name in ("nginx.conf", "Caddyfile"):
        assert "ODDSWIRE_TRUSTED_PROXIES=127.0.0.1" in (DEPLOY / name).read_text()


# ---- proxies, as they are


def certificate(folder: Path) -> Path:
    """Make a key and a certificate for `NAME` that signs itself; return the certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    pem = serialization.Encoding.PEM
    (folder / "tls.key").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    (folder / "tls.pem").write_bytes(made.public_bytes(pem))
    return folder / "tls.pem"


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def nginx(folder: Path, upstream: str, port: int) -> list[str]:
    said = text("nginx.conf").replace("127.0.0.1:8080", upstream)
    said = said.replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl")
    said = said.replace("listen 80", f"listen 127.0.0.1:{free_port()}")
    said = said.replace("/etc/ssl/oddswire", f"{folder}/tls").replace("/var/log/nginx", str(folder))
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log {folder}/main.log warn;\n"
        f"events {{ worker_connections 256; }}\nhttp {{\n{temporary}{said}\n}}\n"
    )
    return ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "start.log")]


def caddy(folder: Path, upstream: str, port: int) -> list[str]:
    said = text("Caddyfile").replace("127.0.0.1:8080", upstream)
    said = said.replace("{\n", "{\n\tadmin off\n\tauto_https disable_redirects\n", 1)
    said = said.replace(f"{NAME} {{", f"https://{NAME}:{port} {{\n\ttls {folder}/tls.pem {folder}/tls.key")
    (folder / "Caddyfile").write_text(said)
    return ["caddy", "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


PROXIES = {"nginx": nginx, "caddy": caddy}


class Proxied:
    """A gateway behind a proxy; `logs` is all the proxy has written."""

    def __init__(self, gateway: RunningGateway, folder: Path, port: int) -> None:
        self.gateway = gateway
        self.folder = folder
        self.port = port
        self.tls = ssl.create_default_context(cafile=folder / "tls.pem")

    def logs(self) -> str:
        return "\n".join(path.read_text() for path in self.folder.glob("*.log"))

    def http(self, token: str) -> httpx.AsyncClient:
        headers = {"x-app-id": self.gateway.app_id, "authorization": f"Bearer {token}", "host": NAME}
        return httpx.AsyncClient(base_url=f"https://127.0.0.1:{self.port}", headers=headers, verify=self.tls)

    async def get(self, client: httpx.AsyncClient, path: str) -> httpx.Response:
        return await client.get(path, extensions={"sni_hostname": NAME})

    def socket(self, token: str) -> websockets.connect:
        url = f"wss://{NAME}:{self.port}/ws?appId={self.gateway.app_id}&token={token}"
        return websockets.connect(url, ssl=self.tls, host="127.0.0.1", port=self.port, proxy=None)


@asynccontextmanager
async def proxied(name: str, tmp_path: Path) -> AsyncIterator[Proxied]:
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not here")
    folder = tmp_path / name
    folder.mkdir()
    certificate(folder)
    port = free_port()
    behind: Settings = msgspec.structs.replace(UNLIMITED, trusted_proxies="127.0.0.1")
    async with running_gateway(tmp_path, behind) as gateway:
        command = PROXIES[name](folder, gateway.base_url.removeprefix("http://"), port)
        with (folder / "output.log").open("w") as output:
            environ = {"HOME": str(folder), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
            found = shutil.which(name) or name
            process = await asyncio.create_subprocess_exec(
                found, *command[1:], stdout=output, stderr=output, env=environ
            )
        try:
            there = Proxied(gateway, folder, port)
            async with asyncio.timeout(15):
                while not await listens(port):
                    assert process.returncode is None, there.logs()
                    await asyncio.sleep(0.05)
            yield there
        finally:
            if process.returncode is None:
                process.terminate()
            await asyncio.wait_for(process.wait(), 10)


async def listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


@pytest.mark.parametrize("name", PROXIES)
async def test_a_socket_and_calls_go_through_and_no_token_is_logged(name: str, tmp_path: Path) -> None:
    async with proxied(name, tmp_path) as there:
        token = (await there.gateway.sign_in("ann")).access_token
        async with there.socket(token) as connection, there.http(token) as http:
            assert '"connected"' in str(await connection.recv())
            assert (await there.get(http, "/trading/balance")).status_code == 200
            assert (await there.get(http, f"/nothing?token={SECRET}")).status_code == 404
        with pytest.raises(websockets.InvalidStatus):
            async with there.socket(f"{token}&since=x"):
                pass
        # what cannot be passed on is logged as a fault, with its request
        there.gateway.stop.set()
        async with asyncio.timeout(15), there.http(token) as http:
            while (await there.get(http, f"/ws?token={SECRET}")).status_code not in (502, 503):
                await asyncio.sleep(0.05)
            while there.logs().count("502") + there.logs().count("503") == 0:
                await asyncio.sleep(0.05)
        assert "/trading/balance" in there.logs()
        assert "/ws" in there.logs()
        for secret in (token, SECRET, "token="):
            assert secret not in there.logs()


@pytest.mark.parametrize("name", PROXIES)
async def test_the_gateway_sees_the_client_s_address_and_nobody_makes_one_up(name: str, tmp_path: Path) -> None:
    forged = {"x-forwarded-for": "203.0.113.9", "forwarded": "for=203.0.113.9", "x-real-ip": "203.0.113.9"}
    async with proxied(name, tmp_path) as there:
        token = (await there.gateway.sign_in("ann")).access_token
        url = f"wss://{NAME}:{there.port}/ws?appId={there.gateway.app_id}&token={token}"
        connecting = websockets.connect(
            url,
            ssl=there.tls,
            host="127.0.0.1",
            port=there.port,
            proxy=None,
            local_addr=("127.0.0.2", 0),
            additional_headers=forged,
        )
        async with connecting as connection, httpx.AsyncClient(trust_env=False) as admin:
            await connection.recv()
            listed = (await admin.get(f"{there.gateway.admin_url}/connections")).json()["data"]
        assert [one["address"] for one in listed] == ["127.0.0.2"]


async def raw(there: Proxied, sent: bytes) -> bytes:
    """Send bytes to the proxy on a connection of their own; return the first of what comes back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", there.port, ssl=there.tls, server_hostname=NAME)
    writer.write(sent)
    async with asyncio.timeout(10):
        answer = await reader.read(65536)
    writer.close()
    return answer


@pytest.mark.parametrize("name", PROXIES)
async def test_nobody_s_body_becomes_the_beginning_of_another_s_request(name: str, tmp_path: Path) -> None:
    async with proxied(name, tmp_path) as there:
        token = (await there.gateway.sign_in("ann")).access_token
        begun = b"\r\n" * 30_000 + b"POST /auth/sign-out HTTP/1.1\r\nX-Ignored: "
        attack = (
            f"POST /trading/orders HTTP/1.1\r\nHost: {NAME}\r\nx-app-id: {there.gateway.app_id}\r\n"
            f"Connection: Upgrade\r\nUpgrade: foo\r\nContent-Length: {len(begun)}\r\n\r\n"
        ).encode() + begun
        asked = (
            f"GET /trading/balance HTTP/1.1\r\nHost: {NAME}\r\nx-app-id: {there.gateway.app_id}\r\n"
            f"Authorization: Bearer {token}\r\nConnection: close\r\n\r\n"
        ).encode()
        for _ in range(6):
            assert (await raw(there, attack)).startswith((b"HTTP/1.1 400", b"HTTP/1.1 401"))
            assert (await raw(there, asked)).startswith(b"HTTP/1.1 200")
