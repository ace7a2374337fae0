"""Names by the semantic conventions for RPC and for generative AI. What they have no word for begins with `letta_grpc.`."""
# ruff: noqa: S105 - these tokens are counted, not kept secret

ERROR_TYPE = "error.type"

RPC_SYSTEM_NAME = "rpc.system.name"
RPC_METHOD = "rpc.method"
RPC_STATUS_CODE = "rpc.response.status_code"

OPERATION_NAME = "gen_ai.operation.name"
PROVIDER_NAME = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
REQUEST_STREAM = "gen_ai.request.stream"
REQUEST_TEMPERATURE = "gen_ai.request.temperature"
REQUEST_MAX_TOKENS = "gen_ai.request.max_tokens"
AGENT_ID = "gen_ai.agent.id"
CONVERSATION_ID = "gen_ai.conversation.id"
TOOL_NAME = "gen_ai.tool.name"
TOOL_CALL_ID = "gen_ai.tool.call.id"
TOOL_TYPE = "gen_ai.tool.type"
TIME_TO_FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
TOKEN_TYPE = "gen_ai.token.type"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
CACHE_READ_TOKENS = "gen_ai.usage.cache_read.input_tokens"
CACHE_CREATION_TOKENS = "gen_ai.usage.cache_creation.input_tokens"
REASONING_TOKENS = "gen_ai.usage.reasoning.output_tokens"

RUN_ID = "letta_grpc.run.id"
RUN_ATTEMPT = "letta_grpc.run.attempt"
STEP_INDEX = "letta_grpc.step.index"
CANCELLED = "letta_grpc.cancelled"
EVENTS_SENT = "letta_grpc.rpc.events_sent"
ERROR_REASON = "letta_grpc.error.reason"
FIRST_TOKEN_SPAN = "time_to_first_token"
FIRST_TOKEN_EVENT = "time_to_first_token_ms"
FIRST_TOKEN_MS = "ttft_ms"
TIME_TO_FIRST_EVENT = "letta_grpc.rpc.time_to_first_event"

# Providers that the conventions name otherwise than people do in settings.
_PROVIDERS = {
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "google": "gcp.gemini",
    "mistral": "mistral_ai",
    "moonshot": "moonshot_ai",
    "xai": "x_ai",
}


def provider_name(provider: str) -> str:
    """Return the conventions' name of a provider, its own where they have none."""
    return _PROVIDERS.get(provider, provider)
