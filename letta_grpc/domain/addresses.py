"""IP addresses that a caller may have this server speak to."""

import ipaddress


def is_private(address: str) -> bool:
    """Say whether an IP address is one that the whole Internet does not reach."""
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return not (mapped or found).is_global
