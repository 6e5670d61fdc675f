//! Documents as they were written, and the decoding of types from them, whatever the types are.
//!
//! Text becomes a [`node::Node`] tree, which knows every key and every place; [`decode::Decode`] makes typed values of it, and
//! what is wrong becomes [`problem::Problems`], each with its [`path::Path`]. Apart from the types themselves because this
//! runs for every byte of a configuration and is compiled for speed, as they, which are many, cannot be.

pub mod decode;
pub mod map;
pub mod node;
pub mod path;
pub mod problem;
