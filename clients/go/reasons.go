package lettagrpc

// Reason is the server's word for what is wrong: a name of lettapb.ErrorReason without its prefix. A newer server may send others.
type Reason string

// Error makes a Reason a target of errors.Is.
func (r Reason) Error() string { return string(r) }

// What the contract says of each stands at lettapb.ErrorReason.
const (
	InvalidRequest          Reason = "INVALID_REQUEST"
	ModelUnknown            Reason = "MODEL_UNKNOWN"
	ToolSourceInvalid       Reason = "TOOL_SOURCE_INVALID"
	CredentialsMissing      Reason = "CREDENTIALS_MISSING"
	CredentialsInvalid      Reason = "CREDENTIALS_INVALID"
	AgentNotFound           Reason = "AGENT_NOT_FOUND"
	RunNotFound             Reason = "RUN_NOT_FOUND"
	ConversationNotFound    Reason = "CONVERSATION_NOT_FOUND"
	BlockNotFound           Reason = "BLOCK_NOT_FOUND"
	ToolNotFound            Reason = "TOOL_NOT_FOUND"
	McpServerNotFound       Reason = "MCP_SERVER_NOT_FOUND"
	PassageNotFound         Reason = "PASSAGE_NOT_FOUND"
	StepNotFound            Reason = "STEP_NOT_FOUND"
	RequestIdReused         Reason = "REQUEST_ID_REUSED"
	NameTaken               Reason = "NAME_TAKEN"
	ConversationBusy        Reason = "CONVERSATION_BUSY"
	StreamRecycled          Reason = "STREAM_RECYCLED"
	ResourceInUse           Reason = "RESOURCE_IN_USE"
	ConcurrentChange        Reason = "CONCURRENT_CHANGE"
	ApprovalPending         Reason = "APPROVAL_PENDING"
	ApprovalExpired         Reason = "APPROVAL_EXPIRED"
	ApprovalAlreadyResolved Reason = "APPROVAL_ALREADY_RESOLVED"
	ToolSandboxUnavailable  Reason = "TOOL_SANDBOX_UNAVAILABLE"
	EventsExpired           Reason = "EVENTS_EXPIRED"
	CursorAhead             Reason = "CURSOR_AHEAD"
	TooManyStreams          Reason = "TOO_MANY_STREAMS"
	QueueFull               Reason = "QUEUE_FULL"
	MessageTooLarge         Reason = "MESSAGE_TOO_LARGE"
	ServerDraining          Reason = "SERVER_DRAINING"
	StoreUnavailable        Reason = "STORE_UNAVAILABLE"
	McpServerFailed         Reason = "MCP_SERVER_FAILED"
	EmbeddingsFailed        Reason = "EMBEDDINGS_FAILED"
	Internal                Reason = "INTERNAL"
	ModelRateLimited        Reason = "MODEL_RATE_LIMITED"
	ModelOverloaded         Reason = "MODEL_OVERLOADED"
	ModelTimeout            Reason = "MODEL_TIMEOUT"
	ModelAuthFailed         Reason = "MODEL_AUTH_FAILED"
	ModelBadRequest         Reason = "MODEL_BAD_REQUEST"
	ContextWindowExceeded   Reason = "CONTEXT_WINDOW_EXCEEDED"
	InsufficientCredits     Reason = "INSUFFICIENT_CREDITS"
	InvalidModelOutput      Reason = "INVALID_MODEL_OUTPUT"
	RunTimeout              Reason = "RUN_TIMEOUT"
	RunLost                 Reason = "RUN_LOST"
)
