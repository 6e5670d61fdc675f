//! Istio resources as people write them: the wire model, and errors that name the place.
