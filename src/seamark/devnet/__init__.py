"""A local world made of real parts: chains, the published CCIP contracts, their oracle network's role, price venues."""
