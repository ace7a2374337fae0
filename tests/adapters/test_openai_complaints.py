"""What vendors' words mean."""

import json
from datetime import UTC, datetime

import pytest

from letta_grpc.adapters.openai import OpenAIEndpoint
from letta_grpc.adapters.openai.failures import CallFailures
from letta_grpc.domain.errors import ContextWindowExceeded, ModelBadRequest, ModelFailure, ModelRateLimited

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
FAILURES = CallFailures(OpenAIEndpoint(name="acme", base_url="https://acme.test/v1", api_key="sk-secret"), "m1")

OVERFLOWS = {
    "openai": "Your input exceeds the context window of this model. Please adjust your input and try again.",
    "openai classic": "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
    "vllm": "You passed 8193 input tokens and requested 0 output tokens. However, the model's context length is only 8192 "
    "tokens, resulting in a maximum input length of 8192 tokens. Please reduce the length of the input prompt.",
    "vllm's engine": "The decoder prompt (length 9000) is longer than the maximum model length of 8192.",
    "sglang": "The input (131123 tokens) is longer than the model's context length (131072 tokens).",
    "xai": "This model's maximum prompt length is 131072 but the request contains 537812 tokens",
    "bedrock": "The model returned the following errors: Input is too long for requested model.",
    "litellm": "litellm.ContextWindowExceededError: litellm.BadRequestError: no room left",
    "lm studio": "The number of tokens to keep from the initial prompt is greater than the context length. Try to load the "
    "model with a larger context length, or provide a shorter input",
    "lm studio, too": "Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded with "
    "context length of only 4096 tokens, which is not enough.",
    "kimi": "Invalid request: Your request exceeded model token limit: 262144",
    "minimax": "invalid params, context window exceeds limit (2013)",
    "copilot": "prompt token count of 128001 exceeds the limit of 128000",
    "anthropic": "prompt is too long: 213462 tokens > 200000 maximum",
    "anthropic, with the answer": "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000, decrease "
    "input length or `max_tokens` and try again",
    "anthropic, as a sum": "prompt is too long (213462 > 200000)",
    "gemini": "The input token count (1196265) exceeds the maximum number of tokens allowed (1048575).",
    "llama.cpp": "request (9000 tokens) exceeds the available context size (4096 tokens), try increasing it",
    "groq": "Please reduce the length of the messages or completion.",
    "mistral": "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
    "ollama": "prompt too long; exceeded max context length by 123 tokens",
    "ollama, too": "the input length exceeds the context length",
    "tgi": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4097. Given: 5000 `inputs` tokens and 20 "
    "`max_new_tokens`",
    "tgi, too": "Input validation error: `inputs` must have less than 4096 tokens. Given: 5000",
    "dashscope": "<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 129024]",
    "cohere": "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 5000.",
    "zhipu": "Prompt exceeds max length",
    "volcengine": "Total tokens of image and text exceed max message tokens.",
}


def refused(words: str, status: int = 400) -> ModelFailure:
    body = {"error": {"message": words, "type": "invalid_request_error", "code": status}}
    return FAILURES.refused(status, {}, json.dumps(body).encode(), NOW)


@pytest.mark.parametrize("words", OVERFLOWS.values(), ids=OVERFLOWS)
def test_a_context_that_is_too_long_is_known_in_an_answer_and_inside_of_one(words: str) -> None:
    assert type(refused(words)) is ContextWindowExceeded
    assert type(FAILURES.in_answer({"message": words})) is ContextWindowExceeded
    assert type(FAILURES.in_answer(words)) is ContextWindowExceeded


@pytest.mark.parametrize(
    "words",
    [
        "Invalid 'user': string too long. Expected a string with maximum length 64, but got a string with length 70 instead.",
        "max_tokens: 210000 > 64000, which is the maximum allowed number of output tokens for this model",
        "the number of images exceeds the limit of 20",
        "the number of output tokens exceeds the limit of 8192",
        "max_tokens exceeds the limit of 8192",
        "Unsupported parameter: 'context_window' is not supported with this model.",
        "`tools` has x " * 100 + OVERFLOWS["openai"],
    ],
)
def test_what_is_wrong_with_the_request_otherwise_is_not_taken_for_it(words: str) -> None:
    assert type(refused(words)) is ModelBadRequest


@pytest.mark.parametrize(
    "words",
    [
        "Your token usage exceeds the limit of 10,000 tokens per minute",
        "Too many tokens, please wait before trying again.",
        "Requests have exceeded token rate limit of your current pricing tier.",
    ],
)
def test_a_limited_rate_of_tokens_is_not_taken_for_it(words: str) -> None:
    assert type(refused(words, 429)) is ModelRateLimited


def asking_for(output: int, window: int = 8192, said: int = 10) -> dict[str, str]:
    return {
        "vllm": f"'max_tokens' or 'max_completion_tokens' is too large: {output}. This model's maximum context length is "
        f"{window} tokens and your request has {said} input tokens ({output} > {window} - {said}).",
        "vllm's new": f"You passed {said} input tokens and requested {output} output tokens. However, the model's context "
        f"length is only {window} tokens, resulting in a maximum input length of {window - output} tokens.",
        "vllm's newest": f"This model's maximum context length is {window} tokens. However, you requested {output} output "
        f"tokens and your prompt contains {said} input tokens, for a total of {output + said} tokens.",
        "openai": f"This model's maximum context length is {window} tokens. However, you requested {output + said} tokens "
        f"({said} in the messages, {output} in the completion). Please reduce the length of the messages or completion.",
        "openrouter": f"This endpoint's maximum context length is {window} tokens. However, you requested about "
        f"{output + said} tokens ({said} of text input, {output} in the output).",
        "sglang": f"Requested token count exceeds the model's maximum context length of {window} tokens. You requested a "
        f"total of {output + said} tokens: {said} tokens from the input messages and {output} tokens for the completion.",
        "anthropic": f"input length and `max_tokens` exceed context limit: {said} + {output} > {window}",
        "tgi": f"`inputs` tokens + `max_new_tokens` must be <= {window}. Given: {said} `inputs` tokens and {output} "
        "`max_new_tokens`",
    }


def overflow(words: str) -> ModelFailure:
    error = {"message": words, "type": "invalid_request_error", "code": "context_length_exceeded"}
    return FAILURES.refused(400, {}, json.dumps({"error": error}).encode(), NOW)


@pytest.mark.parametrize("words", [*asking_for(100_000).values(), *asking_for(8192).values()])
def test_an_output_that_alone_fills_the_window_is_no_reason_to_shorten_the_context(words: str) -> None:
    for failure in (overflow(words), FAILURES.in_answer({"message": words})):
        assert type(failure) is ModelBadRequest
        assert words[:100] in failure.message


@pytest.mark.parametrize("words", [*asking_for(1000, said=8000).values(), *asking_for(8191, said=2).values()])
def test_a_context_that_is_too_long_for_the_output_is_too_long(words: str) -> None:
    assert type(overflow(words)) is ContextWindowExceeded
