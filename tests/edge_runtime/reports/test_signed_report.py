"""Envelopes: what a device's key signed is trusted, and nothing else."""

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from securesystemslib.dsse import Envelope

from edge_runtime.reports import MOST_REPORT_BYTES, DeviceKey, ReportError, signed, to_bytes, verified
from tests.edge_runtime.reports.made_reports import made_key, report


@pytest.fixture
def key(tmp_path: Path) -> DeviceKey:
    return made_key(tmp_path)


def envelope_of(payload: bytes, key: DeviceKey, kind: str = "application/vnd.edgewright.report+json") -> bytes:
    """Return an envelope that is signed rightly, whatever it holds."""
    envelope = Envelope(payload, kind, {})
    envelope.sign(key.signer)
    return json.dumps(envelope.to_dict()).encode()


def test_a_signed_report_is_read_with_its_key(key: DeviceKey) -> None:
    made = report(key.public.device, number=5)
    assert verified(signed(made, key), key.public.key) == made


def test_another_key_is_refused(key: DeviceKey, tmp_path: Path) -> None:
    other = made_key(tmp_path / "other")
    with pytest.raises(ReportError, match=f"signed by the device {other.public.device}"):
        verified(signed(report(key.public.device), key), other.public.key)


def test_a_report_in_another_s_name_is_refused(key: DeviceKey, tmp_path: Path) -> None:
    other = made_key(tmp_path / "other")
    with pytest.raises(ReportError, match="must name the device"):
        signed(report(other.public.device), key)
    with pytest.raises(ReportError, match=r"report\.device must be"):
        verified(envelope_of(to_bytes(report(other.public.device)), key), key.public.key)


def test_another_type_of_payload_is_refused(key: DeviceKey) -> None:
    with pytest.raises(ReportError, match="must hold a report"):
        verified(envelope_of(to_bytes(report(key.public.device)), key, "application/vnd.in-toto+json"), key.public.key)


def test_too_long_an_envelope_is_neither_made_nor_read(key: DeviceKey) -> None:
    long = report(key.public.device, models=8, tensors=64)
    assert MOST_REPORT_BYTES * 3 // 4 < len(to_bytes(long)) < MOST_REPORT_BYTES
    with pytest.raises(ReportError, match="at most"):
        signed(long, key)
    with pytest.raises(ReportError, match=f"at most {MOST_REPORT_BYTES} bytes"):
        verified(b" " * (MOST_REPORT_BYTES + 1), key.public.key)


@pytest.mark.parametrize(
    "change",
    [
        {"payload": "?"},
        {"payload": base64.b64encode(b"{}").decode()},
        {"payload": 1},
        {"payloadType": ["x"]},
        {"signatures": []},
        {"signatures": None},
        {"signatures": [{"keyid": "a" * 64}]},
        {"signatures": [{"keyid": "a" * 64, "sig": "AAAA"}]},
        {"signatures": [{"keyid": "a" * 64, "sig": "AAAA", "more": 1}]},
        {"signatures": [{"keyid": 1, "sig": "AAAA"}] * 2},
        {"more": 1},
    ],
)
def test_a_malformed_envelope_is_refused(key: DeviceKey, change: dict[str, Any]) -> None:
    document = json.loads(signed(report(key.public.device), key)) | change
    with pytest.raises(ReportError, match="envelope"):
        verified(json.dumps(document).encode(), key.public.key)


def test_a_changed_payload_is_refused(key: DeviceKey) -> None:
    document = json.loads(signed(report(key.public.device), key))
    other = to_bytes(replace(report(key.public.device), number=2))
    document["payload"] = base64.b64encode(other).decode()
    with pytest.raises(ReportError, match="must be signed"):
        verified(json.dumps(document).encode(), key.public.key)


def test_whatever_comes_is_read_or_refused(key: DeviceKey) -> None:
    good = signed(report(key.public.device), key)

    @settings(max_examples=60, deadline=None)
    @given(st.binary(max_size=50), st.integers(0, len(good) - 1))
    def check(data: bytes, at: int) -> None:
        for each in (data, good[:at] + data + good[at + len(data) + 1 :], good[:at]):
            with pytest.raises(ReportError):
                verified(each, key.public.key)

    check()
