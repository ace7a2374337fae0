"""What holds for captured turns and agent files."""

REQUIREMENTS = {
    "capture_kept": "A captured turn is in the history as it was said, users first, and the model is shown it from then on.",
    "capture_events": "A capture is a run of its own kind: run_started, message_completed, run_finished; no model is asked.",
    "capture_agent": "Without an agent a turn belongs to the capture agent of its key, made once however many ask for it.",
    "capture_queue": "A capture waits behind whatever its conversation is at.",
    "export_import": "An imported agent is shown what the exported one was shown, and has all that was its own.",
    "import_whole": "A file with anything wrong makes nothing, and each wrong field is named.",
    "export_secrets": "No secret's value is in a file.",
}
