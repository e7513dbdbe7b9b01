"""The reporting network: several nodes observe, sign and agree off chain, one of them transmits (OCR2).

plugin, schedule, signatures   what is decided, by whom, signed how: pure
protocol                       pacemaker, rounds, finality, transmission: (state, event, now) -> (state, effects)
codec, config, digest, wire    the exact bytes, as the published OCR2 contract and its clients have them
"""
