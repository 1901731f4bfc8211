"""Claims of release numbers in any store: one holder for each number, one end for each claim, and dead claimants."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tasks.delivery.claims import ReleaseClaims
from tasks.errors import SystemFailure
from tasks.repository import ObjectStore
from tests.tasks.processes import line, running

CLAIMANT = """
    import json
    from dataclasses import asdict
    from tasks.processes import Process

    print(json.dumps(asdict(Process.this())), flush=True)
"""


@pytest.fixture
def claims(store: ObjectStore) -> ReleaseClaims:
    return ReleaseClaims(store)


def test_a_number_is_taken_once_and_stays_its_holders(claims: ReleaseClaims) -> None:
    assert claims.claim("m", "bench", 1, "ada")
    assert not claims.claim("m", "bench", 1, "grace")
    assert claims.claim("m", "bench", 1, "ada") and claims.claim("m", "other", 1, "grace")


def test_of_many_who_claim_at_once_one_gets_the_number(claims: ReleaseClaims) -> None:
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda holder: claims.claim("m", "bench", 7, f"holder {holder}"), range(16)))
    assert sum(got) == 1


def test_a_claim_ends_once_and_for_good(claims: ReleaseClaims) -> None:
    for number in (1, 2, 10):
        claims.claim("m", "bench", number, "ada")
    assert claims.settle("m", "bench", 2, "released", {"by": "ada"})
    assert not claims.settle("m", "bench", 2, "abandoned", {})
    assert claims.settle("m", "bench", 2, "released", {})
    found = claims.claims("m", "bench")
    assert [(each.release, each.end) for each in found] == [(1, None), (2, "released"), (10, None)]
    assert found[1].note == {"by": "ada"}
    assert claims.claims("m", "other") == []


def test_a_claim_of_a_process_that_ended_is_dead_and_one_elsewhere_is_after_its_lease(claims: ReleaseClaims) -> None:
    claims.claim("m", "bench", 1, "ada")
    (claim,) = claims.claims("m", "bench")
    assert not claim.is_dead(time.time(), 900)
    with running(CLAIMANT) as process:
        said = line(process)
        process.wait()

    ended = replace(claim, process=type(claim.process)(**json.loads(said)))
    assert ended.is_dead(time.time(), 900)
    elsewhere = replace(claim, process=replace(claim.process, machine="another"))
    assert not elsewhere.is_dead(claim.when + 899, 900) and elsewhere.is_dead(claim.when + 901, 900)


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b'{"holder": "h"}'])
def test_a_claim_that_nobody_here_wrote_is_told(claims: ReleaseClaims, store: ObjectStore, content: bytes) -> None:
    store.create(".claims/m/bench/1.json", content)
    with pytest.raises(SystemFailure, match="restore it, or remove it by hand"):
        claims.claims("m", "bench")
