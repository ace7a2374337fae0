"""Parts of a message's content in an agent file → parts of ours."""

import base64

from letta_grpc.gateway.faces.letta.fields import Body
from letta_grpc.v1 import messages_pb2 as pb

# What a stored picture may be: messages.proto.
_PICTURES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})


def parts_of(content: object) -> list[Body]:
    """Return the parts of a content, which may be a text."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []


def part_in(part: Body) -> pb.ContentPart | None:
    """Return a part as ours; None for one that has no place."""
    match part:
        case {"type": "text", "text": str(text)}:
            return pb.ContentPart(text=text, signature=str(part.get("signature") or ""))
        case {"type": "image", "source": {"data": str(data), "media_type": str(media_type)}}:
            return _picture(data, media_type)
        case _:
            return _thought(part)


def _picture(data: str, media_type: str) -> pb.ContentPart | None:
    if not data or media_type not in _PICTURES:
        return None
    try:
        return pb.ContentPart(image=pb.Image(data=base64.b64decode(data, validate=True), media_type=media_type))
    except ValueError:
        return None


def _thought(part: Body) -> pb.ContentPart | None:
    match part:
        case {"type": "reasoning", "reasoning": str(text)}:
            return pb.ContentPart(reasoning=text, signature=str(part.get("signature") or ""))
        case {"type": "redacted_reasoning", "data": str(data)}:
            return pb.ContentPart(redacted_reasoning=data)
        case {"type": "omitted_reasoning"}:
            return pb.ContentPart(omitted_reasoning=True)
        case {"type": "summarized_reasoning", "summary": list(pieces)}:
            text = "\n".join(str(piece.get("text") or "") for piece in pieces if isinstance(piece, dict))
            return pb.ContentPart(summarized_reasoning=text, signature=str(part.get("encrypted_content") or ""))
        case _:
            return None
