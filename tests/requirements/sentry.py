"""What is reported to Sentry."""

REQUIREMENTS = {
    "sentry_off": "Without a DSN nothing is loaded or reported; a wrong one keeps no server from starting.",
    "sentry_errors": "Errors in the log and failed runs are reported, without what people say.",
    "sentry_harmless": "A Sentry that is away or refuses harms nobody.",
}
