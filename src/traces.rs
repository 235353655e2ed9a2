//! Traces of single requests, for a collector of OpenTelemetry.
//!
//! Spans are `tracing`'s, and everywhere; only this room knows where they go to besides the log.

#[cfg(not(feature = "otlp"))]
mod none;
#[cfg(feature = "otlp")]
mod otlp;

#[cfg(not(feature = "otlp"))]
pub use self::none::{Traces, continue_in};
#[cfg(feature = "otlp")]
pub use self::otlp::{Traces, continue_in};
