package lettagrpc

import (
	"context"
	"crypto/tls"
	"fmt"
	"strings"
	"time"

	"github.com/letta-grpc/letta-grpc-go/lettapb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

// Version is this client's. Servers see it in the user agent.
const Version = "0.1.0"

// A response holds at most 1 MiB of events, or one event of 2 MiB; a page of messages may be larger.
const maxReceiveBytes = 64 << 20

// Client speaks to one server, over one connection. It may be used by many goroutines at once.
//
// Its services are the generated ones, with typed errors: whatever fails is an [*Error]. Calls whose context has no deadline get
// one, and those that may be repeated without harm are, while the server is out of reach.
type Client struct {
	Agents        lettapb.AgentServiceClient
	Archives      lettapb.ArchiveServiceClient
	Blocks        lettapb.BlockServiceClient
	Conversations lettapb.ConversationServiceClient
	McpServers    lettapb.McpServiceClient
	Models        lettapb.ModelServiceClient
	Runs          lettapb.RunServiceClient
	Tools         lettapb.ToolServiceClient

	connection *grpc.ClientConn
	retry      RetryPolicy
	timeout    time.Duration
	// Ends with Close.
	life context.Context
	end  context.CancelFunc
}

type settings struct {
	apiKey    string
	transport credentials.TransportCredentials
	retry     RetryPolicy
	timeout   time.Duration
	dial      []grpc.DialOption
}

// Option changes how a client works.
type Option func(*settings)

// WithAPIKey sends a key as `authorization: Bearer` with every call. NewClient refuses one that no header takes.
func WithAPIKey(key string) Option {
	// Keys are read from files, which end in a line end.
	return func(s *settings) { s.apiKey = strings.TrimSpace(key) }
}

// WithTLS secures the connection; nil means the system's roots. Without this option it is plain text.
func WithTLS(config *tls.Config) Option {
	return func(s *settings) { s.transport = credentials.NewTLS(config) }
}

// WithRetry changes how patient the client is with what can be repeated without harm.
func WithRetry(policy RetryPolicy) Option {
	return func(s *settings) { s.retry = policy }
}

// WithTimeout changes how long a call may take whose context has no deadline (1 minute). Streams, ExecuteRun and RunTool take as
// long as the run or the tool.
func WithTimeout(timeout time.Duration) Option {
	return func(s *settings) { s.timeout = timeout }
}

// WithDialOptions passes options on to grpc: interceptors, a dialer, statistics.
func WithDialOptions(options ...grpc.DialOption) Option {
	return func(s *settings) { s.dial = append(s.dial, options...) }
}

// NewClient returns a client of the server at a target: host and port, or any name that grpc resolves. It connects with its
// first call.
func NewClient(target string, options ...Option) (*Client, error) {
	s := settings{transport: insecure.NewCredentials(), retry: DefaultRetry, timeout: time.Minute}
	for _, option := range options {
		option(&s)
	}
	if scheme, _, found := strings.Cut(strings.ToLower(target), "://"); found && (scheme == "http" || scheme == "https") {
		// grpc would look up the whole of it as a host's name, with the first call and again and again.
		return nil, invalid(fmt.Sprintf("target: is host:port, not %q", target))
	}
	if !sendable(s.apiKey) {
		// Left to grpc it would look like a fault of the server's, and be repeated. Not quoted: it is a secret.
		return nil, invalid("the API key has more than printable ASCII")
	}
	client := &Client{retry: s.retry, timeout: s.timeout}
	client.life, client.end = context.WithCancel(context.Background())
	connection, err := grpc.NewClient(target, client.dialOptions(&s)...)
	if err != nil {
		return nil, err
	}
	client.connection = connection
	client.Agents = lettapb.NewAgentServiceClient(connection)
	client.Archives = lettapb.NewArchiveServiceClient(connection)
	client.Blocks = lettapb.NewBlockServiceClient(connection)
	client.Conversations = lettapb.NewConversationServiceClient(connection)
	client.McpServers = lettapb.NewMcpServiceClient(connection)
	client.Models = lettapb.NewModelServiceClient(connection)
	client.Runs = lettapb.NewRunServiceClient(connection)
	client.Tools = lettapb.NewToolServiceClient(connection)
	return client, nil
}

// Close ends every call, every stream and the connection: what is at work, and what is begun later, fails with ErrClosed. Runs
// go on.
func (c *Client) Close() error {
	// First, so that whoever loses the connection knows why.
	c.end()
	return c.connection.Close()
}

func (c *Client) closed() bool { return c.life.Err() != nil }

// sleep waits before another try; Close ends it, and the context.
func (c *Client) sleep(ctx context.Context, wait time.Duration) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()
	err := sleep(ctx, wait)
	if c.closed() {
		return closedError()
	}
	// This was the back-off: the connection's own would come on top of it.
	c.connection.ResetConnectBackoff()
	return err
}

func (c *Client) dialOptions(s *settings) []grpc.DialOption {
	dial := []grpc.DialOption{
		grpc.WithTransportCredentials(s.transport),
		grpc.WithUserAgent("letta-grpc-go/" + Version),
		grpc.WithChainUnaryInterceptor(c.ask),
		grpc.WithChainStreamInterceptor(c.open),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxReceiveBytes)),
		// Our own retries know what may be repeated.
		grpc.WithDisableRetry(),
		// Pings go out while a call is open. A server of ours cuts off who pings more often than every 5 seconds.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
		// Left to itself grpc waits up to two minutes before it dials a lost server again, and fails every call until then.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 5 * time.Second},
			MinConnectTimeout: 5 * time.Second,
		}),
	}
	if s.apiKey != "" {
		dial = append(dial, grpc.WithPerRPCCredentials(bearer(s.apiKey)))
	}
	return append(dial, s.dial...)
}

// bearer sends a key, in plain text too: whether that is safe the network decides, not the key.
type bearer string

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

func (bearer) RequireTransportSecurity() bool { return false }

// sendable tells whether a header takes the key.
func sendable(key string) bool {
	return !strings.ContainsFunc(key, func(char rune) bool { return char < ' ' || char > '~' })
}
