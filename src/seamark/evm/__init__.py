"""All that knows Ethereum: JSON-RPC, ABI, the log stream, transactions, signers."""
