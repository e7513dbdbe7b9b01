"""Settings of publishers that stand in for each other.

    oracle:
      replicas: {lease: database}
      replicas: {lease: kubernetes, duration: 8s, kubernetes: {namespace: oracles}}

All replicas have the same settings. Without `replicas` there is one publisher, and nothing of this runs.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from seamark.core.units import Seconds
from seamark.evm.fields import RpcUrl
from seamark.runtime.settings import Duration, SettingsModel

__all__ = ["KubernetesSettings", "Lease", "ReplicaSettings"]

TRIES: Final = 3
"""Renewals that fit into a lease: two may fail before the leader has to stop."""

_NAME: Final = r"^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$"  # what Kubernetes takes as a name, up to the length of a label


class Lease(StrEnum):
    """Where the replicas agree who leads."""

    DATABASE = "database"
    POSTGRESQL_LOCK = "postgresql_lock"
    KUBERNETES = "kubernetes"


class KubernetesSettings(SettingsModel):
    """Where the Lease is; in a pod nothing need be set."""

    namespace: str | None = Field(None, pattern=_NAME)
    """The pod's own, where missing."""

    api: RpcUrl | None = None
    """The API server's address; the pod's own cluster, where missing."""

    token_file: str | None = None
    """The service account's token, where it is not at its usual place."""

    ca_file: str | None = None
    """PEM file with the authority of the API server, where it is not at its usual place."""


class ReplicaSettings(SettingsModel):
    """Several publishers for the same feeds, of which one leads."""

    lease: Lease
    """database: a row of the shared database; postgresql_lock: a session lock of PostgreSQL; kubernetes: a Lease."""

    duration: Annotated[Duration, Field(ge=1.0, le=60.0)] = Seconds(6.0)
    """After so long without renewal another replica takes over."""

    renew: Annotated[Duration, Field(ge=0.1)] = Seconds(1.5)
    """How often the leader renews; the others look twice as often."""

    name: str | None = Field(None, pattern=_NAME)
    """Of the lease: replicas are those with the same name. "publisher-" and the signer's address, where missing; set it
    where each replica has a signer of its own."""

    identity: str | None = Field(None, min_length=1, max_length=100)
    """What this replica is called in logs and in the lease; host and process, where missing."""

    kubernetes: KubernetesSettings = KubernetesSettings()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.renew * TRIES > self.duration:
            raise ValueError("renew is too long: three renewals must fit into duration; lower renew or raise duration")
        return self
