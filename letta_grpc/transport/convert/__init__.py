"""Protobuf and domain, each way, once.

Parsing is validation: whatever a request breaks is collected into one InvalidRequest with proto field paths.
"""
