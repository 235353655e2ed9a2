//! Traces by OTLP: a span for each request and for each transaction of the desk, which is linked to the requests that it
//! serves.
//!
//! What is exported are spans as the log has them: no document, no variable, no name. Of a caller's own trace (`traceparent`,
//! <https://www.w3.org/TR/trace-context>) the ids are taken over, and not the word that it is to be recorded: anybody could have
//! all of theirs recorded.

use std::{
    io,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Request, Response, Uri,
    body::Bytes,
    client::conn::http1::handshake,
    header::{HOST, HeaderMap, HeaderValue},
};
use hyper_util::rt::TokioIo;
use opentelemetry::{
    Context, KeyValue, TraceId,
    propagation::TextMapPropagator,
    trace::{Link, SpanContext, SpanKind, TraceContextExt, TraceFlags, TraceState, TracerProvider},
};
use opentelemetry_http::{HeaderExtractor, HttpClient, HttpError};
use opentelemetry_otlp::{
    ExporterBuildError, Protocol, SpanExporter, WithExportConfig, WithHttpConfig,
};
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    trace::{SamplingDecision, SamplingResult, SdkTracerProvider, ShouldSample},
};
use tokio::{net::TcpStream, runtime::Runtime};
use tracing::{Level, Metadata, Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, filter_fn},
    registry::LookupSpan,
};

use crate::config::{Share, TraceConfig};

/// What a collector has to answer within.
const EXPORT_MAX: Duration = Duration::from_secs(5);

/// And at the server's end, when all else is done.
const LAST_EXPORT_MAX: Duration = Duration::from_secs(1);

/// It answers with a few bytes.
const ANSWER_LEN_MAX: usize = 64 * 1024;

/// The protocol's port for HTTP, and its path for traces (<https://opentelemetry.io/docs/specs/otlp/#otlphttp-request>).
const PORT: u16 = 4318;
const PATH: &str = "/v1/traces";

/// A batch is linked to as many of its requests.
const LINKS_MAX: u32 = 1_000;

const TRACEPARENT: &str = "traceparent";

/// Why there are no traces.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    #[error("{0} is no place for traces: http, a host and a port, as in http://127.0.0.1:4318")]
    BadEndpoint(Uri),
    #[error("traces cannot be exported")]
    Client(#[from] io::Error),
    #[error("traces cannot be exported")]
    Exporter(#[from] ExporterBuildError),
}

/// What exports, until it is ended. Exporting has a thread of its own; what it has no room for is dropped, and nobody waits.
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// None without an endpoint.
    ///
    /// # Errors
    /// When the endpoint is none.
    pub fn begin(config: &TraceConfig) -> Result<Option<Self>, TracesError> {
        let Some(endpoint) = &config.otlp_endpoint else {
            return Ok(None);
        };
        if endpoint.scheme_str() != Some("http") || endpoint.host().is_none() {
            return Err(TracesError::BadEndpoint(endpoint.clone()));
        }
        let base = endpoint.to_string();
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Collector::new()?)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{}{PATH}", base.trim_end_matches('/')))
            .with_timeout(EXPORT_MAX)
            .build()?;
        let resource = Resource::builder().with_service_name("rowlock").build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(Sampled(config.otlp_share))
            .with_resource(resource)
            .with_max_links_per_span(LINKS_MAX)
            .build();
        Ok(Some(Self(provider)))
    }

    /// Where the spans go to.
    pub fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer("rowlock"))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(filter_fn(is_exported).with_max_level_hint(LevelFilter::INFO))
    }

    /// Exports what is left.
    pub fn end(self) {
        if let Err(error) = self.0.shutdown_with_timeout(LAST_EXPORT_MAX) {
            tracing::warn!(%error, "the last traces were not exported");
        }
    }
}

/// Makes a request's span part of its caller's trace.
pub fn continue_in(span: &Span, headers: &HeaderMap) {
    if !headers.contains_key(TRACEPARENT) {
        return;
    }
    let said = TraceContextPropagator::new().extract(&HeaderExtractor(headers));
    let said = said.span().span_context().clone();
    // The ids alone: whether it is recorded, and what others keep in its state, is the caller's.
    let remote = SpanContext::new(
        said.trace_id(),
        said.span_id(),
        TraceFlags::default(),
        true,
        TraceState::default(),
    );
    let parent = Context::new().with_remote_span_context(remote);
    // Where nothing is exported, there is no trace to be part of.
    let _ = span.set_parent(parent);
}

/// Spans, and none of the log's lines: what went wrong is for the log.
fn is_exported(metadata: &Metadata<'_>) -> bool {
    metadata.is_span()
        && *metadata.level() <= Level::INFO
        && metadata.target().starts_with("rowlock")
}

/// A share of the requests, drawn by lot: by the trace's id, which is the caller's, the caller would decide. Of the transactions those
/// that serve one of them.
#[derive(Clone, Debug)]
struct Sampled(Share);

impl ShouldSample for Sampled {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        _trace_id: TraceId,
        _name: &str,
        _kind: &SpanKind,
        _attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let around = parent.map(|parent| parent.span().span_context().clone());
        let around = around.filter(|around| around.is_valid() && !around.is_remote());
        let is_sampled = match (around, links) {
            (Some(around), _) => around.is_sampled(),
            (None, []) => rand::random::<f64>() < self.0.0,
            (None, links) => links.iter().any(|link| link.span_context.is_sampled()),
        };
        SamplingResult {
            decision: if is_sampled {
                SamplingDecision::RecordAndSample
            } else {
                SamplingDecision::Drop
            },
            attributes: Vec::new(),
            trace_state: TraceState::default(),
        }
    }
}

/// Sends to the collector, a connection for each lot of spans: there is one every few seconds.
#[derive(Debug)]
struct Collector {
    /// Of the exporting thread alone.
    runtime: Runtime,
    is_failing: AtomicBool,
}

impl Collector {
    fn new() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        Ok(Self {
            runtime,
            is_failing: AtomicBool::new(false),
        })
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        // The exporting thread has nothing else to do.
        let sent = self
            .runtime
            .block_on(async { tokio::time::timeout(EXPORT_MAX, send(request)).await });
        let answer = sent.unwrap_or_else(|late| Err(late.into()));
        let was_failing = self.is_failing.swap(answer.is_err(), Ordering::Relaxed);
        match &answer {
            Err(error) if !was_failing => {
                tracing::warn!(%error, "traces are dropped: the collector does not take them");
            }
            Ok(_) if was_failing => tracing::info!("the collector takes traces again"),
            Ok(_) | Err(_) => {}
        }
        answer
    }
}

async fn send(mut request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let uri = std::mem::take(request.uri_mut());
    let host = uri.host().ok_or("no host")?;
    let port = uri.port_u16().unwrap_or(PORT);
    let stream = TcpStream::connect((host.trim_matches(['[', ']']), port)).await?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    *request.uri_mut() = uri.path().parse()?;
    request
        .headers_mut()
        .insert(HOST, HeaderValue::from_str(&format!("{host}:{port}"))?);
    let answering = async move {
        let (parts, body) = sender
            .send_request(request.map(Full::new))
            .await?
            .into_parts();
        let body = Limited::new(body, ANSWER_LEN_MAX)
            .collect()
            .await?
            .to_bytes();
        if !parts.status.is_success() {
            return Err(format!("the collector answered {}", parts.status).into());
        }
        Ok(Response::from_parts(parts, body))
    };
    // Whatever ends the connection early is the answer's failure too.
    let (answer, _) = tokio::join!(answering, connection);
    answer
}
