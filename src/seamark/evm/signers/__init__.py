"""Signers: who holds a key and never shows it, in this process or at a service, with a policy in front."""

from seamark.evm.signers.keystore import open_keystore
from seamark.evm.signers.opening import SignerSource, open_backend, open_guarded, open_signer
from seamark.evm.signers.policy import PolicyRefused, PolicySigner
from seamark.evm.signers.raw_key import RawKeySigner

__all__ = [
    "PolicyRefused",
    "PolicySigner",
    "RawKeySigner",
    "SignerSource",
    "open_backend",
    "open_guarded",
    "open_keystore",
    "open_signer",
]
