"""Addresses: those that a caller may have this server speak to, and those that it can be reached at."""

import ipaddress


def is_private(address: str) -> bool:
    """Say whether an IP address is one that the whole Internet does not reach."""
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return not (mapped or found).is_global


def is_private_host(host: str) -> bool:
    """Say whether the host of a URL is private by its looks. A name may still be found to have a private address."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return is_private(host)
    except ValueError:
        return False


def is_loopback(listen: str) -> bool:
    """Say whether only this machine can connect to an address."""
    host = listen.rpartition(":")[0].strip("[]")
    if host == "localhost" or listen.startswith("unix:"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
