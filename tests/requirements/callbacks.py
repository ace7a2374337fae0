"""What is promised to callers who are told of a run's end."""

REQUIREMENTS = {
    "callback_told": "Who is named as callback_url is told of the run's end, whatever end it was, also after a restart.",
    "callback_again": "A receiver that does not take it is told again; GetRun says what came of it.",
    "callback_traced": "What a receiver is told belongs to the trace in which the run was started.",
    "callback_signed": "Where the operator sets secrets, each attempt is signed by all of them, as Standard Webhooks says.",
    "callback_addresses": "Receivers at private addresses are refused before anything starts, unless the settings allow them.",
}
