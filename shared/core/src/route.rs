//! Where a request goes: VirtualServices compiled and evaluated.
