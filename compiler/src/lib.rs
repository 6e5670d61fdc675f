//! Istio resources in, Envoy configuration out.
