//! Where the server is, and how to talk to it.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::Duration;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};

use crate::connection::{Authorization, Connection};
use crate::{Client, Error, Result, RetryPolicy};

const DEFAULT_TARGET: &str = "127.0.0.1:50051";
// What HTTP/2 allows.
const MAXIMUM_WINDOW: u32 = (1 << 31) - 1;
const AGENT: &str = concat!("letta-grpc-rust/", env!("CARGO_PKG_VERSION"));

/// A client about to be made: `.await` it. See [`Client::connect`].
#[derive(Clone)]
#[must_use = "nothing is made until it is awaited"]
pub struct Connect {
    target: String,
    api_key: Option<String>,
    timeout: Duration,
    retry: RetryPolicy,
    channel: Option<Channel>,
    #[cfg(feature = "tls")]
    tls: Option<tonic::transport::ClientTlsConfig>,
}

impl Connect {
    pub(crate) fn new(target: impl Into<String>) -> Self {
        Self {
            target: target.into(),
            api_key: None,
            timeout: Duration::from_secs(60),
            retry: RetryPolicy::default(),
            channel: None,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    pub(crate) fn from_env() -> Self {
        let given = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let target = given("LETTA_GRPC_TARGET").unwrap_or_else(|| DEFAULT_TARGET.to_owned());
        Self { api_key: given("LETTA_GRPC_TARGET_API_KEY"), ..Self::new(target) }
    }

    /// Sends this key with every call.
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        self.api_key = Some(key.into());
        self
    }

    /// How long a call may take; default 60 s. Streams and [`execute`](crate::RunRequest::execute) take as long as the run.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How patient the client is with what can be repeated without harm.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// Uses a channel of your own, over whatever it leads; neither the target nor `tls` is looked at.
    pub fn channel(mut self, channel: Channel) -> Self {
        self.channel = Some(channel);
        self
    }

    /// Secures the connection this way: to `https://…` or `host:port`; `http://…` is refused then. Default: `https://…` alone is
    /// secured, by the system's roots.
    ///
    /// For a server with a certificate of your own authority:
    ///
    /// ```
    /// # let pem = "";
    /// use letta_grpc::{Client, tonic::transport::{Certificate, ClientTlsConfig}};
    ///
    /// let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem));
    /// let connect = Client::connect("agents.example:50051").tls(tls);
    /// ```
    #[cfg(feature = "tls")]
    pub fn tls(mut self, config: tonic::transport::ClientTlsConfig) -> Self {
        self.tls = Some(config);
        self
    }

    fn client(self) -> Result<Client> {
        let key = self.api_key.as_deref().map(bearer).transpose()?;
        let channel = match &self.channel {
            Some(channel) => channel.clone(),
            None => self.endpoint()?.connect_lazy(),
        };
        Ok(Client::new(Connection {
            transport: InterceptedService::new(channel, Authorization(key)),
            timeout: self.timeout,
            retry: self.retry,
        }))
    }

    fn endpoint(&self) -> Result<Endpoint> {
        let scheme = if self.asks_for_tls() { "https" } else { "http" };
        let target = if self.target.contains("://") { self.target.clone() } else { format!("{scheme}://{}", self.target) };
        let endpoint = Endpoint::from_shared(target).map_err(|error| Error::invalid("target", error))?;
        if !matches!(endpoint.uri().scheme_str(), Some("http" | "https")) {
            // Left to tonic it would be found out with the first call, and again with each repetition.
            return Err(Error::invalid("target", "is host:port, http://… or https://…"));
        }
        self.secured(endpoint)?.user_agent(AGENT).map_err(|error| Error::invalid("user agent", error)).map(|endpoint| {
            endpoint
                .connect_timeout(Duration::from_secs(5))
                // All calls share the connection's window: with hyper's 5 MiB three streams that nobody reads would hold back
                // every other. What is held is bounded by the window of each stream.
                .initial_connection_window_size(MAXIMUM_WINDOW)
                // Pings go out while a call is open, and servers of ours take one every 5 s. A connection that is dead without
                // having been closed has to be found out before a stream gives up.
                .http2_keep_alive_interval(Duration::from_secs(10))
                .keep_alive_timeout(Duration::from_secs(5))
        })
    }
}

#[cfg(feature = "tls")]
impl Connect {
    fn asks_for_tls(&self) -> bool {
        self.tls.is_some()
    }

    fn secured(&self, endpoint: Endpoint) -> Result<Endpoint> {
        if endpoint.uri().scheme_str() != Some("https") {
            if self.asks_for_tls() {
                // Whoever asks for TLS has something to keep: nothing of it goes out in clear.
                return Err(Error::invalid("target", "TLS was asked for: write https://… or host:port"));
            }
            return Ok(endpoint);
        }
        let system = || tonic::transport::ClientTlsConfig::new().with_enabled_roots();
        let config = self.tls.clone().unwrap_or_else(system);
        endpoint.tls_config(config).map_err(|error| Error::invalid("tls", error))
    }
}

#[cfg(not(feature = "tls"))]
#[expect(clippy::unused_self, reason = "with TLS it is used")]
impl Connect {
    fn asks_for_tls(&self) -> bool {
        false
    }

