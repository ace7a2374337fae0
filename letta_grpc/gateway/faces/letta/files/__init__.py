"""The reference server's agent file, `.af`: JSON with agents, and blocks, tools and groups that they share by id.

reading.py   an agent of a file → an agent file of ours; imported_tools.py   the tools that come with it
history.py   its messages → ours; parts.py   their parts; writing.py   the other way round
exporting.py an agent file of ours of what is here, however large
"""
