//! Tests against a real Envoy, and the demo.
