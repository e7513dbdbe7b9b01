"""Signers: who holds a key and never shows it. Raw keys and keystore V3 files."""

from seamark.evm.signers.keystore import open_keystore
from seamark.evm.signers.opening import SignerSource, open_signer
from seamark.evm.signers.raw_key import RawKeySigner

__all__ = ["RawKeySigner", "SignerSource", "open_keystore", "open_signer"]
