"""What holds for the shape of answers, and for pictures."""

REQUIREMENTS = {
    "shape_asked": "The provider is asked for the shape that `response_format` says, and the answer is held to it.",
    "shape_failed": "An answer that two repairs have not given its shape fails the run, with the reason INVALID_MODEL_OUTPUT.",
    "picture_shown": "A picture is stored with its data and sent to the model, wherever it came from.",
    "picture_refused": "A picture that cannot be had, or is none, refuses the start and names its field; nothing is stored.",
}
