"""The venue's cryptography in pure Python: what proves that a transaction is its owner's. Pure.

Each module knows only those above it.

    goldilocks   the field and its extension of degree five
    poseidon2    the hash
    ecgfp5       the curve
    schnorr      keys, signatures and the hash of auth tokens
"""
