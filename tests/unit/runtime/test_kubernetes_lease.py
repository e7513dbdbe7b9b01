"""A Lease of Kubernetes as a register: the API's own conflicts keep replicas apart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from seamark.core.errors import SettingsError, TemporaryError
from seamark.runtime.http import make_session
from seamark.runtime.kubernetes_lease import TOKEN_S, KubernetesLease, find_access
from seamark.runtime.leadership import Record, RegisterCandidate, Terms
from tests.support.clock import FakeClock
from tests.support.kubernetes import KubernetesApi

NAME = "publisher"


@dataclass
class Cluster:
    api: KubernetesApi
    session: aiohttp.ClientSession
    account: Path
    clock: FakeClock

    def lease(self, name: str = NAME) -> KubernetesLease:
        access = find_access(api=self.api.url, account=self.account, environment={})
        return KubernetesLease(name, access, session=self.session, clock=self.clock, timeout_s=5.0)


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with KubernetesApi() as api, make_session() as session:
        (tmp_path / "token").write_text(api.token + "\n")
        (tmp_path / "namespace").write_text(api.namespace)
        yield Cluster(api, session, tmp_path, FakeClock())


# ---- the register ----------------------------------------------------------------------------------------------------


async def test_it_is_made_as_other_electors_make_it(cluster: Cluster) -> None:
    lease = cluster.lease()
    assert await lease.read() is None
    written = await lease.write(Record("one", 1, 6.5), None)
    assert written is not None
    assert await lease.read() == written
    found = cluster.api.lease(NAME)
    assert found["spec"] == {
        "holderIdentity": "one",
        "leaseDurationSeconds": 7,  # whole seconds, never shorter
        "acquireTime": "2023-11-14T22:13:20.000000Z",
        "renewTime": "2023-11-14T22:13:20.000000Z",
        "leaseTransitions": 1,
    }
    assert (written.holder, written.token, written.duration) == ("one", 1, 7.0)


async def test_a_renewal_keeps_when_it_was_taken_and_a_new_term_does_not(cluster: Cluster) -> None:
    lease = cluster.lease()
    first = await lease.write(Record("one", 1, 6.0), None)
    cluster.clock.advance(2)
    second = await lease.write(Record("one", 1, 6.0), first)
    assert cluster.api.lease(NAME)["spec"]["acquireTime"] == "2023-11-14T22:13:20.000000Z"
    assert cluster.api.lease(NAME)["spec"]["renewTime"] == "2023-11-14T22:13:22.000000Z"
    await lease.write(Record("two", 2, 6.0), second)
    assert cluster.api.lease(NAME)["spec"]["acquireTime"] == "2023-11-14T22:13:22.000000Z"


async def test_who_read_an_older_version_writes_nothing(cluster: Cluster) -> None:
    one, two = cluster.lease(), cluster.lease()
    first = await one.write(Record("one", 1, 6.0), None)
    await two.read()
    second = await one.write(Record("one", 1, 6.0), first)
    assert await two.write(Record("two", 2, 6.0), first) is None
    assert await one.read() == second


async def test_of_two_that_make_it_at_once_one_does(cluster: Cluster) -> None:
    written = await asyncio.gather(
        cluster.lease().write(Record("one", 1, 6.0), None), cluster.lease().write(Record("two", 1, 6.0), None)
    )
    assert sum(record is not None for record in written) == 1


async def test_what_others_wrote_into_the_object_stays(cluster: Cluster) -> None:
    lease = cluster.lease()
    await lease.write(Record("one", 1, 6.0), None)
    cluster.api.touch(NAME, team="oracles")
    record = await lease.read()
    await lease.write(Record("one", 1, 6.0), record)
    assert cluster.api.lease(NAME)["metadata"]["labels"] == {"team": "oracles"}


async def test_a_lease_that_was_deleted_meanwhile_is_written_by_nobody(cluster: Cluster) -> None:
    lease = cluster.lease()
    record = await lease.write(Record("one", 1, 6.0), None)
    cluster.api.leases.clear()
    assert await lease.write(Record("one", 1, 6.0), record) is None
    assert await lease.read() is None


async def test_a_lease_without_a_holder_is_free(cluster: Cluster) -> None:
    """As kubectl or another program leaves it."""
    lease = cluster.lease()
    await lease.write(Record("one", 1, 6.0), None)
    cluster.api.lease(NAME)["spec"] = {}
    record = await lease.read()
    assert record is not None
    assert (record.holder, record.token) == ("", 0)


async def test_given_back_it_names_nobody_and_ends_soon(cluster: Cluster) -> None:
    lease = cluster.lease()
    record = await lease.write(Record("one", 3, 6.0), None)
    await lease.write(Record("", 3, 6.0), record)
    spec = cluster.api.lease(NAME)["spec"]
    assert (spec["holderIdentity"], spec["leaseDurationSeconds"], spec["leaseTransitions"]) == ("", 1, 3)


async def test_an_election_on_it(cluster: Cluster) -> None:
    terms = Terms(duration=6.0, renew=1.5)
    one, two = (RegisterCandidate(name, cluster.lease(), terms=terms, clock=cluster.clock) for name in ("one", "two"))
    assert (await one.stand(leads=False)).token == 1
    assert (await two.stand(leads=False)).holder == "one"
    assert (await one.stand(leads=True)).token == 1
    cluster.api.touch(NAME, team="oracles")
    assert (await one.stand(leads=True)).token == 1, "an edit by somebody else is no loss"
    assert (await two.stand(leads=False)).holder == "one"
    cluster.clock.advance(6.0)
    assert (await two.stand(leads=False)).token == 2
    assert (await one.stand(leads=True)).holder == "two"
    await two.resign()
    assert (await one.stand(leads=False)).token == 3


async def test_one_request_per_renewal(cluster: Cluster) -> None:
    one = RegisterCandidate("one", cluster.lease(), terms=Terms(6.0, 1.5), clock=cluster.clock)
    await one.stand(leads=False)
    cluster.api.calls.clear()
    for _ in range(5):
        await one.stand(leads=True)
    assert cluster.api.calls == {"update": 5}


# ---- who asks --------------------------------------------------------------------------------------------------------


async def test_a_new_token_is_read_from_the_file_when_the_old_one_is_refused(cluster: Cluster) -> None:
    lease = cluster.lease()
    await lease.read()
    cluster.api.token = "another"
    (cluster.account / "token").write_text("another")
    await lease.read()


async def test_the_token_is_read_again_now_and_then(cluster: Cluster) -> None:
    lease = cluster.lease()
    await lease.read()
    cluster.api.token = "another"
    (cluster.account / "token").write_text("another")
    cluster.clock.advance(TOKEN_S + 1)
    cluster.api.calls.clear()
    await lease.read()
    assert cluster.api.calls == {"get": 1}


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda api: setattr(api, "token", "another"), "401 Unauthorized; check the service account's token"),
        (lambda api: api.allowed.clear(), "403 Forbidden; let the service account get, create and update leases"),
        (lambda api: setattr(api, "failing", 503), "503 ServiceUnavailable"),
    ],
)
async def test_what_keeps_us_out_is_temporary_and_says_what_to_do(cluster: Cluster, spoil: object, says: str) -> None:
    lease = cluster.lease()
    spoil(cluster.api)  # type: ignore[operator]
    with pytest.raises(TemporaryError, match=says) as caught:
        await lease.read()
    assert "a-token" not in str(caught.value)


async def test_an_answer_that_is_no_lease_is_temporary(cluster: Cluster) -> None:
    lease = cluster.lease()
    cluster.api.leases[cluster.api.namespace, NAME] = {"kind": "Lease"}
    with pytest.raises(TemporaryError, match="the answer for Lease publisher is none"):
        await lease.read()


async def test_a_wrong_path_is_not_taken_for_a_lease_that_does_not_exist(cluster: Cluster) -> None:
    access = find_access(api=f"{cluster.api.url}/elsewhere", account=cluster.account, environment={})
    lease = KubernetesLease(NAME, access, session=cluster.session, clock=cluster.clock, timeout_s=5.0)
    with pytest.raises(TemporaryError, match="404; check the namespace and the address"):
        await lease.read()


# ---- finding the way -------------------------------------------------------------------------------------------------


def test_a_pod_finds_everything(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t")
    (tmp_path / "namespace").write_text("oracles\n")
    environment = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "6443"}
    access = find_access(account=tmp_path, environment=environment)
    assert (access.api, access.namespace) == ("https://10.0.0.1:6443", "oracles")
    assert access.tls is not None
    environment["KUBERNETES_SERVICE_HOST"] = "fd00::1"
    assert find_access(account=tmp_path, environment=environment).api == "https://[fd00::1]:6443"


@pytest.mark.parametrize(
    ("given", "setting"),
    [
        ({}, "oracle.replicas.kubernetes.api"),
        ({"api": "https://k"}, "oracle.replicas.kubernetes.namespace"),
        ({"api": "https://k", "namespace": "n"}, "oracle.replicas.kubernetes.token_file"),
    ],
)
def test_outside_of_a_pod_the_missing_setting_is_named(tmp_path: Path, given: dict[str, str], setting: str) -> None:
    with pytest.raises(SettingsError) as caught:
        find_access(**given, account=tmp_path, environment={})
    assert caught.value.setting == setting


def test_a_file_that_is_no_authority_is_named(tmp_path: Path) -> None:
    for name in ("token", "namespace", "ca.crt"):
        (tmp_path / name).write_text("x")
    with pytest.raises(SettingsError, match="holds no authority"):
        find_access(api="https://k", account=tmp_path, environment={})
