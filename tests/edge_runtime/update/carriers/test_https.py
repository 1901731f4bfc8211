"""The carrier over TLS: who is trusted, and that nothing leads from https to http."""

import ipaddress
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edge_runtime.configuration import BadConfiguration, NetworkSettings
from edge_runtime.update import DailyTraffic, HttpCarrier, HttpSender, Politeness, Unreachable
from tests.edge_runtime.reports.drop_box import drop_box
from tests.edge_runtime.update.loopback_server import LoopbackServer, running_server

MakeCarrier = Callable[..., HttpCarrier]


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of 127.0.0.1 with its key, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path / "loopback.pem"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + secret)
    return path


@pytest.fixture
def context(certificate: Path) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificate)
    return made


@pytest.fixture
def secure(context: ssl.SSLContext) -> Iterator[LoopbackServer]:
    with running_server(context) as server:
        server.files["x"] = b"here"
        yield server


def test_a_server_is_trusted_by_the_configured_certificate(
    secure: LoopbackServer, make_carrier: MakeCarrier, certificate: Path
) -> None:
    assert make_carrier(secure.url, ca_file=certificate)("x", 10) == b"here"


def test_an_unknown_server_is_not_trusted(secure: LoopbackServer, make_carrier: MakeCarrier) -> None:
    with pytest.raises(Unreachable, match="certificate verify failed"):
        make_carrier(secure.url)("x", 10)
    assert not secure.asked


def test_what_is_sent_goes_to_a_server_that_is_trusted_alone(
    context: ssl.SSLContext, certificate: Path, tmp_path: Path
) -> None:
    def sender(ca_file: Path | None) -> HttpSender:
        network = NetworkSettings(proxy="", ca_file=ca_file)
        patience = Politeness(tmp_path / f"patience-{ca_file is None}.json")
        return HttpSender(box.url, network, DailyTraffic(tmp_path / "traffic.json", None), patience)

    with drop_box(tmp_path / "box", tls=context) as box:
        with pytest.raises(Unreachable, match="certificate verify failed"):
            sender(None).put("a/1.json", b"report", "application/x")
        assert box.puts == []
        sender(certificate).put("a/1.json", b"report", "application/x")
        assert box.names == ["a/1.json"]


def test_no_redirect_leads_from_https_to_http(
    secure: LoopbackServer, server: LoopbackServer, make_carrier: MakeCarrier, certificate: Path
) -> None:
    server.files["x"] = b"here"
    elsewhere = server.url.replace("127.0.0.1", "localhost")
    secure.plan(lambda handler, _: handler.answer(302, b"", {"Location": f"{elsewhere}/x"}))
    carrier = make_carrier(secure.url, ca_file=certificate, redirect_hosts=("localhost",))
    with pytest.raises(Unreachable, match="it must have https"):
        carrier("x", 10)
    assert len(secure.fired) == 1
    assert not server.asked


def test_a_redirect_from_http_to_https_is_followed(
    secure: LoopbackServer, server: LoopbackServer, make_carrier: MakeCarrier, certificate: Path
) -> None:
    server.plan(lambda handler, _: handler.answer(302, b"", {"Location": f"{secure.url}/x"}))
    assert make_carrier(ca_file=certificate)("x", 10) == b"here"
    assert len(server.fired) == 1


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_certificates_that_cannot_be_read_are_a_mistake(
    make_carrier: MakeCarrier, tmp_path: Path, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "ca.pem").write_text(content)
    with pytest.raises(BadConfiguration, match=r"network\.ca_file"):
        make_carrier(ca_file=tmp_path / "ca.pem")


def test_a_proxy_of_another_kind_is_a_mistake(make_carrier: MakeCarrier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "socks5://user:secret@127.0.0.1:1")
    with pytest.raises(BadConfiguration) as raised:
        make_carrier(proxy=None)
    assert "secret" not in str(raised.value)
