"""What holds for any chat model behind an OpenAI-compatible server."""

REQUIREMENTS = {
    "real_model": "A server that nobody here wrote answers through gRPC: token by token, with usage, with its list of models.",
    "real_model_cancel": "CancelRun lets go of the model at once, and what it had said stays.",
    "model_list": "Models and providers are listed; one that does not answer is named and hides no other.",
}
