"""What work in the background promises."""

REQUIREMENTS = {
    "sleeptime_after_turns": "After every so many turns of an agent its helpers are told what was said since.",
    "sleeptime_foreground": "Work in the background delays and fails no turn, and is followed by none itself.",
    "sleeptime_lost_nothing": "What a server that died has not started the next one starts, and nothing twice.",
}