    fn secured(&self, endpoint: Endpoint) -> Result<Endpoint> {
        if endpoint.uri().scheme_str() == Some("https") {
            return Err(Error::invalid("target", "this build has no TLS: turn the feature `tls` on"));
        }
        Ok(endpoint)
    }
}

impl fmt::Debug for Connect {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Connect").field("target", &self.target).finish_non_exhaustive()
    }
}

impl IntoFuture for Connect {
    type Output = Result<Client>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        // A channel belongs to the runtime that it is made in.
        Box::pin(async { self.client() })
    }
}

fn bearer(key: &str) -> Result<MetadataValue<Ascii>> {
    // Keys are read from files, which end in a line end.
    let mut value: MetadataValue<Ascii> =
        format!("Bearer {}", key.trim()).parse().map_err(|error| Error::invalid("API key", error))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpStream;
    use tonic::Code;

    #[tokio::test]
    async fn a_client_is_made_before_its_server_is_up() {
        assert!(Client::connect("127.0.0.1:9").await.is_ok());
        assert!(Client::connect("http://localhost:9").await.is_ok());
    }

    #[tokio::test]
    async fn what_is_no_target_or_no_key_is_refused_at_once() {
        let targets = ["no where", "grpc://localhost:1", "dns:///localhost:1"].map(Client::connect);
        for connect in [Client::connect("localhost:1").api_key("new\nline")].into_iter().chain(targets) {
            assert_eq!(connect.await.unwrap_err().code(), Some(Code::InvalidArgument));
        }
    }

    #[tokio::test]
    async fn readers_that_stop_reading_do_not_fill_the_connection() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = Client::connect(listener.local_addr().unwrap().to_string()).await.unwrap();
        let call = tokio::spawn(async move { client.get_run("run-1").await });
        let (mut stream, _) = listener.accept().await.unwrap();
        let grown = tokio::time::timeout(Duration::from_secs(10), connection_window(&mut stream)).await.unwrap();
        call.abort();
        assert_eq!(65_535 + grown, MAXIMUM_WINDOW);
    }

    /// Returns by how much a client of HTTP/2 lets the window of its whole connection grow at the start.
    async fn connection_window(stream: &mut TcpStream) -> u32 {
        const WINDOW_UPDATE: u8 = 8;
        stream.read_exact(&mut [0; b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len()]).await.unwrap();
        loop {
            // 24 bits of length, 8 of type and 8 of flags, then the stream.
            let about = stream.read_u32().await.unwrap();
            let _flags = stream.read_u8().await.unwrap();
            let of = stream.read_u32().await.unwrap();
            let mut payload = vec![0; about as usize >> 8];
            stream.read_exact(&mut payload).await.unwrap();
            if about.to_be_bytes()[3] == WINDOW_UPDATE && of == 0 {
                return u32::from_be_bytes(payload.try_into().unwrap());
            }
        }
    }

    #[test]
    fn a_key_goes_without_the_line_end_of_its_file() {
        assert_eq!(bearer("secret\n").unwrap(), "Bearer secret");
    }

    #[tokio::test]
    async fn the_key_is_not_printed() {
        let connect = Client::connect("localhost:1").api_key("secret");
        assert!(!format!("{connect:?}").contains("secret"));
        assert!(!format!("{:?}", connect.await.unwrap()).contains("secret"));
    }
}

#[cfg(all(test, feature = "tls"))]
mod secured {
    use super::*;
    use tokio::io::AsyncReadExt as _;
    use tonic::Code;
    use tonic::transport::ClientTlsConfig;

    /// What HTTP/2 in plain text begins with: `PRI * HTTP/2.0`.
    const CLEAR: u8 = b'P';
    /// What TLS begins with.
    const HANDSHAKE: u8 = 22;

    #[tokio::test]
    async fn https_is_secured() {
        assert!(Client::connect("https://localhost:1").await.is_ok());
    }

    #[tokio::test]
    async fn a_host_and_port_are_secured_once_tls_is_asked_for() {
        assert_eq!(first_byte(|connect| connect).await, CLEAR);
        assert_eq!(first_byte(|connect| connect.tls(ClientTlsConfig::new().domain_name("localhost"))).await, HANDSHAKE);
    }

    #[tokio::test]
    async fn plain_text_is_refused_once_tls_is_asked_for() {
        let connect = Client::connect("http://localhost:1").tls(ClientTlsConfig::new());
        let error = connect.await.unwrap_err();
        assert_eq!(error.code(), Some(Code::InvalidArgument));
        assert!(error.message().contains("https://"), "{error}");
    }

    /// Returns the first byte that a server at a bare host and port is sent.
    async fn first_byte(with: impl FnOnce(Connect) -> Connect) -> u8 {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = listener.local_addr().unwrap().to_string();
        let client = with(Client::connect(target).api_key("secret")).await.unwrap();
        let call = tokio::spawn(async move { client.agents().list_agents(crate::v1::ListAgentsRequest::default()).await });
        let seen = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_u8().await.unwrap()
        };
        let byte = tokio::time::timeout(Duration::from_secs(10), seen).await.unwrap();
        call.abort();
        byte
    }
}
