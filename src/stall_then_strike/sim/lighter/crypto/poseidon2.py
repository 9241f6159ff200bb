"""Poseidon2 over the Goldilocks field, width 12: the venue's hash. Pure.

A state of twelve words goes through an external layer, 4 full rounds, 22 partial rounds and 4 full rounds. The sponge
takes eight words at a time, without padding; the first five words are the hash.

Source: the venue's published circuits and signer (poseidon_crypto, Poseidon2 for Goldilocks). Proved on transactions
that the official signer made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from stall_then_strike.sim.lighter.crypto.goldilocks import P

_EXTERNAL: Final = """
    D70193D17AB3B7D6 A2C3662A78A9162B 7A9FDA827556AD44 E8D5501818C99643
    4C7A8FCED4D5FD38 55AB38985C0C513D 28A17BD016210B0B 8F8277679EC32FA8
    768B3C3D68A460E9 872A022EB559D941 D1316DD4B3B97973 A7B608E578321000
    3FA02C87B0BEE026 7A38F0022E13C31E 00C054F3C5E8D20D 439F50F4BCA7242F
    4D0938AA57CD517F B2E03AC5FB6B9A7D E29D1F4237BEDCA8 05B7C844BC99B848
    91CC0B73F34E17ED 876E4427694BD755 67002AE0725C612D 05351F20E0B6315F
    2E3B9EF5457EB60B D9AC17618C3783DD 0807528AD8874BCF C78D546A455D2A0E
    F8B930C81E2481F0 712707D8DFF3B041 DCB8C0AA0B9D34C3 9BADDBDF2EE3A468
    2DD16D50C5176C78 89EAC5CFBC075CD3 2A741DEA181587F3 1A4D6AA85A113D84
    4D736286A2387E34 8BAD5DFC4FCB3EE3 84FBD03ADB77C56A 8D5CDD1A23EC53A2
    036F08F08FFF28EC B717A3F4DBDFB443 58A074B5509D645C F92BF834E4B87718
    1541C3A0BAA5AC4B 22149E6783E67692 9BE8B5D9E112476F 41E0969F62BABB76
    BC585AD3B9443DBB F28DD3206975CBB1 DD8815E53CA045E0 DE82C416B9E701BA
    C5CB875233AFA025 7212697CD897FFA9 67844790AA63CFD7 DC0B9CFA97FE65C3
    E8FE091869A82070 62902BB2E413C6D1 29F9F5001FB84F57 BE1014796EF5F8BE
    71FEB53E9BDBA19C 251054F592EBB71C E1A57643A4BB284B A4BA6F87A45B739B
    2C1FCADE0B958C49 BBB424CDA9A3E360 2CA647354C5F3F54 C9277B64D152E084
    DBC9AC97445EFF17 6F6CDF3198969F70 1DE29D14FA76D8F1 73337458A8CC1D19
    B87E775E2FB3AB23 F166A1C7A565C80B B24BE06F426C747F C281E8C49482CE00
    51974C3B3B726C2D 87444CF8CAF7D619 7C362F827A580CED 9567AF14667647A0
    CBF0473CBEC54E37 E3209DEDEFF4F620 D43AD94E45A4C4EE 976981EE73F41768
    EF707A224E207258 2FC779E10E6362EE 29B5EE60AD8C891F 96B37B39D8BFD667
    877DF68A8B22E733 5C41746F562C8D9F 0C9D76751052B71A FB3465341BF1C087
    A0D14DC614D15EB1 DC27D17136906FA6 482E163B05EC397F 0273A462992366EF
"""
_INTERNAL: Final = """
    A571418D95897B60 8F32676574FCF6D3 731102D4E3FB1BBE 0330F08328A82D2B
    7F0449B6557F785D 62F06210658DCBCB D5A98AF9F89C458B 77EC69083A346385
    EF7CA48BBC27F890 53E9652F61EAC532 A71C634ABFF4F0CC B16F5F0D7E28EA29
    C9DDE31D0A003AB2 2DDADF9775902533 E4FA73FB16408B47 90242EBC00D2EE59
    BB02DFFD9F381982 DEA328364C50907C 1395D3B924857CF8 7D3EAD0D5AEC04E6
    C2F12BE3FED74668 0BA3C338F8C3D285
"""
_DIAGONAL: Final = """
    C3B6C08E23BA9300 D84B5DE94A324FB6 0D0C371C5B35B84F 7964F570E7188037
    5DAF18BBD996604B 6743BC47B9595257 5528B9362C59BB70 AC45E25B7127B68B
    A2077D7DFBB606B5 F3FAAC6FAEE378AE 0C6388B51545E883 D27DBB6944917B60
"""
_RATE: Final = 8
_WIDTH: Final = 12


def _words(text: str) -> tuple[int, ...]:
    return tuple(int(word, 16) for word in text.split())


_ADDED: Final = tuple(_words(_EXTERNAL)[n : n + _WIDTH] for n in range(0, 8 * _WIDTH, _WIDTH))
_ADDED_INSIDE: Final = _words(_INTERNAL)
_SCALES: Final = _words(_DIAGONAL)


def permute(state: Sequence[int]) -> tuple[int, ...]:
    """The permutation of twelve words below P."""
    words = _mix(state)
    for added in _ADDED[:4]:
        words = _full_round(words, added)
    words = _partial_rounds(words)
    for added in _ADDED[4:]:
        words = _full_round(words, added)
    return words


def hash_words(words: Sequence[int], size: int = 5) -> tuple[int, ...]:
    """The first ``size`` words of the sponge over ``words``, which are reduced modulo P (a negative one wraps)."""
    state: tuple[int, ...] = (0,) * _WIDTH
    for start in range(0, len(words), _RATE):
        chunk = [word % P for word in words[start : start + _RATE]]
        state = permute((*chunk, *state[len(chunk) :]))
    return state[:size]


def _full_round(words: Sequence[int], added: Sequence[int]) -> tuple[int, ...]:
    sums = [word + more for word, more in zip(words, added, strict=True)]
    return _mix([_seventh_power(word) for word in sums])


def _seventh_power(word: int) -> int:
    square = word * word % P
    return square * square % P * square % P * word % P


def _mix(words: Sequence[int]) -> tuple[int, ...]:
    """The external layer: a circulant inside each block of four, then each word gets the sum over the blocks."""
    blocks: list[int] = []
    for n in (0, 4, 8):
        a, b, c, d = words[n : n + 4]
        total = a + b + c + d
        blocks += (total + a + 2 * b, total + b + 2 * c, total + c + 2 * d, total + d + 2 * a)
    sums = [blocks[n] + blocks[n + 4] + blocks[n + 8] for n in range(4)]
    return tuple((word + sums[n & 3]) % P for n, word in enumerate(blocks))


def _partial_rounds(words: Sequence[int]) -> tuple[int, ...]:
    first, *rest = words
    scale, *scales = _SCALES
    for added in _ADDED_INSIDE:
        first = _seventh_power(first + added)
        total = first + sum(rest)
        rest = [(word * by + total) % P for word, by in zip(rest, scales, strict=True)]
        first = (first * scale + total) % P
    return (first, *rest)
