// The parts of the contract (protos/letta_grpc/v1) that the page reads, as the gateway prints them: fields that have their
// default are absent, so each is optional here.

export interface Block {
  id?: string;
  label?: string;
  value?: string;
  description?: string;
  limit?: number;
  readOnly?: boolean;
  version?: number;
}

export interface Agent {
  id: string;
  name?: string;
  model?: string;
  memoryBlocks?: Block[];
}

export interface Image {
  data?: string;
  mediaType?: string;
}

export interface ContentPart {
  text?: string;
  reasoning?: string;
  summarizedReasoning?: string;
  redactedReasoning?: string;
  omittedReasoning?: boolean;
  image?: Image;
}

export interface ToolCall {
  id?: string;
  name?: string;
  arguments?: string;
}

export interface ToolReturn {
  toolCallId?: string;
  status?: string;
  text?: string;
  content?: { parts?: ContentPart[] };
  stdout?: string[];
  stderr?: string[];
}

export interface Decision {
  toolCallId: string;
  approve?: { arguments?: string };
  deny?: { reason?: string };
}

export interface Message {
  id: string;
  role?: string;
  content?: ContentPart[];
  toolCalls?: ToolCall[];
  toolReturns?: ToolReturn[];
  decisions?: Decision[];
  otid?: string;
  name?: string;
  runId?: string;
  stepId?: string;
}

export interface InputMessage {
  otid?: string;
  user?: { text: string };
  approval?: { decisions: Decision[] };
  toolReturns?: { returns: ToolReturn[] };
}

export interface RunSpec {
  messages: InputMessage[];
  conflictPolicy?: string;
}

export interface PendingAction {
  toolCallId?: string;
  kind?: string;
  name?: string;
  arguments?: string;
}

export interface Run {
  id: string;
  conversationId?: string;
  state?: string;
  stopReason?: string;
  usage?: { completionTokens?: number };
  timing?: { timeToFirstToken?: string; tokensPerSecond?: number };
  pendingActions?: PendingAction[];
  error?: { reason?: string; message?: string };
  kind?: string;
}

export interface RunEvent {
  runId: string;
  sequenceNumber: number;
  runStarted?: { run: Run };
  stepStarted?: { stepId?: string };
  messageStarted?: { messageId: string; role?: string };
  textDelta?: { messageId: string; text?: string };
  reasoningDelta?: { messageId: string; text?: string };
  toolCallDelta?: { messageId: string; toolCallId: string; name?: string; arguments?: string };
  messageCompleted?: { message: Message };
  toolExecutionStarted?: { toolCallId: string };
  toolOutputDelta?: { toolCallId: string; stream?: string; text?: string };
  toolReturn?: ToolReturn;
  stepCompleted?: { stepId?: string };
  stepRestarted?: { voidMessageIds?: string[] };
  approvalRequest?: { actions?: PendingAction[] };
  contextCompacted?: { summary?: Message; droppedMessages?: number };
  childRunStarted?: { toolCallId?: string; runId?: string; agentId?: string };
  runFinished?: { run: Run };
}

export const DEFAULT_BLOCK_LIMIT = 20000;
