// The contract: every message, enum and service of letta_grpc.v1.

export * from "./generated/letta_grpc/v1/agent_files_pb.js";
export * from "./generated/letta_grpc/v1/agent_service_pb.js";
export * from "./generated/letta_grpc/v1/agents_pb.js";
export * from "./generated/letta_grpc/v1/archive_service_pb.js";
export * from "./generated/letta_grpc/v1/block_service_pb.js";
export * from "./generated/letta_grpc/v1/blocks_pb.js";
export * from "./generated/letta_grpc/v1/conversation_service_pb.js";
export * from "./generated/letta_grpc/v1/conversations_pb.js";
export * from "./generated/letta_grpc/v1/errors_pb.js";
export * from "./generated/letta_grpc/v1/events_pb.js";
export * from "./generated/letta_grpc/v1/mcp_pb.js";
export * from "./generated/letta_grpc/v1/mcp_service_pb.js";
export * from "./generated/letta_grpc/v1/messages_pb.js";
export * from "./generated/letta_grpc/v1/model_service_pb.js";
export * from "./generated/letta_grpc/v1/models_pb.js";
export * from "./generated/letta_grpc/v1/passages_pb.js";
export * from "./generated/letta_grpc/v1/run_service_pb.js";
export * from "./generated/letta_grpc/v1/runs_pb.js";
export * from "./generated/letta_grpc/v1/tool_service_pb.js";
export * from "./generated/letta_grpc/v1/tools_pb.js";
