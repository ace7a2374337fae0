"""The tools by which an agent edits its memory and finds what it has said or noted.

A new tool is one annotated function whose first parameter is the `Workplace`, and its name in `registry.py`.
"""
