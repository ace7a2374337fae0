"""Models that answer from a script, say so in their name, and need no key.

actions.py   what a scripted model does, one after the other
playing.py   actions → batches of chunks
script.py    `scripted/script`: the last user text is a JSON script
demo.py      `scripted/demo`: a tiny agent by rules; `scripted/echo` beside it
model.py     `ScriptedModel([...])` for tests
provider.py  `scripted/…` for the catalog
"""

from letta_grpc.adapters.scripted.model import ScriptedModel, Turn
from letta_grpc.adapters.scripted.provider import ScriptedProvider

__all__ = ["ScriptedModel", "ScriptedProvider", "Turn"]
