"""Which hosts are this machine, and nothing else."""

from __future__ import annotations

from ipaddress import ip_address


def is_own_machine(host: str) -> bool:
    """Whether a host name or address can only mean this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
