"""The tools that every server has: an agent edits its memory by them, finds what was said or noted, and calls other agents.

A new tool is one annotated function whose first parameter is the `Workplace`, and its name in `registry.py`.
"""
