"""A chain's endpoints as one line on the health page."""

from __future__ import annotations

from seamark.core.errors import SeamarkError
from seamark.evm.rpc.chain import Chain
from seamark.evm.rpc.pool import Member
from seamark.runtime.health import Health

__all__ = ["chain_health"]


async def chain_health(chain: Chain) -> Health:
    """Down when no endpoint tells the head, degraded when an endpoint is of no use now, and why."""
    try:
        head = await chain.header("latest")
    except SeamarkError as error:
        return Health.down(str(error))
    members = chain.pool.members
    trouble = [f"{member.label} {problem}" for member in members if (problem := _problem(chain, member))]
    detail = f"block {head.number if head else '?'}, {len(members) - len(trouble)} of {len(members)} endpoints"
    return Health.degraded(f"{detail}: {'; '.join(trouble)}") if trouble else Health.ok(detail)


def _problem(chain: Chain, member: Member) -> str:
    if member.wrong_chain is not None:
        return f"serves chain id {member.wrong_chain.actual}"
    behind = chain.pool.behind(member)
    if behind > chain.pool.max_lag:
        return f"is {behind} blocks behind"
    if beyond := chain.pool.beyond(member):
        return f"claims a head {beyond} blocks beyond the others"
    return "does not answer" if member.resting else ""
