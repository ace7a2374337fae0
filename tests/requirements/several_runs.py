"""What a stream of several runs promises."""

REQUIREMENTS = {
    "several_interleaved": "Runs on one stream come in turn; each is whole by itself, and none waits for another.",
    "several_refused": "A start that is refused is told by its place and harms no other; a broken rule starts nothing.",
    "converse_turns": "Starts, answers, followings and cancels go over one stream; half-closing it ends nothing.",
    "converse_refused": "A request that is refused is told by its tag, and ends neither the stream nor what runs on it.",
    "converse_survives": "The runs of a stream that is cut go on.",
    "converse_bounded": "A stream follows at most 64 runs at once.",
}
