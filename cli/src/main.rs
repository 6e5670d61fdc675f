//! mesh-policy.
fn main() {}
