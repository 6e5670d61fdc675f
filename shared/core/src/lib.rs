//! Compiled mesh policy and its evaluators: pure, no Envoy, no clock, no randomness of its own.
